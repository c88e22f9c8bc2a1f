package valid

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit"
	"casemate/acl/trace"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/sandbox"
)

// Root tells whether a is root, by name or number.
func Root(a policy.Account) bool { return a == "root" || a == "0" }

// Verdicts are both of acl's.
var Verdicts = []acl.Verdict{acl.Allow, acl.Deny}

// EnvStyles are the sets of peer facts that env_style adds.
var EnvStyles = []string{"systemd", "ucspi", "xinetd"}

// service checks one service block and what it refers to.
func (c *checker) service(p *policy.Policy, i int) {
	s := &p.Services[i]
	at := c.order("services", i, func(i int) string { return p.Services[i].Name })
	c.program(at, s)
	c.identity(at, p, s, Reason(p, s))
	c.environment(at, s)
	c.muxed(at, p, s)
	between(c, at+".listen", len(s.Listen), 1-min(len(s.Mux), 1), 256)
	for k := range s.Listen {
		c.listen(fmt.Sprintf("%s.listen.%d", at, k), s.Listen[k])
	}
	c.socket(at+".socket", s)
	c.together(at, s)
	c.delivery(at, s)
	if s.ACL != "" && p.ACL(s.ACL) == nil {
		c.add(at+".acl", "add the block, or name another", "acl %q is not in the policy", s.ACL)
	}
	if p.Limit(s.Limit) == nil {
		c.add(at+".limit", "add the block, or name another", "limit %q is not in the policy", s.Limit)
	}
	if p.Profile(s.Profile) == nil {
		c.add(at+".profile", "add the block, or name another", "profile %q is not in the policy", s.Profile)
	}
	c.ruleEnvs(at, p, s)
	c.ruleCommands(at, p, s)
	c.enforceable(at, p, s)
	c.relay(at, p, s)
}

// program checks that the service is one command or one builtin.
func (c *checker) program(at string, s *policy.Service) {
	c.says(at, s)
	if c.lines(at+".argv0", s.Argv0, 32<<10) && s.Argv0 != "" && s.Ours() {
		c.add(at+".argv0", "remove argv0", "casemate-worker serves it, and is called what it is")
	}
	switch {
	case s.Redirects() || s.ProxyProtocol != "":
		c.redirect(at, s)
	case len(s.Command) > 0 && s.Builtin != "":
		c.add(at+".builtin", "remove command or builtin", "a service is a command or a builtin, not both")
	case s.Builtin != "":
		oneOf(c, at+".builtin", s.Builtin, policy.Builtins...)
		if !s.Wait || s.Stdio != sandbox.StdioFDs {
			c.add(at+".builtin", "remove wait and stdio", "the worker of a builtin takes the listening sockets over")
		}
	case len(s.Command) == 0:
		c.add(at, `write command = ["/path/of/program"], builtin = "echo" or redirect = "192.0.2.1:80"`, "the service has neither command, builtin nor redirect")
	default:
		c.command(at, s.Command)
	}
}

// command checks a program and its arguments.
func (c *checker) command(at string, command []string) {
	if name := command[0]; !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
		c.add(at+".command.0", fmt.Sprintf("write the program's full path, as %q", path.Join("/usr/sbin", path.Base(path.Clean("/"+name)))),
			"%q is not an absolute, clean path", name)
	}
	between(c, at+".command", len(command), 1, 256)
	for k, arg := range command {
		c.lines(fmt.Sprintf("%s.command.%d", at, k), arg, 32<<10)
	}
}

// together checks what one program is to take at once.
func (c *checker) together(at string, s *policy.Service) {
	sockets := 0
	for _, l := range s.Listen {
		sockets += len(l.Endpoints())
	}
	most := sandbox.MaxSockets
	if s.Builtin == policy.Tcpmux {
		most-- // where it hands its clients over
	}
	if s.Together() && sockets > most {
		who := map[bool]string{true: "the worker of a builtin", false: "one program"}[s.Builtin != ""]
		c.add(at+".listen", "make several services of it, with fewer ports each", "%d sockets are more than the %d that %s takes", sockets, most, who)
	}
	switch n := len(s.FDNames); {
	case n == 0:
	case !s.Together() || s.Builtin != "":
		c.add(at+".fd_names", `write wait = true and stdio = "listen_fds", or remove fd_names`, "only a program that gets all sockets at once is told names of them")
	case n != len(s.Listen):
		c.add(at+".fd_names", "write one name for each address of listen", "there are %d names and %d addresses", n, len(s.Listen))
	}
	for k, name := range s.FDNames {
		if !named(name, 255, letters+digits+"_-.", "") {
			c.add(fmt.Sprintf("%s.fd_names.%d", at, k), "use letters, digits, _, - and .", "%q is no name of a descriptor", name)
		}
	}
}

// identity checks user and groups; root must be explained.
func (c *checker) identity(at string, p *policy.Policy, s *policy.Service, reason string) {
	c.text(at+".because", s.Because, 1000)
	explained := func(at string, a policy.Account) {
		c.account(at, string(a))
		if Root(a) && reason == "" {
			c.add(at, `say why: because = "...", or choose another`, "%q needs a reason", a)
		}
	}
	switch {
	case s.User == "":
		c.add(at+".user", `write user = "nobody", or user = "dynamic" for a leased uid`, "the service has no user")
	case s.User != policy.Dynamic:
		explained(at+".user", s.User)
	}
	if f := p.Profile(s.Profile); f != nil && f.Files.State && Root(s.User) {
		c.add(at+".user", `write user = "dynamic", or state = false and a path of root's in write`, "a state directory cannot be root's: nothing is mapped to uid 0")
	}
	if s.Group != "" {
		explained(at+".group", s.Group)
	}
	if s.Group != "" && s.User == policy.Dynamic {
		c.add(at+".group", "remove group, or add it to groups", "a leased uid has its own group")
	}
	between(c, at+".groups", len(s.Groups), 0, 64)
	for k, g := range s.Groups {
		explained(fmt.Sprintf("%s.groups.%d", at, k), policy.Account(g))
	}
	set(c, at+".groups", s.Groups)
}

// account checks a user or group name (as useradd(8) accepts it) or number.
func (c *checker) account(at, s string) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		if n == 1<<32-1 || strconv.FormatUint(n, 10) != s {
			c.add(at, "write a plain decimal number below 4294967295", "%q is not a user or group number", s)
		}
		return
	}
	if !named(s, 32, letters+digits+"_-.$", digits+"-.$") || strings.Contains(s[:len(s)-1], "$") {
		c.add(at, "write a name as in /etc/passwd, or a number", "%q is not a user or group name", s)
	}
}

// environment checks what the program finds when it starts.
func (c *checker) environment(at string, s *policy.Service) {
	between(c, at+".env", len(s.Env), 0, 256)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !envName(name) {
			c.add(at+".env", "use letters, digits and _, with no digit first", "%q is not the name of a variable", name)
			continue
		}
		c.lines(at+".env."+name, s.Env[name], 32<<10)
	}
	between(c, at+".pass_env", len(s.PassEnv), 0, 256)
	for k, name := range s.PassEnv {
		switch at := fmt.Sprintf("%s.pass_env.%d", at, k); {
		case !envName(name):
			c.add(at, "use letters, digits and _, with no digit first", "%q is not the name of a variable", name)
		case strings.HasPrefix(name, "LISTEN_") || name == "NOTIFY_SOCKET":
			c.add(at, "remove it", "%s is between casemated and who started it", name)
		}
	}
	set(c, at+".pass_env", s.PassEnv)
	between(c, at+".nice", s.Nice, LeastNice, MostNice)
	between(c, at+".oom_score", s.OOMScore, 0, MostOOMScore)
	if s.Builtin != "" && (len(s.PassEnv) > 0 || s.Nice != 0 || s.OOMScore != 0) {
		c.add(at, "remove pass_env, nice and oom_score", "a builtin is no program")
	}
	words(c, at+".env_style", s.EnvStyle, EnvStyles...)
	if !path.IsAbs(s.Dir) || path.Clean(s.Dir) != s.Dir {
		c.add(at+".dir", `write an absolute path, as dir = "/"`, "%q is not an absolute, clean path", s.Dir)
	}
	c.text(at+".dir", s.Dir, 4095)
	if s.Umask > 0o777 {
		c.add(at+".umask", `write umask = "0077"`, "%#o is not a umask", s.Umask)
	}
}

func envName(s string) bool { return named(s, 255, letters+digits+"_", digits) }

// delivery checks how sockets reach the program.
func (c *checker) delivery(at string, s *policy.Service) {
	if name, env := s.Stdio.Variable(); !env {
		oneOf(c, at+".stdio", s.Stdio, sandbox.Stdios...)
	} else if !envName(name) {
		c.add(at+".stdio", `write stdio = "env:NAME"`, "%q is not the name of a variable", name)
	}
	if s.Stdio == sandbox.StdioRelay && !s.Ours() && (s.Wait || !s.Streams()) {
		c.add(at+".stdio", `write wait = false and listen on tcp, unix or vsock, or stdio = "socket"`, "a relay carries the streams of connections that casemated accepts: no datagrams or packets, and nothing with wait = true")
	}
	for k := range s.Listen {
		if s.Listen[k].Network == "unixgram" && !s.Wait {
			// The sender has an address only when it bound one, so there is nobody to connect a socket to.
			c.add(fmt.Sprintf("%s.listen.%d", at, k), "write wait = true, or listen on unix or unixpacket", "a unixgram socket has no connections to hand out")
		}
		if s.Listen[k].Network == "vsock" && s.Ours() {
			c.add(fmt.Sprintf("%s.listen.%d", at, k), "write a command, or listen on tcp or unix", "casemate-worker serves no vsock")
		}
	}
	if s.Stdout != "" {
		oneOf(c, at+".stdout", s.Stdout, policy.StdoutLog)
		if s.Stdio == sandbox.StdioAll || s.Ours() {
			c.add(at+".stdout", `remove stdout, or stderr = "client" (stdio = "socket-all")`, "only a program whose stderr is in the log too has its stdout there")
		}
	}
	c.banners(at, s)
	c.refuse(at, s)
	oneOf(c, at+".log", s.Log, policy.LogLevels...)
	c.attention(at, s)
	c.duration(at+".linger_ns", s.Linger, time.Second, LongestLinger)
	if s.Linger == 0 {
		c.add(at+".linger_ns", `write linger = "60s"`, "the service would never find its zygote")
	}
}

// refuse checks how clients are told that they are refused.
func (c *checker) refuse(at string, s *policy.Service) {
	at += ".refuse"
	switch s.Refuse {
	case "":
		return
	case policy.RefuseSilent:
		if !s.Droppable() {
			c.add(at, `write refuse = "reset", or listen on tcp and udp alone`, "the kernel drops silently what comes to tcp and udp sockets")
		}
	case policy.RefuseBanner:
		if s.Banner == "" {
			c.add(at, `write banner = "..."`, "there is no banner to refuse with")
		}
		return
	}
	oneOf(c, at, s.Refuse, policy.Refusals...)
	if s.Banner != "" {
		c.add(at, "remove banner, or refuse", "with refuse = %q nobody is sent the banner", s.Refuse)
	}
}

// attention checks what the broker watches of a session's client.
func (c *checker) attention(at string, s *policy.Service) {
	c.duration(at+".idle_ns", s.Idle, time.Second, LongestLinger)
	c.duration(at+".socket.keepalive_ns", s.Socket.Keepalive, time.Second, LongestKeepalive)
	datagrams := slices.ContainsFunc(s.Listen, address.Listen.Datagram)
	if (s.Hangup || s.Idle != 0 && s.Builtin == "") && (s.Wait || datagrams || !s.KeepSocket) {
		c.add(at, "remove hangup and idle", "only with wait = false, connections and keep_socket does casemated see what a client does")
	}
	if s.Idle != 0 && len(s.Mux) == 0 && !slices.ContainsFunc(s.Listen, tcp) {
		c.add(at+".idle_ns", "remove idle", "the kernel tells of a tcp socket alone when it was used last")
	}
	if s.Socket.Keepalive != 0 && !slices.ContainsFunc(s.Listen, tcp) {
		c.add(at+".socket.keepalive_ns", "remove keepalive", "only tcp clients are asked")
	}
}

// enforceable refuses rules that nobody would enforce: with wait = true the
// program accepts by itself, so the broker sees no single client.
func (c *checker) enforceable(at string, p *policy.Policy, s *policy.Service) {
	list, spec := p.ACL(s.ACL), p.Limit(s.Limit)
	if f := p.Profile(s.Profile); f != nil && f.Network.Mode == sandbox.NetworkPrivate && !s.Apart() {
		c.private(at, s)
	}
	if spec != nil && spec.Queue != 0 && (s.Wait || len(s.Mux) == 0 && !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return !l.Datagram() })) {
		c.add(at+".limit", "use a limit without queue", "limit %q has a queue, which is for connections that casemated accepts: not for datagrams, and not for a builtin or with wait = true", s.Limit)
	}
	if spec != nil && spec.MaxLoad != 0 && s.Wait {
		c.add(at+".limit", "use a limit without max_load", "limit %q has max_load, and a builtin, or a program with wait = true, takes its clients itself", s.Limit)
	}
	if spec != nil {
		c.paced(at, s, spec)
	}
	if spec != nil && spec.EarlyDrop != (limit.EarlyDrop{}) && s.Wait && s.Builtin == "" {
		c.add(at+".limit", "use a limit without early_drop", "limit %q has early_drop, and a program with wait = true takes its clients itself", s.Limit)
	}
	if s.Builtin != "" {
		if list != nil && namesHosts(list) {
			c.add(at+".acl", "use addresses and prefixes only, or serve a command",
				"acl %q asks for host names, which the worker of a builtin cannot look up", s.ACL)
		}
		return
	}
	if !s.Wait {
		return
	}
	c.answers(at, p, s)
	if s.Screened() {
		c.screened(at, p, s)
	} else if list == nil || !list.AllowsAll() {
		c.add(at+".acl", `serve it with wait = false, or write acl = acl.anyone, or refuse = "silent", which has the kernel hold addresses`,
			"acl is not enforceable with wait = true: the program accepts its clients itself")
	}
	if spec == nil {
		return
	}
	if spec.PerSource.Concurrent != 0 || spec.PerSource.Rate.Events != 0 || len(spec.Penalty.On) > 0 {
		c.add(at+".limit", "use limit.wait, or a limit without per_source and penalty; rate then counts activations",
			"limit %q counts sources, which is not enforceable with wait = true", s.Limit)
	}
}

// paced refuses limits of slow clients where nobody sees how slow one is.
func (c *checker) paced(at string, s *policy.Service, l *limit.Spec) {
	switch {
	case l.FirstByte == 0 && l.MinRate == 0:
	case s.Wait && s.Builtin == "":
		c.add(at+".limit", "use a limit without first_byte and min_rate", "limit %q bounds slow clients, and with wait = true the program takes its clients itself", s.Limit)
	case !s.KeepSocket && s.Builtin == "":
		c.add(at+".limit", "use a limit without first_byte and min_rate, or remove keep_socket", "limit %q bounds slow clients, and with keep_socket = false casemated does not see them", s.Limit)
	case !s.Paced():
		c.add(at+".limit", "use a limit without first_byte and min_rate, or listen on tcp", "limit %q bounds slow clients, and the kernel tells how slow they are of tcp alone", s.Limit)
	case l.FirstByte != 0 && !slices.ContainsFunc(s.Listen, tcp):
		c.add(at+".limit", "use a limit without first_byte, which the limit of tcpmux may have", "limit %q has first_byte, and who comes by tcpmux has sent the name of the service", s.Limit)
	}
}

// private says what a service needs whose profile has a network of its own.
func (c *checker) private(at string, s *policy.Service) {
	next := `write stdio = "relay" in the service, or listen on unix alone`
	switch {
	case s.Ours():
		next = "name another profile: casemate-worker serves it, and needs no network"
	case s.Wait:
		next = `write wait = false and stdio = "relay" in the service, or another mode in its profile`
	case !s.Streams():
		next = "listen on tcp or unix, or write another mode in its profile"
	}
	c.add(at+".profile", next, `profile %q has network { mode = "private" }, which a socket of the host's network would lead out of: its program could aim that elsewhere`, s.Profile)
}

// answers refuses a datagram socket handed over whole under a profile without
// network: it answers by address, and no filter can tell one address from another.
func (c *checker) answers(at string, p *policy.Policy, s *policy.Service) {
	f := p.Profile(s.Profile)
	if f == nil || f.Network.Mode != sandbox.NetworkNone || !slices.ContainsFunc(s.Listen, address.Listen.Datagram) {
		return
	}
	c.add(at+".profile", `write widens = ["network"] and network { mode = "listener" } in its profile, or serve it with wait = false`,
		"with wait = true the program sends datagrams to any address from the socket it is handed, and profile %q has no network", s.Profile)
}

// namesHosts tells whether l has a pattern that only a host name settles. A
// list that does not compile is reported on its own.
func namesHosts(l *acl.List) bool {
	_, err := decide.Compile(l)
	return err == nil && trace.NeedsNames(l)
}

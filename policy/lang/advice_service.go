package lang

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/runtimes"
	"casemate/sandbox"
)

// What is valid, and still serves nobody or not as it was meant.

// habits warns of a policy that is valid.
func (c *compiler) habits(p *policy.Policy) {
	// Rules that others are to use are checked alone; a policy of nothing but its policy
	// block says that it serves nothing.
	if len(p.Services)+len(p.Disabled) == 0 && (len(c.order)+len(c.locals) > 0 || c.inetd != nil) {
		c.warn(codeNobody, c.start(), `add a block: service "NAME" { ... }`, "the policy has no service")
	}
	for _, name := range c.order[kindACL] {
		l := c.acls[name]
		c.unreachable(&l)
	}
	for _, name := range c.order[kindProfile] {
		c.globs(c.profiles[name])
	}
	for i := range p.Services {
		c.adviseService(&p.Services[i])
	}
}

// adviseService warns of one service.
func (c *compiler) adviseService(s *policy.Service) {
	at := "services." + s.Name
	if s.ACL == "" {
		c.warn(codeNobody, c.near(at), "write acl = acl.localhost, acl.anyone or one of your own; acl.nobody says that it is meant", "service %q has no acl, so it admits nobody", s.Name)
	}
	if l := c.list(s.ACL); l != nil {
		c.unixPeers(at, s, l)
		c.abstract(at, s, l)
		c.loopbackOnly(at, s, l)
	}
	if len(s.Command) == 1 && strings.Contains(s.Command[0], " ") {
		words := strings.Fields(s.Command[0])
		c.warn(codeHabit, c.near(at+".command.0"), `write command = ["`+strings.Join(words, `", "`)+`"]`, "the program's path has a space in it: no shell takes it apart")
	}
	if name, group, ok := strings.Cut(string(s.User), "."); ok && s.Group == "" {
		c.warn(codeHabit, c.near(at+".user"), fmt.Sprintf("if group %q of user %q is meant, write user = %q and group = %q", group, name, name, group), "user %q has a dot in its name", s.User)
	}
	c.hidden(at, s)
	c.outlived(at, s)
	c.signals(at, s)
	c.compiles(at, s)
	c.deafLog(at, s)
}

// list is an acl of the policy or a shipped one.
func (c *compiler) list(name string) *acl.List {
	if l, ok := c.acls[name]; ok {
		return &l
	}
	if c.base != nil {
		return c.base.list(name)
	}
	return nil
}

// allows tells whether l admits a client that only patterns with ok match.
func allows(l *acl.List, ok func(acl.Pattern) bool) bool {
	return l.Default == acl.Allow || slices.ContainsFunc(l.Rules, func(r acl.Rule) bool {
		return r.Verdict == acl.Allow && slices.ContainsFunc(r.From, ok)
	})
}

// unixPeers warns of a unix socket, or a vsock, whose acl knows addresses and names alone.
func (c *compiler) unixPeers(at string, s *policy.Service, l *acl.List) {
	vsock := slices.IndexFunc(s.Listen, func(a address.Listen) bool { return a.Network == "vsock" })
	if vsock >= 0 && len(l.Rules) > 0 && !allows(l, func(p acl.Pattern) bool { return p == acl.Any || strings.HasPrefix(string(p), "cid=") }) {
		c.warn(codeNobody, c.near(fmt.Sprintf("%s.listen.%d", at, vsock)), `add "any" to an allow rule, or machines as "cid=3", or serve the vsock with an acl of its own`,
			"acl %q admits no client of a vsock, who has neither an address nor a name", s.ACL)
	}
	i := slices.IndexFunc(s.Listen, address.Listen.Unix)
	if i >= 0 && len(l.Rules) > 0 && !allows(l, func(p acl.Pattern) bool { return p == acl.Any || strings.HasPrefix(string(p), "uid=") }) {
		c.warn(codeNobody, c.near(fmt.Sprintf("%s.listen.%d", at, i)), `add "any" to an allow rule (the socket's mode says who may connect), or users as "uid=1000", or serve the unix socket with an acl of its own`,
			"acl %q admits no client of a unix socket, who has neither an address nor a name", s.ACL)
	}
}

// abstract warns of a socket without a file, and so without a mode, whose acl does not
// say by their uids who may connect to it either.
func (c *compiler) abstract(at string, s *policy.Service, l *acl.List) {
	i := slices.IndexFunc(s.Listen, func(a address.Listen) bool { return a.Unix() && !a.File() })
	if i < 0 {
		return
	}
	always := acl.List{Default: l.Default}
	for _, r := range l.Rules {
		if len(r.During) > 0 && r.Verdict == acl.Deny {
			continue // it is open at other times
		}
		r.During = nil
		always.Rules = append(always.Rules, r)
	}
	m, err := decide.Compile(&always)
	if err == nil && m.Decide(decide.Client{Peer: "uid=somebody"}).Verdict == acl.Allow {
		next := `give it an acl of users, from = ["uid=1000"] (id -u NAME), or a socket with a file, whose mode and owner say who`
		if s.Wait && s.Builtin == "" { // no acl is asked
			next = "listen on a socket with a file, whose mode and owner say who; of this one the program itself has to ask (SO_PEERCRED)"
		}
		c.warn(codeAbstract, c.near(fmt.Sprintf("%s.listen.%d", at, i)), next,
			"%s has no file whose mode would keep anybody out, and acl %q admits every user of this host's network namespace", s.Listen[i], s.ACL)
	}
}

// loopbackOnly warns of a udp built-in that nobody it admits can use: on an
// address that is not loopback, datagrams from loopback are forged and dropped.
func (c *compiler) loopbackOnly(at string, s *policy.Service, l *acl.List) {
	if s.Builtin == "" || len(l.Rules) == 0 || allows(l, func(p acl.Pattern) bool { return !loopback(p) }) {
		return
	}
	for i, a := range s.Listen {
		if a.Datagram() && !a.Unix() && !a.Addr.IsLoopback() {
			c.warn(codeNobody, c.near(fmt.Sprintf("%s.listen.%d", at, i)), fmt.Sprintf("listen on udp://127.0.0.1:%d, or admit other clients", a.Port),
				"acl %q admits loopback alone, whose datagrams are not answered on other addresses", s.ACL)
		}
	}
}

// loopback tells whether a pattern holds no other addresses.
func loopback(p acl.Pattern) bool {
	if a, err := netip.ParseAddr(string(p)); err == nil {
		return a.IsLoopback()
	}
	pre, err := netip.ParsePrefix(string(p))
	return err == nil && pre.Addr().IsLoopback() && (pre.Addr().Is6() || pre.Bits() >= 8)
}

// hidden warns of a working directory that the profile does not show.
func (c *compiler) hidden(at string, s *policy.Service) {
	p := c.profileOf(s)
	if p == nil || s.Ours() || s.Dir == "/" {
		return
	}
	shown := slices.Concat(p.Files.Read, p.Files.Exec, p.Files.Write, []string{"/dev"})
	if len(s.Command) > 0 {
		shown = append(shown, path.Dir(s.Command[0]))
	}
	if p.Files.Tmp > 0 {
		shown = append(shown, "/tmp")
	}
	if p.Files.State {
		shown = append(shown, sandbox.StateInside)
	}
	if p.Files.Proc {
		shown = append(shown, "/proc")
	}
	for _, name := range shown {
		if within(s.Dir, name) || within(name, s.Dir) {
			return
		}
	}
	c.warn(codeHabit, c.near(at+".dir"), fmt.Sprintf("add it to read or write of profile %q, or write dir = \"/\"", s.Profile), "the directory %q is not among the paths that profile %q shows", s.Dir, s.Profile)
}

// outlived warns of files that stay when the uid of their session goes to another.
func (c *compiler) outlived(at string, s *policy.Service) {
	if p := c.profileOf(s); p != nil && s.User == policy.Dynamic && len(p.Files.Write) > 0 {
		c.warn(codeOutlived, c.near(at+".user"), `write files { state = true } in place of write: a directory that is its sessions', whatever their uids; or name a user of its own; or files { tmp = "16MiB" }, which is private and ends with the session`,
			"what a session of service %q leaves in %s belongs to a uid that another session gets later", s.Name, clip(p.Files.Write[0]))
	}
}

// profileOf is the service's profile, of the policy or shipped, or nil.
func (c *compiler) profileOf(s *policy.Service) *profile {
	p := c.profiles[s.Profile]
	if p == nil && c.base != nil {
		p = c.base.profiles[s.Profile]
	}
	return p
}

// interpreted matches programs that run other programs and count on signals and
// on orphans being reaped: shells, interpreters, and scripts by their ending.
var interpreted = expression(`^([bd]?ash|sh|[kz]sh|busybox|(perl|python|ruby|node|php|lua|tclsh|expect)[0-9.]*|.*\.(sh|bash|pl|py|rb|php|lua|tcl))$`)

// signals warns of a script that is process 1 of its namespace.
func (c *compiler) signals(at string, s *policy.Service) {
	p := c.profileOf(s)
	if p == nil || p.Init || len(s.Command) == 0 || !interpreted().MatchString(path.Base(s.Command[0])) {
		return
	}
	advice := "give it a profile with init = true, as profile.server, or handle them in the script"
	if p.UserNamespace {
		advice = "handle them in the script: a user namespace has no init"
	}
	c.warn(codeHabit, c.near(at+".command.0"), advice+"; hangup = true ends it with its client, and casemate kill when you ask",
		"%s is process 1 under profile %q: SIGPIPE, SIGALRM and SIGTERM do nothing to it, and orphans stay until it ends", s.Command[0], s.Profile)
}

// compiles warns of a program that makes machine code as it runs under a profile that forbids it.
func (c *compiler) compiles(at string, s *policy.Service) {
	p, r := c.profileOf(s), runtimes.Of(s.Command)
	if p == nil || r == nil || !r.CompilesIn(s.Command[1:]) {
		return
	}
	if memory, _ := calls.Written(&p.Syscalls); memory {
		return
	}
	next := "take a profile whose system calls have @jit, as profile.node or profile.jvm"
	if p.Syscalls.NoWritten {
		next = "write deny_write_execute = false"
	}
	if r.Without != "" {
		next += fmt.Sprintf("; or have the program interpret: %q", r.Without)
	}
	c.warn(codeNoJIT, c.near(at+".command.0"), next, "%s writes machine code into memory and executes it, and profile %q lets no memory be both", s.Command[0], s.Profile)
}

// within tells whether a path is another one or below it.
func within(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}

// unreachable warns of rules behind one that everybody matches.
func (c *compiler) unreachable(l *acl.List) {
	for i, r := range l.Rules {
		if !slices.Contains(r.From, "any") || len(r.Except)+len(r.To)+len(r.During) > 0 {
			continue
		}
		first := place(c.near(fmt.Sprintf("acls.%s.rules.%d", l.Name, i)))
		for k := i + 1; k < len(l.Rules); k++ {
			c.warn(codeUnreachable, c.near(fmt.Sprintf("acls.%s.rules.%d", l.Name, k)), "move it before the one at "+first+", or remove it",
				"no client gets to this rule: one before it matches everybody")
		}
		return
	}
}

// globs warns of path names with wildcards, which nothing expands.
func (c *compiler) globs(p *profile) {
	for _, kind := range []string{"read", "exec", "write"} {
		for _, v := range p.items["files."+kind] {
			if strings.ContainsAny(v.s, "*?[") {
				c.warn(codeHabit, v.rng, "name the directory, or each file", "%q has a wildcard: paths are taken as they are", clip(v.s))
			}
		}
	}
}

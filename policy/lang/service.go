package lang

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/valid"
	"casemate/sandbox"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// serviceTable is service "NAME" { ... }.
var serviceTable = table[policy.Service]{
	{rows: []row[policy.Service]{
		{forEachRow, nil},
		{extendsRow, nil},
		{Attribute{Name: "listen", Example: `["tcp://:finger", "unix:/run/x.sock"]`, Doc: "addresses with their ports; tcpmux:NAME is what the built-in tcpmux hands over, tcpmux:+NAME with its + said already"},
			listens},
		{Attribute{Name: "command", Example: `["/usr/sbin/in.fingerd", "-w"]`, Doc: "the program and its arguments"},
			list(func(s *policy.Service) *[]string { return &s.Command })},
		{Attribute{Name: "argv0", Example: `"-sh"`, Program: true, Doc: "what the program is called by; absent: the base name of its path"},
			word(func(s *policy.Service) *string { return &s.Argv0 })},
		{Attribute{Name: "builtin", Example: `"echo"`, Instead: "command", Words: policy.Builtins, Doc: "what casemate-worker serves itself"},
			word(func(s *policy.Service) *string { return &s.Builtin })},
		{Attribute{Name: "says", Example: `["Less is more.", "So is more."]`, Instead: "command", Doc: "of qotd: its quotes, one of which each client gets, at most 512 bytes; of auth: the one name that everybody has, absent: HIDDEN-USER"},
			list(func(s *policy.Service) *[]string { return &s.Says })},
		{Attribute{Name: "amplify", Example: "true", Instead: "command", Doc: "qotd answers a datagram with more than it holds, to whoever is named as its source; else only with quotes that are no longer"},
			flag(true, func(s *policy.Service) *bool { return &s.Amplify })},
		{Attribute{Name: "redirect", Example: `"192.0.2.1:80"`, Instead: "command", Doc: "or unix:/path: where casemate-worker carries its connections"},
			redirects},
		{Attribute{Name: "proxy_protocol", Example: `"v2"`, Instead: "command", Words: policy.ProxyProtocols, Doc: "tell the target of redirect who connected, in a header of that version"},
			word(func(s *policy.Service) *string { return &s.ProxyProtocol })},
		{Attribute{Name: "user", Example: `"nobody"`, Doc: `or "dynamic": a leased uid for each connection`},
			account(func(s *policy.Service) *policy.Account { return &s.User })},
		{Attribute{Name: "group", Example: `"nogroup"`, Doc: "absent: the user's own"},
			account(func(s *policy.Service) *policy.Account { return &s.Group })},
		{Attribute{Name: "disable", Example: "true", Doc: "true: it is checked, and not served; nor is the entry that it extends"},
			flag(false, func(s *policy.Service) *bool { return &s.Disable })},
		{Attribute{Name: "groups", Example: `["mail"]`, Doc: "further ones"},
			words(func(s *policy.Service) *[]string { return &s.Groups })},
		{Attribute{Name: "because", Example: `"..."`, Doc: "needed for root"},
			word(func(s *policy.Service) *string { return &s.Because })},
		{Attribute{Name: "acl", Example: "acl.office", Doc: "absent: nobody is admitted"},
			reference(kindACL, func(s *policy.Service) *string { return &s.ACL })},
		{Attribute{Name: "limit", Example: "limit.public", Doc: "absent: limit.default, or limit.wait with wait = true"},
			reference(kindLimit, func(s *policy.Service) *string { return &s.Limit })},
		{Attribute{Name: "profile", Example: "profile.finger", Doc: "absent: profile.strict; profile.builtin, or for redirect profile.relay"},
			reference(kindProfile, func(s *policy.Service) *string { return &s.Profile })},
		{Attribute{Name: "wait", Example: "false", Program: true, Doc: "true: hand the listening socket over; needs acl = acl.anyone, or refuse = \"silent\", but of a builtin"},
			flag(true, func(s *policy.Service) *bool { return &s.Wait })},
		{Attribute{Name: "stdio", Example: `"socket-all"`, Unset: `"socket"`, Program: true, Words: spelled(sandbox.Stdios), Doc: "where its socket is: 0 and 1, 2 as well, from 3 on (all of them, with wait), or 3 as NAME says; relay: 0 and 1 are a unix socket, and casemate-worker carries its bytes to the client's and back"},
			word(func(s *policy.Service) *sandbox.Stdio { return &s.Stdio })},
		{Attribute{Name: "stderr", Path: "stdio", Example: `"client"`, Unset: `"log"`, Program: true, Words: []string{stderrLog, stderrClient}, Doc: "where 2 goes: what a program complains of is in the log, or its client reads it too, as inetd has it (stdio = \"socket-all\")"},
			stderr},
		{Attribute{Name: "stdout", Example: `"log"`, Instead: "stderr", Unset: `"client"`, Program: true, Words: []string{stderrClient, policy.StdoutLog}, Doc: "log: 1 goes there as 2 does, for a program with wait or by udp that prints what it does"},
			stdout},
		{Attribute{Name: "fd_names", Example: `["http", "admin"]`, With: `wait = true and stdio = "listen_fds"`, Program: true, Doc: "what the program is to call its sockets (LISTEN_FDNAMES), one for each address"},
			list(func(s *policy.Service) *[]string { return &s.FDNames })},
		{Attribute{Name: "env", Example: `{ TZ = "UTC" }`, Program: true, Doc: "the environment"},
			environment(func(s *policy.Service) *map[string]string { return &s.Env })},
		{Attribute{Name: "pass_env", Example: `["TZ", "LANG"]`, Program: true, Doc: "variables that it has as casemated has them, where env does not say otherwise"},
			words(func(s *policy.Service) *[]string { return &s.PassEnv })},
		{Attribute{Name: "env_style", Example: `["xinetd"]`, Unset: `["systemd", "ucspi"]`, Program: true, Words: valid.EnvStyles, Doc: "the client's address in it; [] for none"},
			words(func(s *policy.Service) *[]string { return &s.EnvStyle })},
		{Attribute{Name: "dir", Example: `"/tmp"`, Unset: `"/"`, Program: true, Doc: "the working directory"},
			word(func(s *policy.Service) *string { return &s.Dir })},
		{Attribute{Name: "umask", Example: `"0027"`, Unset: `"0077"`, Program: true, Doc: "the permissions that files the program makes do not have, in octal"},
			measure(parseMode, func(s *policy.Service) *uint32 { return &s.Umask })},
		{Attribute{Name: "nice", Example: "10", Program: true, Bounds: `at most 19, at least "-20" (in quotes)`, Doc: "its share of the processors: less with each step up; absent: casemated's own"},
			signed(func(s *policy.Service) *int { return &s.Nice })},
		{Attribute{Name: "oom_score", Example: "500", Program: true, Bounds: counts(1, valid.MostOOMScore), Doc: "how soon it is killed where memory runs out; absent: 100 more than casemated"},
			count(func(s *policy.Service) *int { return &s.OOMScore })},
		{Attribute{Name: "banner", Example: `"try later"`, Doc: "what refused clients of a connection are sent; a text without a line's end gets CR LF, else it goes as it is. { file = \"later.banner\" }: byte by byte what is in that source, which stands in this file's directory; at most 4KiB of UTF-8"},
			banner(func(s *policy.Service) *string { return &s.Banner })},
		{Attribute{Name: "banner_accept", Example: `"all you do is logged"`, Doc: "likewise what each client is sent as it comes, before anything is asked about it"},
			banner(func(s *policy.Service) *string { return &s.BannerAccept })},
		{Attribute{Name: "banner_success", Example: `"welcome"`, Doc: "likewise what admitted clients are sent, before the program or the relay begins"},
			banner(func(s *policy.Service) *string { return &s.BannerSuccess })},
		{Attribute{Name: "refuse", Example: `"banner"`, Words: spelled(policy.Refusals), Doc: "how: the banner, a reset, or silent: the kernel drops at the listening socket what the acl refuses by address alone, and sources that a penalty or a per_source rate shuts out (Linux 5.8; who is refused for another reason gets a reset). With wait = true the kernel alone holds clients to the acl so, which is of addresses then; absent: the banner if there is one, else a reset, and in a surge (200 refusals within 100 ms) nothing, as with silent, until ten seconds after it"},
			word(func(s *policy.Service) *policy.Refusal { return &s.Refuse })},
		{Attribute{Name: "keep_socket", Example: "true", Unset: "true", Program: true, Doc: "false: a close while the program lives on reaches the client at once"},
			flag(false, func(s *policy.Service) *bool { return &s.KeepSocket })},
		{Attribute{Name: "hangup", Example: "true", Program: true, Doc: "end a session two seconds after its client closed"},
			flag(true, func(s *policy.Service) *bool { return &s.Hangup })},
		{Attribute{Name: "idle", Path: "idle_ns", Example: `"5m"`, Bounds: timeBounds(time.Second, valid.LongestLinger), Doc: "end a tcp session without a byte either way for so long"},
			measure(parseDuration, func(s *policy.Service) *time.Duration { return &s.Idle })},
		{Attribute{Name: "linger", Path: "linger_ns", Example: `"5m"`, Unset: `"60s"`, Bounds: timeBounds(time.Second, valid.LongestLinger), Doc: "how long an idle service stays prepared"},
			measure(parseDuration, func(s *policy.Service) *time.Duration { return &s.Linger })},
		{Attribute{Name: "log", Example: `"refusals"`, Unset: `"all"`, Words: spelled(policy.LogLevels), Doc: "or no refusals, or those and what went wrong (help log)"},
			word(func(s *policy.Service) *policy.LogLevel { return &s.Log })},
		{Attribute{Name: "retry", Example: "true", Doc: "retry a busy address instead of failing"},
			flag(true, func(s *policy.Service) *bool { return &s.Retry })},
	}},
	{block: "socket", rows: []row[policy.Service]{
		{Attribute{Name: "mode", Example: `"0660"`, Doc: `of the files of unix sockets; absent: "0600"`},
			measure(parseMode, func(s *policy.Service) *uint32 { return &s.Socket.Mode })},
		{Attribute{Name: "owner", Example: `"nobody"`, Doc: "of these files, by name or number; absent: root"},
			account(func(s *policy.Service) *string { return &s.Socket.Owner })},
		{Attribute{Name: "group", Example: `"adm"`, Doc: "likewise their group"},
			account(func(s *policy.Service) *string { return &s.Socket.Group })},
		{Attribute{Name: "backlog", Example: "128", Bounds: counts(0, valid.MaxBacklog), Doc: "0: the system's maximum"},
			number(func(s *policy.Service) *int { return &s.Socket.Backlog })},
		{Attribute{Name: "keepalive", Path: "keepalive_ns", Example: `"2m"`, Bounds: timeBounds(time.Second, valid.LongestKeepalive), Doc: "ask a silent tcp client after so long whether it is there, then four times in as long again"},
			measure(parseDuration, func(s *policy.Service) *time.Duration { return &s.Socket.Keepalive })},
		{Attribute{Name: "nodelay", Example: "true", Doc: "send small tcp segments at once"},
			flag(true, func(s *policy.Service) *bool { return &s.Socket.NoDelay })},
		{Attribute{Name: "interface", Example: `"eth0"`, Doc: "the only one whose packets tcp and udp sockets take"},
			word(func(s *policy.Service) *string { return &s.Socket.Interface })},
		{Attribute{Name: "freebind", Example: "true", Doc: "bind an address that the host does not have yet"},
			flag(true, func(s *policy.Service) *bool { return &s.Socket.Freebind })},
		{Attribute{Name: "transparent", Example: "true", Doc: "take what a firewall diverts, whatever its address (a socket that systemd passes)"},
			flag(true, func(s *policy.Service) *bool { return &s.Socket.Transparent })},
		{Attribute{Name: "send_buffer", Example: `"256KiB"`, Bounds: sizeBounds(valid.LeastBuffer, valid.MostBuffer), Doc: "up to net.core.wmem_max; absent: as it grows by itself"},
			measure(parseBuffer, func(s *policy.Service) *uint32 { return &s.Socket.SendBuffer })},
		{Attribute{Name: "receive_buffer", Example: `"256KiB"`, Bounds: sizeBounds(valid.LeastBuffer, valid.MostBuffer), Doc: "up to net.core.rmem_max"},
			measure(parseBuffer, func(s *policy.Service) *uint32 { return &s.Socket.ReceiveBuffer })},
		{Attribute{Name: "tos", Example: `"ef"`, Doc: "how routers are to treat what is sent: a DSCP name, or the byte as a number"},
			trafficClass},
		{Attribute{Name: "mark", Example: "7", Bounds: counts(0, int64(math.MaxUint32)), Doc: "what routing and firewall rules see (a socket that systemd passes)"},
			wide(func(s *policy.Service) *uint32 { return &s.Socket.Mark })},
		{Attribute{Name: "priority", Example: "4", Bounds: counts(0, valid.MaxPriority), Doc: "the queue of what is sent"},
			wide(func(s *policy.Service) *uint32 { return &s.Socket.Priority })},
	}},
}

// serviceBlock compiles a service, over the entry that it extends. What the attributes
// mean together is for Validate to judge.
func (c *compiler) serviceBlock(name string, syn *hclsyntax.Block) policy.Service {
	b := serviceTable.open(c, syn, "services."+name)
	c.put(b.path+".name", syn.LabelRanges[0])
	s := serviceBlank()
	s.Name = name
	var e *inetdEntry
	if b.has(extendsRow.Name) {
		if e = b.extended(); e != nil {
			c.entry(e, &s)
			b.override(&s)
		}
		delete(c.places, b.join(extendsRow.Name)) // no value of the policy
	} else {
		b.missing("listen", `write listen = ["tcp://:7979"]`)
	}
	serviceTable.read(b, &s)
	if s.Builtin != "" {
		b.builtin(&s)
	} else if b.has("redirect") {
		b.redirect(&s)
	} else if !b.has(extendsRow.Name) {
		b.missing("user", `write user = "nobody", or user = "dynamic" for a leased uid`)
	}
	if e != nil {
		c.settle(e, &s)
	}
	usual := "default"
	if s.Wait && s.Builtin == "" {
		usual = "wait"
	}
	s.Limit, s.Profile = cmp.Or(s.Limit, usual), cmp.Or(s.Profile, "strict")
	return s
}

// override takes back what an entry says and the block says otherwise.
func (b *block) override(s *policy.Service) {
	drop := func(name string) {
		b.c.drop(b.join(name))
	}
	ours := b.has("builtin") || b.has("redirect")
	if b.has("command") || ours {
		s.Command, s.Argv0, s.Builtin = nil, "", ""
		drop("argv0")
		drop("command")
		drop("builtin")
	}
	if ours {
		s.User, s.Group, s.Wait = "", "", false
		drop("user")
		drop("group")
		drop("wait")
	} else if b.has("command") && s.User == policy.Dynamic {
		s.User = ""
	}
	if b.has("user") && !b.has("group") { // it was the group of the entry's user
		s.Group = ""
		drop("group")
	}
	if b.has("listen") {
		s.Listen, s.Mux, s.Socket = nil, nil, policy.Socket{}
		drop("listen")
		drop("mux")
		drop("socket")
	}
}

// builtin says what a builtin has in place of the rows of programs: its worker
// always takes the listening sockets over.
func (b *block) builtin(s *policy.Service) {
	b.noProgram("a builtin")
	handOver(s)
	if !b.has("user") {
		s.User = policy.Dynamic
	}
	if s.Builtin == "qotd" {
		for i, q := range s.Says { // as it goes over the line; a heredoc ends with a newline of its own
			s.Says[i] = strings.ReplaceAll(strings.TrimRight(q, "\n"), "\n", "\r\n") + "\r\n"
		}
	}
}

// noProgram reports the rows of programs in a service that casemate-worker serves; but
// holds those that hold for it all the same.
func (b *block) noProgram(what string, but ...string) {
	for _, r := range serviceTable[0].rows {
		if a := b.syn.Body.Attributes[r.Name]; a != nil && r.Program && !slices.Contains(but, r.Name) {
			b.c.report(codeMeaning, a.NameRange, "remove "+r.Name, "%s has no %s: casemate-worker serves it", what, r.Name)
		}
	}
}

// handOver is what holds for the worker of every builtin.
func handOver(s *policy.Service) {
	s.Wait, s.Stdio, s.EnvStyle = true, sandbox.StdioFDs, nil
	s.Profile = cmp.Or(s.Profile, "builtin")
}

// What stderr says.
const (
	stderrLog    = "log"
	stderrClient = "client"
)

// stderr reads the word for one of the ways of stdio, which is read before.
func stderr(b *block, a *Attribute, s *policy.Service) {
	v, ok := b.typed(a, kindString)
	streams := s.Stdio == sandbox.StdioSocket || s.Stdio == sandbox.StdioAll
	switch {
	case !ok:
	case !slices.Contains(a.Words, v.s):
		b.c.report(codeValue, v.rng, didYouMean(v.s, a.Words, ""), "stderr: %q is not known", clip(v.s))
	case v.s == stderrClient && s.Stdio == sandbox.StdioRelay:
		b.c.report(codeMeaning, v.rng, "remove stderr, or stdio", "a relay carries what the program writes to 0 and 1, and not its 2")
	case v.s == stderrClient && !streams:
		b.c.report(codeMeaning, v.rng, "remove stderr, or stdio", "with stdio = %q the client's socket is none of the standard streams", s.Stdio)
	case v.s == stderrClient:
		s.Stdio = sandbox.StdioAll
	case s.Stdio == sandbox.StdioAll:
		b.c.report(codeMeaning, v.rng, `remove stderr, or write stdio = "socket"`, "stdio = %q has stderr go to the client", s.Stdio)
	}
}

// stdout reads the word: what is the client's by itself is in no document.
func stdout(b *block, a *Attribute, s *policy.Service) {
	v, ok := b.typed(a, kindString)
	switch {
	case !ok:
	case !slices.Contains(a.Words, v.s):
		b.c.report(codeValue, v.rng, didYouMean(v.s, a.Words, ""), "stdout: %q is not known", clip(v.s))
	case v.s == policy.StdoutLog:
		s.Stdout = v.s
	case s.Stdio != sandbox.StdioSocket && s.Stdio != sandbox.StdioAll:
		b.c.report(codeMeaning, v.rng, `write stdout = "log", or remove it`, "with stdio = %q the client's socket is none of the standard streams", s.Stdio)
	}
}

// muxPrefix is how listen writes a name of tcpmux.
const muxPrefix = "tcpmux:"

// socketMode is that of a unix socket's file when the policy names none.
const socketMode = 0o600

// listens reads listen: addresses, and names of tcpmux, which have places of their own.
func listens(b *block, a *Attribute, s *policy.Service) {
	items, _ := b.strs(a)
	var listen, mux []value
	for _, v := range items {
		if name, ok := strings.CutPrefix(v.s, muxPrefix); ok {
			s.Mux = append(s.Mux, strings.ToLower(name))
			mux = append(mux, v)
		} else if l, bad := b.c.parseListen(v.s, v.rng); bad != nil {
			b.c.report(codeValue, v.rng, bad.next, "listen: %s", bad.summary)
		} else {
			s.Listen = append(s.Listen, l)
			listen = append(listen, v)
		}
	}
	if len(mux) > 0 {
		at := b.c.places[b.join("listen")]
		b.c.drop(b.join("listen"))
		b.c.put(b.join("listen"), at)
		b.c.placeItems(b.join("listen"), listen)
		b.c.put(b.join("mux"), at)
		b.c.placeItems(b.join("mux"), mux)
	}
	if slices.ContainsFunc(s.Listen, address.Listen.File) {
		s.Socket.Mode = socketMode
	}
}

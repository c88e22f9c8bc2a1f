package chaos

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// target is one service of the storm, and how its good client comes to it.
type target struct {
	name    string
	network string // tcp, udp, unix or unixpacket
	address string
	way     string // of the program weather; a built-in's name where builtin is set
	builtin bool
	wait    bool
	closed  bool // it refuses everybody
	slow    bool // it ends slow clients
	attrs   []string
	source  string // the good client's own address
}

// nowait tells whether each client has a program of its own.
func (t *target) nowait() bool { return !t.wait && !t.builtin }

// site is the storm's policy: services of every kind, and variants of it.
type site struct {
	program string
	targets []*target
	extra   [2]string // addresses of services that come and go
	busy    string    // an address that is not ours
}

const shared = `
policy { edition = 1 }

acl "good" {
  deny { from = ["127.66.0.0/16"] }
  allow "loopback" { from = ["127.0.0.0/8"] }
  allow "here" { from = ["any"] }
}

acl "closed" {
  allow { from = ["192.0.2.0/24"] }
}

limit "open" {
  concurrent = 1000
  rate       = "100000/s"
  burst      = 100000
  session    = "%ds"
}

limit "narrow" {
  concurrent = 1000
  session    = "4s"
  per_source {
    concurrent = 33 # as many as are asked one after the other at rest: a client may be quicker than programs end
  }
  penalty {
    on    = ["crash", "violation", "timeout"]
    first = "1s"
    max   = "4s"
  }
}

limit "long" {
  concurrent = 1000
  session    = "1h"
}

limit "slow" {
  concurrent = 1000
  session    = "2m"
  first_byte = "8s"
  min_rate   = "100B/s"
}

profile "tmp" {
  base = profile.files
  files { tmp = "%dKiB" }
}

profile "init" {
  base = profile.server
  init = true
}

profile "sealed" {
  base = profile.line
  syscalls { seal = true }
}

profile "bounded" {
  base        = profile.line
  best_effort = ["cgroup"]
  resources {
    memory    = "32MiB"
    processes = 64
  }
}

profile "listener" {
  base   = profile.line
  widens = ["network"]
  network { mode = "listener" }
}
`

// newSite chooses addresses. Unix sockets are in dir.
func newSite(t *testing.T, dir string) *site {
	s := &site{program: rig.Compile(t, "testdata/weather.c")}
	for i, x := range []target{
		{name: "line", way: "client", attrs: []string{"profile = profile.line"}},
		{name: "tmp", way: "client", attrs: []string{"profile = profile.tmp"}},
		{name: "init", way: "client", attrs: []string{"profile = profile.init"}},
		{name: "sealed", way: "client", attrs: []string{"profile = profile.sealed"}},
		{name: "nobody", way: "client", attrs: []string{"profile = profile.line", `user = "nobody"`}},
		{name: "bounded", way: "client", attrs: []string{"profile = profile.bounded"}},
		{name: "narrow", way: "client", attrs: []string{"profile = profile.line", "limit = limit.narrow"}},
		{name: "silent", way: "client", attrs: []string{"profile = profile.line", `refuse = "silent"`}},
		{name: "slow", way: "client", slow: true, attrs: []string{"profile = profile.line", "limit = limit.slow"}},
		{name: "closed", way: "client", closed: true, attrs: []string{"profile = profile.line", "acl = acl.closed"}},
		{name: "local", network: "unix", way: "client", attrs: []string{"profile = profile.line"}},
		{name: "packet", network: "unixpacket", way: "client", attrs: []string{"profile = profile.line"}},
		{name: "wait", way: "listener", wait: true, attrs: []string{"profile = profile.line"}},
		{name: "dgram", network: "udp", way: "datagram", attrs: []string{"profile = profile.line"}},
		{name: "queue", network: "udp", way: "queue", wait: true, attrs: []string{"profile = profile.listener"}},
		{name: "echo", way: "echo", builtin: true},
		{name: "echo-slow", way: "echo", builtin: true, slow: true, attrs: []string{"limit = limit.slow"}},
		{name: "echo-silent", way: "echo", builtin: true, attrs: []string{`refuse = "silent"`}},
		{name: "echo-udp", network: "udp", way: "echo", builtin: true},
	} {
		x.source = fmt.Sprintf("127.0.%d.1", i+1)
		if x.network == "" {
			x.network = "tcp"
		}
		x.address = "127.0.0.1:" + rig.Port(t)
		if strings.HasPrefix(x.network, "unix") {
			x.address = filepath.Join(dir, x.name)
		}
		s.targets = append(s.targets, &x)
	}
	s.extra = [2]string{"127.0.0.1:" + rig.Port(t), "127.0.0.1:" + rig.Port(t)}
	s.busy = "127.0.0.1:" + rig.Port(t)
	return s
}

// block is the service block of a target.
func (s *site) block(x *target) string {
	scheme := map[string]string{"tcp": "tcp4://", "udp": "udp4://"}[x.network]
	if scheme == "" {
		scheme = x.network + ":"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nservice %q {\n  listen = [%q]\n", x.name, scheme+x.address)
	if x.builtin {
		fmt.Fprintf(&b, "  builtin = %q\n  linger = \"1s\"\n", x.way)
	} else {
		fmt.Fprintf(&b, "  command = [%q, %q, %q]\n", s.program, x.name, x.way)
	}
	defaults := []string{`user = "dynamic"`, "acl = acl.good", "limit = limit.open"}
	switch {
	case x.builtin:
		defaults = defaults[1:]
	case x.wait:
		b.WriteString("  wait = true\n")
		defaults[1], defaults[2] = "acl = acl.anyone", "limit = limit.wait"
	}
	for _, a := range append(defaults[:len(defaults):len(defaults)], x.attrs...) {
		key, _, _ := strings.Cut(a, " ")
		if i := strings.Index(b.String(), "\n  "+key+" ="); i < 0 && !later(key, a, x.attrs) {
			fmt.Fprintf(&b, "  %s\n", a)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// later tells whether attrs overrule the attribute a with that key.
func later(key, a string, attrs []string) bool {
	for _, o := range attrs {
		if o != a && strings.HasPrefix(o, key+" ") {
			return true
		}
	}
	return false
}

// narrowed is what one variant denies beside: some of those that bad clients come from (anywhere), and no good one.
var narrowed = netip.MustParsePrefix("127.16.0.0/12")

// narrows is the variant that does.
const narrows = 3

// variants is how many policies there are that load.
const variants = 6

// text is one of them. The first is in force before and after the storm; others
// change limits, profiles or rules, or add and remove services.
func (s *site) text(variant int) string {
	session, tmp := 4, 64
	if variant == 1 {
		session = 5
	}
	if variant == 2 {
		tmp = 128
	}
	text := fmt.Sprintf(shared, session, tmp)
	if variant == narrows {
		text = strings.Replace(text, `["127.66.0.0/16"]`, `["127.66.0.0/16", "`+narrowed.String()+`"]`, 1)
	}
	for _, x := range s.targets {
		text += s.block(x)
	}
	if variant >= 4 {
		text += s.block(&target{name: "extra", network: "tcp", address: s.extra[0], way: "client", attrs: []string{"profile = profile.tmp"}})
	}
	if variant == 5 {
		text += s.block(&target{name: "extra-queue", network: "udp", address: s.extra[1], way: "queue", wait: true, attrs: []string{"profile = profile.listener"}})
		text += s.block(&target{name: "extra-discard", network: "tcp", address: s.extra[1], way: "discard", builtin: true})
	}
	return text
}

// bad are texts that do not load, each for another reason.
func (s *site) bad() []string {
	service := func(listen, command, more string) string {
		return fmt.Sprintf("%s\nservice \"bad\" {\n  listen = [%q]\n  command = [%q]\n  acl = acl.anyone\n  profile = profile.line\n  %s\n}\n", s.text(0), listen, command, more)
	}
	return []string{
		"service \"x\" {",
		"locals { a = " + strings.Repeat("(", 100_000) + " }",
		"\x00\xff\xfe",
		s.text(0)[:len(s.text(0))/2],
		service("tcp4://"+s.extra[0], "/bin/true", `user = "nobody-at-all"`),
		service("tcp4://"+s.extra[0], "/nowhere/program", ""),
		service("tcp4://"+s.busy, "/bin/true", `user = "dynamic"`),
		service("tcp4://"+s.targets[0].address, "/bin/true", `user = "dynamic"`),
	}
}

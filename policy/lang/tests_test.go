package lang

import (
	"fmt"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/policytest"
)

// tested is a policy with all that tests are about.
const tested = head + `
locals { office = ["192.0.2.0/24", "2001:db8:10::/48"] }
acl "office" {
  deny { from = ["192.0.2.66"] }
  allow "staff" {
    from = local.office
    env  = { ROLE = "staff" }
  }
  allow "hosts" {
    from    = [".example.org"]
    command = ["/bin/other"]
  }
  allow "night" {
    from   = ["203.0.113.0/24"]
    during = ["22:00-06:00"]
  }
  allow "inside" {
    from = ["203.0.113.0/24"]
    to   = ["10.0.0.1"]
  }
  allow "root" { from = ["uid=0", "cid=3"] }
  default = "deny"
}
acl "named" {
  allow { from = [".example.org"] }
}
limit "tight" {
  concurrent = 4
  rate       = "100/s"
  burst      = 6
  session    = "10s"
  max_load   = "4"
  per_source {
    concurrent = 2
    rate       = "1/s"
    burst      = 3
  }
  penalty {
    on    = ["crash", "timeout"]
    first = "60s"
    max   = "100s"
  }
}
limit "queued" {
  concurrent   = 2
  queue        = "2s"
  queue_length = 3
  per_source { concurrent = 3 }
}
limit "none" { concurrent = 100 }
limit "chat" {
  concurrent = 100
  responses  = "5/s"
}
service "finger" {
  listen  = ["tcp://:79", "unix:/run/f.sock", "vsock:7"]
  command = ["/bin/cat", "-u"]
  user    = "nobody"
  acl     = acl.office
  limit   = limit.tight
  env     = { TZ = "UTC" }
}
service "wide" {
  listen  = ["tcp://:80"]
  command = ["/bin/cat"]
  user    = "nobody"
  acl     = acl.anyone
  limit   = limit.tight
}
service "queue" {
  listen  = ["tcp4://:81"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.anyone
  limit   = limit.queued
}
service "free" {
  listen  = ["tcp://:82"]
  command = ["/bin/cat"]
  user    = "root"
  because = "a test"
  acl     = acl.anyone
  limit   = limit.none
}
service "echo" {
  listen  = ["udp://:7"]
  command = ["/bin/cat"]
  user    = "nobody"
  acl     = acl.named
  limit   = limit.none
}
service "chat" {
  listen  = ["udp://:9"]
  builtin = "discard"
  acl     = acl.anyone
  limit   = limit.chat
}
service "handed" {
  listen  = ["tcp://:83"]
  command = ["/bin/cat"]
  user    = "nobody"
  wait    = true
  acl     = acl.anyone
}
service "off" {
  listen  = ["tcp://:84"]
  command = ["/bin/cat"]
  user    = "nobody"
  acl     = acl.anyone
  disable = true
}
service "nobody" {
  listen  = ["tcp://:85"]
  command = ["/bin/cat"]
  user    = "nobody"
}
`

var testedSources = []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(tested)}}

// testedDoc compiles it.
func testedDoc(t testing.TB) *policy.Document {
	t.Helper()
	doc, ds := Compile(testedSources)
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	return doc
}

// runTests is what comes of tests: a line for each failure, "" where all passed.
func runTests(t testing.TB, doc *policy.Document, text string) string {
	t.Helper()
	suite, ds := Tests(doc, []policy.SourceFile{{Name: "p.cmtest.hcl", Data: []byte(text)}}, testedSources)
	if suite == nil {
		return fmt.Sprintf("%s %s: %s", ds[0].Code, ds[0].Summary, ds[0].Detail)
	}
	r := policytest.Run(doc, suite, policytest.Options{})
	if len(r.Tests) == 0 || len(r.Tests) != r.Passed+r.Failed {
		t.Errorf("%d tests, %d passed, %d failed", len(r.Tests), r.Passed, r.Failed)
	}
	var out []string
	for _, res := range r.Tests {
		if res.OK != (len(res.Failures) == 0) {
			t.Errorf("%s: %+v", res.Name, res)
		}
		for _, f := range res.Failures {
			out = append(out, fmt.Sprintf("%s: want %s, got %s", f.What, f.Want, f.Got))
			if f.Place.Line == 0 || f.Place.File != "p.cmtest.hcl" || f.What != "error" && f.Client != "" && len(f.Trace) == 0 {
				t.Errorf("a failure without its place or its trace: %+v", f)
			}
		}
	}
	return strings.Join(out, "\n")
}

// TestCases: each case passes with what is true, and fails with what is not.
func TestCases(t *testing.T) {
	doc := testedDoc(t)
	for _, tt := range []struct{ body, want string }{
		{"service = service.finger\nclient = \"192.0.2.7\"\nexpect = \"allow\"", ""},
		{"service = service.finger\nclient = \"::ffff:192.0.2.66\"\nexpect = \"deny\"\nmatched = acl.office.1\nreason = \"acl\"", ""},
		{"service = service.finger\nclient = \"192.0.2.66\"\nexpect = \"allow\"", "expect: want allow, got deny (reason acl)"},
		{"service = service.finger\nclient = \"192.0.2.7\"\nexpect = \"deny\"", "expect: want deny, got allow"},
		{"service = service.finger\nclient = [\"192.0.2.7\", \"192.0.2.66\"]\nexpect = \"allow\"", "expect: want allow, got deny (reason acl)"},
		{"service = service.finger\nclient = \"192.0.2.7\"\nmatched = acl.office.staff", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nmatched = \"acl.office.staff\"", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nmatched = \"staff\"", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nmatched = 2", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nmatched = acl.office.2", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nmatched = acl.office.default", "matched: want acl.office.default, got acl.office.staff"},
		{"service = service.finger\nclient = \"192.0.2.7\"\nmatched = acl.anyone.1", "matched: want acl.anyone.1, got acl.office.staff"},
		{"service = service.finger\nclient = \"198.51.100.7\"\nexpect = \"deny\"", `error: want a decision, got it depends on the client's host name: write name = "host.example.org", or "unknown"`},
		{"service = service.finger\nclient = \"198.51.100.7\"\nname = \"unknown\"\nexpect = \"deny\"\nmatched = \"default\"", ""},
		{"service = service.finger\nclient = \"198.51.100.7\"\nname = \"paranoid\"\nexpect = \"deny\"", ""},
		{"service = service.finger\nclient = \"198.51.100.7\"\nname = \"www.example.org\"\nmatched = \"hosts\"\ncommand = [\"/bin/other\"]", ""},
		{"service = service.finger\nclient = \"198.51.100.7\"\nname = \"www.example.org\"\ncommand = [\"/bin/cat\"]", "command: want /bin/cat, got /bin/other"},
		{"service = service.finger\nclient = \"192.0.2.7\"\nuser = \"nobody\"\ngroup = \"\"\nprofile = profile.strict\nlimit = limit.tight\ncommand = [\"/bin/cat\", \"-u\"]\nenv = { ROLE = \"staff\", TZ = \"UTC\" }\nlisten = [\"vsock:7\", \"tcp://:79\", \"unix:/run/f.sock\"]", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nenv = { ROLE = \"guest\", X = 1 }", "env: want ROLE=guest, got ROLE=staff\nenv: want X=1, got X is not set"},
		{"service = service.finger\nclient = \"192.0.2.7\"\nuser = \"root\"\nlisten = [\"tcp://:79\"]", "user: want root, got nobody\nlisten: want tcp://:79, got tcp://:79, unix:/run/f.sock, vsock:7"},
		{"service = service.finger\nclient = \"192.0.2.66\"\nuser = \"nobody\"", "user: want nobody, got deny (reason acl)"},
		{"service = service.finger\nclient = \"uid=0\"\nexpect = \"allow\"\nmatched = \"root\"", ""},
		{"service = service.finger\nclient = [\"cid=3\", \"uid=1\"]\nmatched = \"root\"", "matched: want root, got acl.office.default"},
		{"service = service.free\nclient = \"192.0.2.7\"\nexpect = \"allow\"\nreason = \"acl\"", "CM501 reason is why a client is refused"},
		{"service = service.finger\nclient = \"192.0.2.7\"\nreason = \"acl\"", "reason: want acl, got allow"},
		// Nobody asks the rules about who comes to no listener.
		{"service = service.queue\nclient = \"2001:db8::1\"\nexpect = \"allow\"", "expect: want allow, got deny (reason listener)"},
		{"service = service.queue\nclient = \"2001:db8::1\"\nexpect = \"deny\"\nreason = \"listener\"", ""},
		{"service = service.queue\nclient = \"2001:db8::1\"\nreason = \"acl\"", "reason: want acl, got deny (reason listener)"},
		{"service = service.queue\narrive {\nclient = \"2001:db8::1\"\ncount = 3\n}\nallowed = 3", "allowed: want 3, got 0 of 3 allowed, the others refused: listener"},
		// Times and local addresses: what is not said admits nobody.
		{"service = service.finger\nclient = \"203.0.113.1\"\nname = \"unknown\"\nexpect = \"deny\"", ""},
		{"service = service.finger\nclient = \"203.0.113.1\"\nname = \"unknown\"\nat = \"2026-11-26T23:00:00Z\"\nmatched = \"night\"", ""},
		{"service = service.finger\nclient = \"203.0.113.1\"\nname = \"unknown\"\nat = \"2026-11-26T12:00:00Z\"\nexpect = \"deny\"", ""},
		{"service = service.finger\nclient = \"203.0.113.1\"\nname = \"unknown\"\nlocal = \"10.0.0.1\"\nmatched = \"inside\"", ""},
		{"service = service.finger\nclient = \"203.0.113.1\"\nname = \"unknown\"\nlocal = \"10.0.0.2\"\nexpect = \"deny\"", ""},
		// The clock goes on.
		{"service = service.finger\nclient = \"203.0.113.1\"\nname = \"unknown\"\nat = \"2026-11-26T21:59:59Z\"\narrive {\nexpect = \"deny\"\nreason = \"acl\"\n}\narrive {\nafter = \"1s\"\nexpect = \"allow\"\n}", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nload = \"4.0\"\nexpect = \"deny\"\nreason = \"load\"", ""},
		{"service = service.finger\nclient = \"192.0.2.7\"\nload = \"3.99\"\nexpect = \"allow\"", ""},
		// Services of other kinds.
		{"service = service.echo\nclient = \"192.0.2.7\"\nexpect = \"deny\"\nreason = \"acl\"", ""}, // whose names nobody asks for
		{"service = service.handed\nclient = \"192.0.2.7\"\nexpect = \"allow\"", ""},
		{"service = service.off\nclient = \"192.0.2.7\"\nexpect = \"deny\"\nreason = \"disabled\"\nmatched = \"disabled\"", ""},
		{"service = service.off\nclient = \"192.0.2.7\"\nexpect = \"allow\"", "expect: want allow, got deny (reason disabled)"},
		{"service = service.nobody\nclient = \"192.0.2.7\"\nexpect = \"deny\"\nreason = \"acl\"\nmatched = \"none\"", ""},
		{"service = service.*\nclient = \"192.0.2.66\"\nexpect = \"allow\"", strings.Repeat("expect: want allow, got deny (reason acl)\n", 2) + "expect: want allow, got deny (reason acl)"},
		{"service = [service.wide, service.free]\nclient = \"192.0.2.66\"\nexpect = \"allow\"", ""},
	} {
		got := runTests(t, doc, "case \"c\" {\n"+tt.body+"\n}\n")
		if got != tt.want && !(tt.want != "" && strings.HasPrefix(tt.want, "CM") && strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s\ngot  %s\nwant %s", tt.body, got, tt.want)
		}
	}
}

// TestArrivals: limits on the clock of a case.
func TestArrivals(t *testing.T) {
	doc := testedDoc(t)
	const one = "client = \"192.0.2.7\"\n"
	for _, tt := range []struct{ body, want string }{
		{"service = service.wide\n" + one + "arrive { count = 10 }\nallowed = 3\nreason = \"source-rate\"", ""},
		{"service = service.wide\n" + one + "arrive { count = 10 }\nallowed = 4\nreason = \"rate\"", "allowed: want 4, got 3 of 10 allowed, the others refused: source-rate\nreason: want rate, got 3 of 10 allowed, the others refused: source-rate"},
		{"service = service.wide\n" + one + "arrive {\ncount = 10\nwithin = \"20s\"\nexpect = \"allow\"\n}", ""},
		{"service = service.wide\n" + one + "arrive { count = 3 }\narrive {\nafter = \"999ms\"\nexpect = \"deny\"\n}\narrive {\nafter = \"1ms\"\nexpect = \"allow\"\n}", ""},
		{"service = service.wide\n" + one + "arrive {\ncount = 3\nhold = \"5s\"\n}\nallowed = 2\nreason = \"source-concurrency\"", ""},
		{"service = service.wide\narrive {\nclient = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]\ncount = 6\nhold = \"5s\"\n}\nallowed = 4\nreason = \"concurrency\"", ""},
		{"service = service.wide\narrive {\nclient = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]\ncount = 9\n}\nallowed = 6\nreason = \"rate\"", ""},
		{"service = service.wide\narrive {\nclient = [\"2001:db8::1\", \"2001:db8::ffff\"]\ncount = 4\n}\nallowed = 3\nreason = \"source-rate\"", ""}, // one /64
		// What an end earns, and how long for.
		{"service = service.wide\n" + one + "arrive { ends = \"crash\" }\narrive {\nexpect = \"deny\"\nreason = \"penalty\"\n}\narrive {\nafter = \"59999ms\"\nexpect = \"deny\"\n}\narrive {\nafter = \"1ms\"\nexpect = \"allow\"\n}", ""},
		{"service = service.wide\n" + one + "arrive {\ncount = 2\nends = \"crash\"\nhold = \"1s\"\n}\narrive {\nafter = \"1s\"\nreason = \"penalty\"\n}\narrive {\nafter = \"99s\"\nexpect = \"deny\"\n}\narrive {\nafter = \"1s\"\nexpect = \"allow\"\n}", ""}, // twice, up to max
		{"service = service.wide\n" + one + "arrive { ends = \"violation\" }\narrive { expect = \"allow\" }", ""},                                                                                                                                               // which this limit does not name
		{"service = service.wide\n" + one + "arrive { ends = \"timeout\" }\narrive {\nafter = \"9s\"\nexpect = \"allow\"\n}\narrive {\nafter = \"1s\"\nexpect = \"deny\"\nreason = \"penalty\"\n}", ""},
		{"service = service.wide\n" + one + "arrive { hold = \"11s\" }\narrive {\nafter = \"10s\"\nexpect = \"deny\"\nreason = \"penalty\"\n}", ""},
		{"service = service.wide\narrive {\nclient = \"192.0.2.1\"\nends = \"crash\"\n}\narrive {\nclient = \"192.0.2.2\"\nexpect = \"allow\"\n}", ""},
		// A queue: two places, three that wait, and none overtakes them.
		{"service = service.queue\narrive {\nclient = [\"192.0.2.1\", \"192.0.2.2\"]\ncount = 8\nhold = \"900ms\"\n}\nallowed = 5\nwaited = 3\nreason = \"concurrency\"", ""},
		{"service = service.queue\narrive {\nclient = [\"192.0.2.1\", \"192.0.2.2\"]\ncount = 5\nhold = \"3s\"\n}\nallowed = 2\nwaited = 3\nreason = \"queue\"", ""},
		{"service = service.queue\narrive {\nclient = [\"192.0.2.1\", \"192.0.2.2\"]\ncount = 4\nhold = \"1500ms\"\n}\narrive {\nclient = \"192.0.2.3\"\nafter = \"1500ms\"\nwaited = 1\nallowed = 1\n}\nwaited = 3", ""},
		// Of datagrams, the built-in's own budget: 5/s, ten at once, for each /24.
		{"service = service.chat\narrive {\nclient = [\"192.0.2.1\", \"192.0.2.2\"]\ncount = 12\n}\nallowed = 10\nreason = \"response-rate\"", ""},
		{"service = service.finger\nname = \"unknown\"\narrive {\nclient = [\"192.0.2.66\", \"192.0.2.7\"]\ncount = 4\n}\nallowed = 2\nreason = [\"acl\"]", ""},
		{"service = service.finger\nname = \"unknown\"\narrive {\nclient = [\"192.0.2.66\", \"192.0.2.7\"]\ncount = 10\n}\nallowed = 3\nreason = [\"source-rate\", \"acl\"]", ""},
		{"service = service.finger\narrive {\nclient = [\"192.0.2.7\"]\ncount = 2\nuser = \"root\"\nmatched = \"hosts\"\n}", "matched: want hosts, got acl.office.staff\nuser: want root, got nobody"},
		{"service = service.off\narrive {\nclient = \"192.0.2.7\"\nreason = \"disabled\"\nallowed = 0\n}", ""},
		{"service = service.finger\narrive {\nclient = \"198.51.100.1\"\nallowed = 0\n}", `error: want a decision, got it depends on the client's host name: write name = "host.example.org", or "unknown"`},
	} {
		if got := runTests(t, doc, "case \"c\" {\n"+tt.body+"\n}\n"); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.body, got, tt.want)
		}
	}
}

// TestInvariants: each holds, or names a client or a service.
func TestInvariants(t *testing.T) {
	doc := testedDoc(t)
	for _, tt := range []struct{ body, want string }{
		{`never = reach(service.finger, "192.0.2.66")`, ""},
		{`never = reach(service.finger, "192.0.2.66/31")`, "never: want no client of 192.0.2.66/31 is admitted, got 192.0.2.67 may be admitted"},
		{`never = reach(service.finger, "198.51.100.0/24")`, "never: want no client of 198.51.100.0/24 is admitted, got 198.51.100.7 may be admitted (name host.example.org)"},
		{`never = reach(service.echo, "any")`, ""}, // it admits by names, and nobody asks for them
		{`never = reach([service.off, service.nobody], "any")`, ""},
		{`never = reach(service.queue, "::/0")`, ""}, // it has IPv4 alone
		{`always = reach(service.finger, local.office)`, "always: want each client of 192.0.2.0/24, 2001:db8:10::/48 is admitted, got 192.0.2.66 may be refused"},
		{`always = reach(service.finger, setsubtract(local.office, ["192.0.2.0/24"]), "192.0.2.0/26")`, ""},
		{`always = reach(service.finger, "203.0.113.5")`, "always: want each client of 203.0.113.5 is admitted, got 203.0.113.5 may be refused (name unknown) (at 2026-01-05T06:00:00Z)"},
		{`always = reach(service.queue, "any")`, "always: want each client of 0.0.0.0/0, ::/0 is admitted, got :: may be refused"},
		{`always = reach(service.off, "192.0.2.1")`, "always: want each client of 192.0.2.1 is admitted, got 192.0.2.1 may be refused"},
		{`condition = alltrue([for s in services : length(s.profile.capabilities) == 0])`, ""},
		{"condition = alltrue([for s in services : !s.root])\nerror_message = \"no root\"", "condition: want true, got false for free"},
		{`condition = !anytrue([for s in services : s.root && s.because == null])`, ""},
		{`condition = length([for s in services : s if s.acl == null]) == 1`, ""},
		{`condition = alltrue([for s in services : s.limit.per_source.rate.events > 0 || !s.acl.admits_all if s.acl != null])`, "condition: want true, got false for chat, free, handed, queue"},
		{`condition = alltrue([for s in services : s.limit.session <= duration("1h")])`, ""},
		{`condition = { for s in services : s.name => s }["finger"].limit.concurrent == 4`, ""},
		{`condition = contains(services[0].networks, "udp") && services[0].name == "chat" ? 2 + 3 * 4 == 14 && 7 % 4 == 3 && -1 < 0 && 9 / 2 == 4 : false`, ""},
		{`condition = alltrue([for s in services : alltrue([for r in s.acl.rules : !contains(r.from, "any") || r.verdict == "deny"]) if s.name != "nobody" && startswith(s.name, "fin")])`, ""},
		{`condition = alltrue([for k, v in services[2].env : k == upper(v)])`, "CM301"},
		{`condition = alltrue([for s in services : !reach(s, "2001:db8:ffff::/48") if !s.acl.admits_all && !endswith(s.name, "er") && s.name != "nobody"])`, "error"},
		{`condition = alltrue([for s in services : !reach(s, "198.51.100.0/24") if s.name == "echo"])`, ""},
		{`condition = cidrcontains(local.office, "192.0.2.7") && !cidrcontains(local.office, ["192.0.2.7", "10.0.0.1"]) && cidroverlaps("192.0.0.0/16", local.office[0])`, ""},
		{`condition = services[2].profile.resources.memory <= size("1GiB") && services[2].profile.network.mode == "none" && length(services[2].profile.syscalls.allow) > 0`, ""},
		{`condition = length(services)`, "error"},
		{`condition = services[99].root`, "error"},
		{`condition = services[0].rot`, "error"},
		{`condition = services[0].name == 1`, "error"},
		{`condition = 1 / (length(services) - length(services)) == 1`, "error"},
		{`condition = 999999999999999999 * 999999999999999999 > 0`, "error"},
		{`condition = services[0].name < "x"`, "error"},
	} {
		got := runTests(t, doc, "invariant \"i\" {\n"+tt.body+"\n}\n")
		if got != tt.want && !(tt.want == "error" && strings.HasPrefix(got, "error: ")) && !(strings.HasPrefix(tt.want, "CM") && strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s\ngot  %s\nwant %s", tt.body, got, tt.want)
		}
	}
}

// TestNothingIsServed: tests of a policy that serves nothing, of which service.* is none, do not pass for that.
func TestNothingIsServed(t *testing.T) {
	doc, ds := Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head)}})
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	const none = "error: want a service, got none is served, so nothing was asked"
	for text, want := range map[string]string{
		"case \"c\" {\n service = service.*\n client = \"192.0.2.7\"\n expect = \"deny\"\n}\n": none,
		"invariant \"i\" {\n always = reach(service.*, \"any\")\n}\n":                          none,
		"invariant \"i\" {\n never = reach(service.*, \"any\")\n}\n":                           "",
	} {
		if got := runTests(t, doc, text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestConditionIsBounded: loops in loops end, and so does what is too large to be written down.
func TestConditionIsBounded(t *testing.T) {
	doc := testedDoc(t)
	for _, text := range []string{
		"[for a in services : [for b in services : [for c in services : [for d in services : [for e in services : e]]]]] == []",
		"local.z == local.z",
	} {
		locals := "locals {\n  a = [1, 2, 3, 4, 5, 6, 7, 8]\n"
		for i := range 6 {
			locals += fmt.Sprintf("  %c = [for x in local.%c : local.%c]\n", 'b'+i, 'a'+i, 'a'+i)
		}
		file := policy.SourceFile{Name: "p.cmtest.hcl", Data: []byte(locals + "}\ninvariant \"i\" { condition = " + strings.ReplaceAll(text, "local.z", "local.g") + " }\n")}
		suite, ds := readTests(doc, []policy.SourceFile{file}, nil, 1<<16)
		if suite == nil { // the locals are too large already
			if ds[0].Code != codeBounds {
				t.Errorf("%s: %+v", text, ds)
			}
			continue
		}
		r := policytest.Run(doc, suite, policytest.Options{})
		if r.Failed != 1 || !strings.Contains(r.Tests[0].Failures[0].Got, "too large") {
			t.Errorf("%s: %+v", text, r.Tests)
		}
	}
}

// TestTestDiagnostics: what is wrong with a test is told at its place before any runs, with the next step.
func TestTestDiagnostics(t *testing.T) {
	doc := testedDoc(t)
	in := func(body string) string {
		return "case \"c\" {\n service = service.finger\n client = \"192.0.2.7\"\n expect = \"allow\"\n " + body + "\n}\n"
	}
	for _, tt := range []struct{ text, code, mark, next string }{
		{strings.Replace(in(""), "finger", "figner", 1), codeReference, "figner", "did you mean service.finger?"},
		{strings.Replace(in(""), "service.finger", `"finger"`, 1), codeReference, `"finger"`, "service.NAME"},
		{strings.Replace(in(""), "service.finger", "[]", 1), codeValue, "[]", "service.NAME"},
		{strings.Replace(in(""), "service ", "# ", 1), codeMissing, `case "c"`, "service.NAME"},
		{strings.Replace(in(""), "client ", "# ", 1), codeMissing, `case "c"`, "client ="},
		{strings.Replace(in(""), "expect ", "# ", 1), codeMissing, `case "c"`, "matched"},
		{in("matched = acl.office.stff"), codeReference, "matched = acl.office.stff", "did you mean staff?"},
		{in("matched = acl.offic.x"), codeReference, "matched = acl.offic.x", "did you mean acl.office?"},
		{in("matched = acl.office.7"), codeReference, "matched = acl.office.7", "did you mean 1?"},
		{in("matched = acl.office"), codeValue, "acl.office", "acl.office.default"},
		{in("profile = profile.strct"), codeReference, "strct", "did you mean profile.strict?"},
		{in("limit = \"tigth\""), codeReference, `"tigth"`, "did you mean limit.tight?"},
		{in("reason = \"source-rates\""), codeValue, `"source-rates"`, "did you mean source-rate?"},
		{in("nme = \"x\""), codeAttr, "nme", "did you mean name?"},
		{in("name = \"a b\""), codeValue, `"a b"`, ""},
		{in("at = \"noon\""), codeValue, `"noon"`, "2026-11-26T18:30:00Z"},
		{in("local = \"x\""), codeValue, `"x"`, "192.0.2.1"},
		{in("network = \"udp\""), codeMeaning, `"udp"`, "tcp://:79"},
		{in("allowed = 3"), codeValue, "allowed = 3", "arrive"},
		{in("arrive { count = 0 }"), codeValue, "0", "1 to 100000"},
		{in("arrive { hold = \"8d\" }"), codeValue, `"8d"`, "7d"},
		{in("arrive { ends = \"boom\" }"), codeValue, `"boom"`, "crash"},
		{in("arive {}"), codeBlock, "arive", "did you mean arrive?"},
		{strings.Replace(in("arrive { count = 2 }"), "finger", "handed", 1), codeMeaning, `case "c"`, "without wait"},
		{strings.Replace(in("arrive { ends = \"timeout\" }"), "finger", "free", 1), codeMeaning, `"timeout"`, "session"},
		{strings.Replace(in("arrive { ends = \"crash\" }"), "finger", "chat", 1), codeMeaning, `"crash"`, "remove ends"},
		{strings.Replace(in("name = \"x.example.org\""), "finger", "chat", 1), codeMeaning, `"x.example.org"`, "remove name"},
		{strings.Replace(in("load = 1"), "finger", "chat", 1), codeMeaning, "1", "remove load"},
		{strings.Replace(in(""), `"192.0.2.7"`, `"uid=x"`, 1), codeValue, `"uid=x"`, ""},
		{strings.Replace(strings.Replace(in(""), "finger", "free", 1), `"192.0.2.7"`, `"uid=0"`, 1), codeMeaning, `"uid=0"`, "another client"},
		{in("") + in(""), codeDuplicate, `case "c"`, "the first is at p.cmtest.hcl:1:1"},
		{"case \"\" {}\n", codeLabel, `""`, "line of text"},
		{"case {}\n", codeLabel, "case", "NAME"},
		{"servce \"x\" {}\n", codeBlock, "servce", "case"},
		{"x = 1\n", codeAttr, "x", "invariant"},
		{"invariant \"i\" {}\n", codeMissing, `invariant "i"`, "never"},
		{"invariant \"i\" { never = 1 }\n", codeType, "1", "reach("},
		{"invariant \"i\" { never = reach(service.x, \"any\") }\n", codeReference, "x", "service.off"},
		{"invariant \"i\" { never = reach(service.*, \"192.0.2.1/24\") }\n", codeValue, `"192.0.2.1/24"`, ""},
		{"invariant \"i\" { never = reach(service.*, \".example.org\") }\n", codeValue, `".example.org"`, ""},
		{"invariant \"i\" { never = reach(service.*, []) }\n", codeValue, `[]`, ""},
		{"invariant \"i\" { condition = servces == 1 }\n", codeReference, "servces", "did you mean services?"},
		{"invariant \"i\" { condition = alltru([]) }\n", codeReference, "alltru", "did you mean alltrue?"},
		{"invariant \"i\" { condition = local.offce == 1 }\n", codeReference, "offce", "did you mean local.office?"},
		{"invariant \"i\" { condition = service.finger == 1 }\n", codeReference, "service.finger", "s.name"},
		{"invariant \"i\" { condition = " + strings.Repeat("!", 300) + "true }\n", codeSize, "!", "split"},
		{"invariant \"i\" { condition = 1.5 > 1 }\n", codeFeature, "1.5", "duration"},
		{"invariant \"i\" { condition = length([1]...) > 1 }\n", codeFeature, "...", ""},
		{"locals { a = local.b }\n", codeReference, "b", ""},
		{"locals { office = [] }\n", codeDuplicate, "office", "p.cm.hcl:3:10"},
	} {
		suite, ds := Tests(doc, []policy.SourceFile{{Name: "p.cmtest.hcl", Data: []byte(tt.text)}}, testedSources)
		if tt.mark == "office" {
			suite, ds = Tests(doc, []policy.SourceFile{{Name: "p.cmtest.hcl", Data: []byte(tt.text + "# local.x")}}, testedSources)
		}
		if suite != nil || len(ds) != 1 {
			t.Errorf("%s: %d diagnostics: %+v", tt.text, len(ds), ds)
			continue
		}
		d := ds[0]
		_, line, _ := strings.Cut(d.Snippet, "\n")
		if d.Code != tt.code || !strings.Contains(d.Detail, tt.next) || len(strings.TrimSpace(line)) < min(len(tt.mark), 60) || !strings.Contains(d.Snippet, tt.mark) {
			t.Errorf("%s: %s %q: %s\n%s\nwant %s at %s, next %s", tt.text, d.Code, d.Summary, d.Detail, d.Snippet, tt.code, tt.mark, tt.next)
		}
	}
}

// TestTestsAreNoPolicy: a file of tests is never part of a policy, and what policies may not have stays so.
func TestTestsAreNoPolicy(t *testing.T) {
	doc, ds := Compile([]policy.SourceFile{testedSources[0], {Name: "x.cmtest.hcl", Data: []byte("")}})
	if doc != nil || len(ds) != 1 || ds[0].Code != codeFeature || !strings.Contains(ds[0].Detail, "casemate test") {
		t.Errorf("%+v", ds)
	}
	in := policy.SourceFile{Name: "x.cmtest.hcl", Data: []byte("invariant \"a\" {\n  condition=1+1==2\n}\n")}
	if out, ds := Format(in); ds != nil || !strings.Contains(string(out), "condition = 1+1==2") && !strings.Contains(string(out), "condition = 1 + 1 == 2") {
		t.Errorf("%s %+v", out, ds)
	}
}

package broker

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
)

// TestBrokenRuleCommand: where the program of a rule cannot be prepared at the start, its service serves all others,
// says why, and serves that rule's clients too as soon as it can; a load with the same policy keeps both.
func TestBrokenRuleCommand(t *testing.T) {
	g, port := newRig(t), freePort(t)
	broken := errors.New("command /bin/sh: no such file")
	var there atomic.Bool
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		switch {
		case !slices.Contains(argvOf(j), "echo staff"):
			return cells(j)
		case !there.Load():
			return nil, broken
		}
		return &fakeCell{argv: argvOf(j)}, nil
	}
	s := svc("cat", "tcp", port, "/bin/cat")
	s.ACL = "roles"
	p := testPolicy(s)
	p.ACLs = append(p.ACLs[:3:3], acl.List{Name: "roles", Default: acl.Deny, Rules: []acl.Rule{
		{Verdict: acl.Allow, From: []acl.Pattern{"127.0.0.0/8"}, Command: []string{"/bin/sh", "-c", "echo staff"}}, {Verdict: acl.Allow, From: []acl.Pattern{"any"}}}})
	g.loadPolicy(p)
	if st := g.status1("cat"); st.Broken || st.Error != broken.Error() || st.Listeners[0].State != "listening" {
		t.Errorf("%+v", st)
	}
	refusedAt(t, port)
	g.expect(`"session"`, `"reason":"start-failed"`, "no such file")
	g.do(func() {
		there.Store(true)
		for _, s := range g.gen.services {
			if s.of != nil {
				g.loop.Disarm(&s.again)
				s.Expire(nil)
			}
		}
	})
	g.expect(`"msg":"service prepared anew`, `"service":"cat"`)
	staff := func() {
		t.Helper()
		if text, err := io.ReadAll(dial(t, port)); err != nil || string(text) != "staff\n" {
			t.Errorf("%q, %v", text, err)
		}
	}
	staff()
	if st := g.status1("cat"); st.Error != "" {
		t.Errorf("%+v", st)
	}
	var runs [2][]*runner
	for i := range runs {
		g.do(func() {
			for _, s := range g.gen.services {
				runs[i] = append(runs[i], s.run)
			}
		})
		if _, _, err := g.Load(); err != nil {
			t.Fatal(err)
		}
	}
	if len(runs[0]) != 2 || !slices.Equal(runs[0], runs[1]) {
		t.Errorf("a load of the same policy has %v after %v", runs[1], runs[0])
	}
	staff()
	if n := len(g.status1("cat").Listeners); n != 1 {
		t.Errorf("%d listeners", n)
	}
}

// TestRuleCommandsOfAService: a service has one program more for each command that rules of its acl have, wherever it stands.
func TestRuleCommandsOfAService(t *testing.T) {
	g := newRig(t)
	a, b := svc("a", "tcp", freePort(t), "/bin/cat"), svc("b", "tcp", freePort(t), "/bin/echo", "b")
	a.ACL, b.ACL = "roles", "roles"
	rule := func(from string, command ...string) acl.Rule {
		return acl.Rule{Verdict: acl.Allow, From: []acl.Pattern{acl.Pattern(from)}, Command: command}
	}
	p := testPolicy(a, b)
	p.ACLs = append(p.ACLs[:3:3], acl.List{Name: "roles", Default: acl.Deny, Rules: []acl.Rule{rule("192.0.2.1", "/bin/echo", "1"), rule("192.0.2.2", "/bin/echo", "2"), rule("192.0.2.3", "/bin/echo", "1"), rule("any")}})
	doc, err := newDocument(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := g.candidate(&generation{doc: doc})
	defer c.site.Close()
	if err := c.plan(doc); err != nil {
		t.Fatal(err)
	}
	if n := len(c.plans); n != 6 {
		t.Fatalf("%d programs", n)
	}
	for i, s := range c.gen.services {
		s.run = newRunner(g.Broker, s.name, hands.NoCell{Err: errors.New(s.name + fmt.Sprint(s.spec.Command))})
		if own := i < 2; own != (s.of == nil) || own != (len(s.others) == 2) || own != (len(c.plans[i].Sockets) > 0) || c.plans[i].Job.Service != s.name {
			t.Errorf("%d: %s of %v with %d others and %d sockets", i, s.name, s.of, len(s.others), len(c.plans[i].Sockets))
		}
	}
	for rule, want := range map[int]string{0: "a[/bin/echo 1]", 1: "a[/bin/echo 2]", 2: "a[/bin/echo 1]", 3: "a[/bin/cat]", decide.RuleDefault: "a[/bin/cat]", decide.RuleNoACL: "a[/bin/cat]"} {
		if got := c.gen.services[0].runner(rule).cell.(hands.NoCell).Err.Error(); got != want {
			t.Errorf("rule %d: %q, want %q", rule, got, want)
		}
	}
}

// TestRuleOfAnotherPolicy: who goes on with a program of the broker before knows its rule by the place in the policy that ran then.
func TestRuleOfAnotherPolicy(t *testing.T) {
	own, other := new(runner), new(runner)
	s := &service{run: own, rules: rules{list: &acl.List{Rules: []acl.Rule{{Command: []string{"/bin/id"}}}}},
		others: []*service{{run: other, spec: &policy.Service{Command: []string{"/bin/id"}}}}}
	for rule, want := range map[int]*runner{0: other, 1: own, 7: own, decide.RuleDefault: own} {
		if s.runner(rule) != want {
			t.Errorf("rule %d is started by another runner", rule)
		}
	}
}

package broker

import (
	"strings"
	"testing"

	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
	"casemate/policy/control"
)

// bug waits for the record of a panic; it holds the stack.
func (g *rig) bug(where string) {
	g.t.Helper()
	g.expect(`"msg":"bug"`, "goroutine ", where)
}

// TestPanicFailsALoad: wherever a load panics, it fails, and what serves goes on.
func TestPanicFailsALoad(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	echoes(t, dial(t, port))
	compile, cells := g.compile, g.cells
	for _, tt := range []struct {
		name, where string
		breaks      func()
	}{
		{"compiler", "TestPanicFailsALoad", func() {
			g.compile = func(string) (*policy.Document, []policy.Diagnostic, error) { panic("boom") }
		}},
		{"sandbox", "TestPanicFailsALoad", func() { g.cells = func(*warden.Job) (hands.Cell, error) { panic("boom") } }},
		{"zygote", "fakeCell", func() { g.cells = func(*warden.Job) (hands.Cell, error) { return &fakeCell{boom: true}, nil } }},
		{"plan", "planService", func() {
			g.compile = func(string) (*policy.Document, []policy.Diagnostic, error) {
				doc := *g.doc
				p := *doc.Policy
				p.Limits, doc.Policy = nil, &p
				return &doc, nil, nil
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.setPolicy(svc("cat", "tcp", port, "/bin/cat"), svc("new", "tcp", freePort(t), "/bin/cat"))
			tt.breaks()
			digest, _, err := g.Load()
			if err == nil || !strings.Contains(err.Error(), "bug: ") || digest == g.doc.Digest {
				t.Errorf("%s, %v", digest, err)
			}
			g.bug(tt.where)
			g.compile, g.cells = compile, cells
			echoes(t, dial(t, port))
		})
	}
	g.load(svc("cat", "tcp", port, "/bin/cat"), svc("new", "tcp", freePort(t), "/bin/cat"))
}

// TestPanicInCommit: the loader is told, not left waiting or told "done".
func TestPanicInCommit(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	g.setPolicy(svc("cat", "tcp", port, "/bin/cat"), svc("new", "tcp", freePort(t), "/bin/cat"))
	g.do(func() { g.sockets["broken"] = nil })
	if _, _, err := g.Load(); err != loop.ErrBug {
		t.Errorf("%v", err)
	}
	g.bug("")
	g.do(func() { delete(g.sockets, "broken") })
	echoes(t, dial(t, port))
	g.load(svc("cat", "tcp", port, "/bin/cat"))
}

// TestPanicOnTheWayOut: a session that panics on its way gives its place back.
func TestPanicOnTheWayOut(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.Limit = "one"
	g.load(s)
	fake := g.fakes["cat"]

	fake.set(func() { fake.boom = true })
	if !refusedAt(t, port) {
		t.Error("served by a zygote that panics")
	}
	g.bug("fakeZygote")
	g.do(func() { g.gen.services[0].run.drop() })
	if !refusedAt(t, port) {
		t.Error("served without a zygote")
	}
	g.bug("fakeCell")
	fake.set(func() { fake.boom = false })

	c := dial(t, port)
	echoes(t, c)
	g.running(1, func(s *session) { // its record cannot be made
		broken := *s.svc
		broken.gen, s.svc = nil, &broken
	})
	c.Close()
	g.bug("reaped")
	echoes(t, dial(t, port))
	if st := g.status1("cat"); st.Live != 1 {
		t.Errorf("%d live, want the last", st.Live)
	}
}

// TestPanicBeforeTheDecision: a client whose decision panics is closed, not held.
func TestPanicBeforeTheDecision(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	var tally *tally
	g.do(func() { s := g.gen.services[0]; tally, s.tally = s.tally, nil })
	if !refusedAt(t, port) {
		t.Error("not closed")
	}
	g.bug("admit")
	g.do(func() { g.gen.services[0].tally = tally })
	echoes(t, dial(t, port))
}

// TestPanicOfTheControl: the question has no answer, the next one has.
func TestPanicOfTheControl(t *testing.T) {
	g := newRig(t)
	g.load(svc("cat", "tcp", freePort(t), "/bin/cat"))
	var cell hands.Cell
	g.do(func() { r := g.gen.services[0].run; cell, r.cell = r.cell, nil })
	if _, err := g.status(control.Request{Service: "cat"}); err != loop.ErrBug {
		t.Errorf("%v", err)
	}
	g.bug("status")
	g.do(func() { g.gen.services[0].run.cell = cell })
	g.status1("cat")
}

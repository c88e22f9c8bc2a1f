package broker

import (
	"casemate/policy/control"
	"io"
	"testing"
)

// TestKill: sessions end when somebody asks, those that do not hear it after a while or
// at once, without a penalty for their clients; and nobody else does.
func TestKill(t *testing.T) {
	g, polite, deaf := newRig(t), freePort(t), freePort(t)
	p, d := svc("polite", "tcp", polite, "/bin/cat"), svc("deaf", "tcp", deaf, "/bin/sh", "-c", "trap '' TERM; cat")
	p.Limit, d.Limit = "patient", "patient"
	g.load(d, p)
	end := func(q control.Request) []control.SessionStatus {
		t.Helper()
		q.Verb = control.VerbKill
		a, _ := g.answer(q, 0)
		if !a.OK {
			t.Error(a.Error)
		}
		return a.Sessions
	}
	one, other := dial(t, polite), dial(t, polite)
	echoes(t, one)
	echoes(t, other)
	st, err := g.status(control.Request{Service: "polite"})
	if err != nil || len(st.Sessions) != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	first := st.Sessions[0].ID
	if got := end(control.Request{Sessions: []uint64{first, 7}}); len(got) != 1 || got[0].ID != first || got[0].PID != st.Sessions[0].PID {
		t.Errorf("ended %+v, want %+v", got, st.Sessions[0])
	}
	g.expect(`"session"`, `"signal":"SIGTERM","reason":"killed"`)
	if n, err := one.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("its client read %d bytes, %v, want an orderly end", n, err)
	}
	if got := end(control.Request{Sessions: []uint64{first}}); len(got) != 0 {
		t.Errorf("ended %+v, which is over", got)
	}
	echoes(t, other)

	c, d2 := dial(t, deaf), dial(t, deaf)
	echoes(t, c)
	echoes(t, d2)
	if got := end(control.Request{Service: "deaf"}); len(got) != 2 {
		t.Errorf("ended %+v, want two", got)
	}
	echoes(t, c) // it has its grace
	again := end(control.Request{Service: "deaf"})
	if len(again) != 2 {
		t.Fatalf("%+v, want the two that did not hear it", again)
	}
	end(control.Request{Sessions: []uint64{again[0].ID}, Now: true})
	for range 2 { // one by that, one after its grace
		g.expect(`"session"`, `"service":"deaf"`, `"signal":"SIGKILL","reason":"killed"`)
	}
	echoes(t, other)
	echoes(t, dial(t, polite))
	echoes(t, dial(t, deaf)) // no penalty
}

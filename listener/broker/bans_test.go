package broker

import (
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl/ban"
	"casemate/listener/wire/far"
	"casemate/policy/control"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// operates does a request that is to succeed.
func (g *rig) operates(q control.Request) control.Response {
	g.t.Helper()
	a, _ := g.answer(q, 7)
	if !a.OK {
		g.t.Fatalf("%s: %s", q.Verb, a.Error)
	}
	return a
}

// shutOut tells whether a new client, from that address of loopback, is shut out.
func shutOut(t *testing.T, from string, port uint16) bool {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp4", netip.AddrPortFrom(loopback, port).String())
	if err != nil {
		return true
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = c.Write([]byte("x")); err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	return err != nil
}

var local2 = netip.MustParsePrefix("127.0.0.2/32")

// TestBan: a banned source is refused at once by the services that it is banned from, with a reason of its own, until that is taken
// back or its time is over; nobody else is, and sessions go on unless they are to end.
func TestBan(t *testing.T) {
	g, one, two := newRig(t), freePort(t), freePort(t)
	a, b := svc("one", "tcp", one, "/bin/cat"), svc("two", "tcp", two, "/bin/cat")
	g.load(a, b)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := d.Dial("tcp4", netip.AddrPortFrom(loopback, one).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echoes(t, c)

	got := g.operates(control.Request{Verb: control.VerbBan, Prefix: local2, Services: []string{"one"}, For: time.Hour})
	if len(got.Bans) != 1 || got.Bans[0].UID != 7 || got.Bans[0].Service != "one" || got.Unkept == "" {
		t.Errorf("%+v", got)
	}
	g.expect(`"msg":"banned"`, `"service":"one","text":"127.0.0.2/32 until `, `"asked_uid":7`)
	if !shutOut(t, "127.0.0.2", one) || shutOut(t, "127.0.0.2", two) || shutOut(t, "127.0.0.1", one) {
		t.Error("the wrong ones are refused")
	}
	if line := g.expect(`"decision"`, `"verdict":"deny","reason":"ban","rule":"none"`); strings.Contains(line, `"limit"`) {
		t.Errorf("a limit has part in %s", line)
	}
	echoes(t, c)
	if st := g.status1("one"); st.RefusedBy[ban.ReasonBan] != 1 {
		t.Errorf("counted %v", st.RefusedBy)
	}
	_, live, err := g.document(control.Request{Service: "one", Client: local2.Addr()})
	if err != nil || live.Refusal != ban.ReasonBan || live.Retry < 59*time.Minute || live.Retry > time.Hour {
		t.Errorf("%+v, %v", live, err)
	}

	g.operates(control.Request{Verb: control.VerbBan, Prefix: netip.MustParsePrefix("127.0.0.0/30"), Ends: true})
	if line := g.expect(`"session"`, `"reason":"killed"`); !strings.Contains(line, `"detail":"its client was banned"`) {
		t.Errorf("it says not why: %s", line)
	}
	if !shutOut(t, "127.0.0.1", two) || shutOut(t, "127.0.0.4", two) {
		t.Error("a prefix refuses more or less than it holds")
	}
	g.load(a, b) // a reload changes nothing
	got = g.operates(control.Request{Verb: control.VerbUnban, Prefix: local2})
	if len(got.Bans) != 1 || len(got.Still) != 1 || got.Still[0].Prefix.Bits() != 30 || !shutOut(t, "127.0.0.2", one) {
		t.Errorf("taken back: %+v", got)
	}
	if got = g.operates(control.Request{Verb: control.VerbBans}); len(got.Bans) != 1 || !got.Bans[0].Until.IsZero() {
		t.Errorf("there are %+v", got.Bans)
	}
	g.operates(control.Request{Verb: control.VerbUnban, Prefix: netip.MustParsePrefix("127.0.0.0/30")})
	if shutOut(t, "127.0.0.2", one) {
		t.Error("refused after it was taken back")
	}

	g.operates(control.Request{Verb: control.VerbBan, Prefix: local2, For: 300 * time.Millisecond})
	g.expect(`"msg":"ban is over"`, `"text":"127.0.0.2/32 until `)
	if shutOut(t, "127.0.0.2", one) {
		t.Error("refused after its time")
	}
}

// TestBanIsRefused: what cannot be banned, or not for so long, changes nothing.
func TestBanIsRefused(t *testing.T) {
	g := newRig(t)
	w := svc("takes", "tcp", freePort(t), "/bin/cat")
	w.Wait = true
	g.load(svc("one", "tcp", freePort(t), "/bin/cat"), w)
	for _, tt := range []struct {
		q    control.Request
		want string
	}{
		{control.Request{Verb: control.VerbBan}, "no address"},
		{control.Request{Verb: control.VerbBan, Prefix: netip.MustParsePrefix("127.0.0.1/8")}, "write 127.0.0.0/8"},
		{control.Request{Verb: control.VerbBan, Prefix: local2, Services: []string{"none"}}, `service "none" is not in the policy in force`},
		{control.Request{Verb: control.VerbBan, Prefix: local2, Services: []string{"one", "takes"}}, "takes its clients itself"},
		{control.Request{Verb: control.VerbBan, Prefix: local2, For: ban.MaxFor + 1}, "is not between"},
		{control.Request{Verb: control.VerbDrain, Service: "takes"}, "takes its clients itself"},
		{control.Request{Verb: control.VerbDrain, Service: "none"}, "is not in the policy in force"},
		{control.Request{Verb: control.VerbUndrain, Service: "none"}, "is not in the policy in force"},
	} {
		if a, _ := g.answer(tt.q, 0); a.OK || !strings.Contains(a.Error, tt.want) {
			t.Errorf("%+v: %+v, want %q", tt.q, a, tt.want)
		}
	}
	if a := g.operates(control.Request{Verb: control.VerbBan, Prefix: local2}); !slices.Equal(a.Unheld, []string{"takes"}) {
		t.Errorf("for all: %+v", a)
	}
	if a := g.operates(control.Request{Verb: control.VerbBans}); len(a.Bans) != 1 {
		t.Errorf("there are %+v", a.Bans)
	}
}

// TestDrain: a drained service takes no new client until that is taken back, also over reloads, and those who wait for a place are let go;
// the sessions it has go on.
func TestDrain(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("one", "tcp", port, "/bin/cat")
	g.load(s)
	c := dial(t, port)
	echoes(t, c)
	g.operates(control.Request{Verb: control.VerbDrain, Service: "one"})
	g.expect(`"msg":"drained"`, `"service":"one"`, `"asked_uid":7`)
	for range 2 {
		if !shutOut(t, "127.0.0.1", port) {
			t.Error("it takes a client")
		}
		g.expect(`"decision"`, `"reason":"drain","rule":"none"`)
		echoes(t, c)
		if st := g.status1("one"); st.Drained.IsZero() || st.Live != 1 {
			t.Errorf("%+v", st)
		}
		g.load(s)
	}
	if a := g.operates(control.Request{Verb: control.VerbUndrain, Service: "one"}); len(a.Drains) != 1 {
		t.Errorf("%+v", a)
	}
	if shutOut(t, "127.0.0.1", port) {
		t.Error("it takes nobody after that is taken back")
	}
	if a := g.operates(control.Request{Verb: control.VerbUndrain, Service: "one"}); len(a.Drains) != 0 {
		t.Errorf("a second time: %+v", a)
	}
	g.operates(control.Request{Verb: control.VerbDrain, Service: "one"})
	g.load(svc("other", "tcp", port, "/bin/cat"))
	g.load(s) // a service of that name that came later
	if shutOut(t, "127.0.0.1", port) {
		t.Error("a drain outlives its service")
	}
}

// TestBansAreKept: the broker that follows has the bans and the drains of the one before.
func TestBansAreKept(t *testing.T) {
	path := t.TempDir() + "/said"
	open := func() *rig {
		g := newRig(t)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		g.do(func() { g.bans.slots = slots{file: f}; g.bans.resume() })
		return g
	}
	port := freePort(t)
	g := open()
	g.load(svc("one", "tcp", port, "/bin/cat"))
	for _, q := range []control.Request{{Verb: control.VerbBan, Prefix: local2, For: time.Hour}, {Verb: control.VerbBan, Prefix: netip.MustParsePrefix("2001:db8::/32"), Services: []string{"one"}},
		{Verb: control.VerbDrain, Service: "one"}} {
		if a := g.operates(q); a.Unkept != "" {
			t.Errorf("%s: %s", q.Verb, a.Unkept)
		}
	}
	before := g.operates(control.Request{Verb: control.VerbBans})
	g = open()
	after := g.operates(control.Request{Verb: control.VerbBans})
	was, _ := json.Marshal([]any{before.Bans, before.Drains})
	if is, _ := json.Marshal([]any{after.Bans, after.Drains}); string(is) != string(was) || len(after.Bans) != 2 {
		t.Errorf("after the end of its broker\n%s, was\n%s", is, was)
	}
	g.load(svc("other", "tcp", freePort(t), "/bin/cat"))
	g = open()
	if now := g.operates(control.Request{Verb: control.VerbBans}); len(now.Drains) != 0 || len(now.Bans) != 2 {
		t.Errorf("a drain that its service's end has ended is back after the end of its broker: %+v", now.Drains)
	}
	if err := os.WriteFile(path, []byte("1 2 x\n{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	open().expect("bans that were kept are lost")
}

// TestBanWhileItStarts: what an operator says while a session starts holds for it as well: it ends, where that was said, and the worker
// of a built-in is told.
func TestBanWhileItStarts(t *testing.T) {
	g, one, two := newRig(t), freePort(t), freePort(t)
	meanwhile := func(q control.Request) func(*zygote.Request) {
		return func(*zygote.Request) { // on the loop
			var a control.Response
			next := g.bans.copy()
			if err := g.ban(next, &q, 7, &a); err != nil {
				t.Error(err)
			}
			g.bans.put(next)
			g.shun(a.Bans)
		}
	}
	ends := meanwhile(control.Request{Prefix: netip.MustParsePrefix("127.0.0.1/32"), Services: []string{"one"}, Ends: true})
	tells := meanwhile(control.Request{Prefix: local2})
	told := make(chan *os.File, 8)
	g.fakes["one"] = &fakeCell{argv: []string{"/bin/cat"}, saw: ends}
	g.fakes["echo"] = &fakeCell{argv: []string{"/bin/sleep", "1000"}, saw: func(q *zygote.Request) {
		if fd, err := unix.FcntlInt(uintptr(q.FDs[0]), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			told <- os.NewFile(uintptr(fd), "told")
		}
		tells(q)
	}}
	echo := svc("echo", "tcp4", two)
	echo.Command, echo.Builtin, echo.Wait, echo.Stdio = nil, "echo", true, "listen_fds"
	g.load(echo, svc("one", "tcp", one, "/bin/cat"))
	dial(t, one)
	g.expect(`"session"`, `"service":"one"`, `"reason":"killed","detail":"its client was banned"`)
	dial(t, two)
	f := <-told
	defer f.Close()
	var state ban.State
	eventually(t, func() bool {
		_, said, err := far.DecodeSaid(f, 0)
		if err == nil && said != nil {
			state = said.State
		}
		return len(state.Bans) > 0
	})
	if len(state.Bans) != 1 || state.Bans[0].Prefix != local2 {
		t.Errorf("the worker is told %+v", state)
	}
}

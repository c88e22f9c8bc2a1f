package builtin

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/ban"
	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// saying is a worker's file, whose text an operator may change.
type saying struct {
	t       *testing.T
	f       *os.File
	version uint64
}

func newSaying(t *testing.T) *saying {
	fd, err := unix.MemfdCreate("said", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "said")
	t.Cleanup(func() { f.Close() })
	return &saying{t: t, f: f}
}

func (s *saying) say(state ban.State) {
	s.t.Helper()
	s.put(wire.Said{State: state})
}

func (s *saying) put(said wire.Said) {
	s.t.Helper()
	s.version++
	text, err := wire.EncodeSaid(s.version, &said)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, part := range []struct{ from, to int }{{wire.SaidVersion, len(text)}, {0, wire.SaidVersion}} {
		if _, err := s.f.WriteAt(text[part.from:part.to], wire.SaidAt+int64(part.from)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestSaid: a built-in refuses banned clients, or all of them, from the moment that it is said until it is taken back, over tcp and udp;
// sessions that are there go on, or end where that was said as well.
func TestSaid(t *testing.T) {
	s := newSaying(t)
	shun := make(chan os.Signal, 1)
	r := &running{t: t, leaving: make(chan struct{}), done: make(chan error, 1), said: s.f, shun: shun}
	r.serve(config("echo"), "127.0.0.1:0", "tcp", "udp")
	echoes := func(c net.Conn) bool {
		t.Helper()
		if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("x"))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err == nil
	}
	served := func() bool {
		c, err := net.Dial("tcp", r.tcp) // which may see the refusal already
		if err != nil {
			return false
		}
		defer c.Close()
		return echoes(c)
	}
	live, err := net.Dial("tcp", r.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if !echoes(live) || !served() {
		t.Fatal("nobody is served")
	}
	this := netip.MustParsePrefix("127.0.0.0/30")
	s.say(ban.State{Bans: []ban.Ban{{Prefix: this, Service: "echo"}}})
	if served() || !echoes(live) {
		t.Error("a banned client is served, or one that was there is not")
	}
	u, err := net.Dial("udp", r.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	_, _ = u.Write([]byte("x"))
	eventually(t, "records of both refusals", func() bool { return refused(r, "ban") == 2 })
	s.say(ban.State{Bans: []ban.Ban{{Prefix: this, Until: time.Now().Add(-time.Second)}, {Prefix: netip.MustParsePrefix("127.0.1.0/24")}}})
	if !served() || !echoes(u) {
		t.Error("a ban that is over, or of somebody else, refuses")
	}
	s.say(ban.State{Drains: []ban.Drain{{Service: "echo"}}})
	if served() || !echoes(live) {
		t.Error("a drained service serves a new client, or no old one")
	}
	s.say(ban.State{Bans: []ban.Ban{{Prefix: this, Ends: true}}})
	shun <- wire.Shun
	eventually(t, "its record", func() bool {
		return slices.ContainsFunc(r.log.records(t, "session"), func(m map[string]any) bool {
			return m["reason"] == "killed" && m["detail"] == "its client was banned"
		})
	})
	if echoes(live) {
		t.Error("a session that was to end goes on")
	}
	s.say(ban.State{})
	if !served() {
		t.Error("nobody is served after all is taken back")
	}
	for i, of := range []struct {
		from string
		ends bool
	}{{"127.0.0.0/8", false}, {"192.0.2.0/24", true}} {
		c, err := net.Dial("tcp", r.tcp)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !echoes(c) {
			t.Fatal("nobody is served")
		}
		s.put(wire.Said{Narrowed: uint64(i + 1), Admits: &acl.List{Name: "new", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{acl.Pattern(of.from)}}}, Default: acl.Deny}})
		shun <- wire.Shun
		if of.ends {
			eventually(t, "its record", func() bool {
				return slices.ContainsFunc(r.log.records(t, "session"), func(m map[string]any) bool {
					return m["reason"] == "killed" && m["detail"] == "the policy that was loaded does not admit its client"
				})
			})
		}
		if echoes(c) == of.ends {
			t.Errorf("narrowed to %s, its session ends: %v", of.from, !of.ends)
		}
	}
}

// TestShunsInSpiteOfLongerBans: who is to be ended by one ban is, whatever other bans there are of networks around it that last longer and end nobody.
func TestShunsInSpiteOfLongerBans(t *testing.T) {
	s := newSaying(t)
	s.say(ban.State{Bans: []ban.Ban{
		{Prefix: netip.MustParsePrefix("192.0.2.0/24")}, // without an end; whoever was there went on
		{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Service: "echo", Until: time.Now().Add(time.Hour), Ends: true},
	}})
	of := newSaid()
	of.from = s.f
	for from, ends := range map[string]bool{"192.0.2.7": true, "192.0.2.8": false, "192.0.3.7": false} {
		c := &client{peer: inbound.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(from), 7)}}
		if why := of.shuns(c, "echo"); (why != "") != ends {
			t.Errorf("%s is ended: %q", from, why)
		}
		if why := of.shuns(c, "time"); why != "" {
			t.Errorf("%s is ended elsewhere: %q", from, why)
		}
	}
}

// TestShunsWhoIsBeingAdmitted: a client who was asked about before it was banned, and registered after the sessions of those were ended, ends
// as well.
func TestShunsWhoIsBeingAdmitted(t *testing.T) {
	c := config("chargen")
	c.Limit.Concurrent, c.Limit.EarlyDrop = 10, limit.EarlyDrop{Start: 1, Percent: 1}
	s, addr := listening(t, c, func(journal.Record) {})
	defer s.close()
	of := newSaying(t)
	s.gate.said.from = of.f
	if _, refusal := s.gate.limiter.Admit(s.gate.now(), admission.Source{}); refusal.Refused() { // so that there is a draw
		t.Fatal(refusal)
	}
	s.gate.limiter.Draw = func() uint64 {
		of.say(ban.State{Bans: []ban.Ban{{Prefix: netip.MustParsePrefix("127.0.0.0/8"), Ends: true}}})
		s.endShunned()
		return ^uint64(0)
	}
	client, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	in, err := s.listeners[0].Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn, w, v := s.decide(in)
	if conn == nil {
		t.Fatalf("refused: %+v", v)
	}
	ended := make(chan struct{})
	go func() { s.serve(conn, w, v); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the session of a banned client goes on")
	}
}

// refused counts the records of refusals for a reason, none of which names a rule or a limit that has no part in it.
func refused(r *running, reason string) (n int) {
	for _, m := range r.log.records(r.t, "decision") {
		if m["reason"] == reason {
			n++
			if m["rule"] != "none" || m["limit"] != nil {
				r.t.Errorf("a ban's record has %v", m)
			}
		}
	}
	return n
}

// TestLeavesThoughNothingIsHeard: a worker that is told in its file alone to leave does with the next who comes, whom it holds to the rules that stand
// there, in place of its own; whoever was there is served to the end. One that finds that there when it begins serves nobody.
func TestLeavesThoughNothingIsHeard(t *testing.T) {
	only := func(from acl.Pattern) wire.Said {
		return wire.Said{Leave: true, Admits: &acl.List{Name: "new", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{from}}}, Default: acl.Deny}}
	}
	for _, of := range []struct{ builtin, own, new, ask, answer string }{
		{"echo", "127.0.0.0/8", "127.0.0.1", "x", "x"},
		{"echo", "127.0.0.0/8", "127.0.0.2", "x", ""},
		{"echo", "127.0.0.2", "127.0.0.1", "x", "x"},
		{"auth", "127.0.0.0/8", "127.0.0.1", "6191, 23\r\n", "6191 , 23 : ERROR : HIDDEN-USER\r\n"},
		{"auth", "127.0.0.0/8", "127.0.0.2", "6191, 23\r\n", ""},
	} {
		s := newSaying(t)
		r := &running{t: t, leaving: make(chan struct{}), done: make(chan error, 1), said: s.f}
		c := config(of.builtin)
		c.ACL = &acl.List{Name: "own", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{acl.Pattern(of.own), "127.0.0.3"}}}, Default: acl.Deny}
		r.serve(c, "127.0.0.1:0", "tcp")
		dial := func(from string) *net.TCPConn {
			t.Helper()
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", r.tcp)
			if errors.Is(err, unix.ECONNRESET) { // refused at once, which connect(2) may see already
				return nil
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			return c.(*net.TCPConn)
		}
		answer := func(c *net.TCPConn) string {
			if c == nil {
				return ""
			}
			_, _ = io.WriteString(c, of.ask)
			_ = c.CloseWrite()
			text, _ := io.ReadAll(c)
			return string(text)
		}
		old := dial("127.0.0.3")
		eventually(t, "its record", func() bool { return len(r.log.records(t, "decision")) == 1 })
		s.put(only(acl.Pattern(of.new)))
		if got := answer(dial("127.0.0.1")); got != of.answer {
			t.Errorf("%+v: %q", of, got)
		}
		eventually(t, "the end of its listener", func() bool {
			c, err := net.Dial("tcp", r.tcp)
			if err == nil {
				c.Close()
			}
			return errors.Is(err, unix.ECONNREFUSED)
		})
		if got := answer(old); got == "" {
			t.Errorf("%+v: who was there is not served to the end", of)
		}
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		close(r.done)

		r = &running{t: t, leaving: make(chan struct{}), done: make(chan error, 1), said: s.f}
		r.serve(c, "127.0.0.1:0", "tcp")
		if err := <-r.done; err != nil || len(r.log.records(t, "decision")) > 0 {
			t.Errorf("one that begins: %v, %v", err, r.log.records(t, "decision"))
		}
		close(r.done)
	}
}

// TestLeavesWithADatagram: whoever has sent one is the next worker's.
func TestLeavesWithADatagram(t *testing.T) {
	s := newSaying(t)
	r := &running{t: t, leaving: make(chan struct{}), done: make(chan error, 1), said: s.f}
	r.serve(config("echo"), "127.0.0.1:0", "udp")
	s.put(wire.Said{Leave: true, Admits: anyone})
	c, err := net.Dial("udp", r.udp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("x"))
	if err := <-r.done; err != nil || len(r.log.records(t, "decision")) > 0 {
		t.Errorf("%v, %v", err, r.log.records(t, "decision"))
	}
	close(r.done)
}

// TestNarrowsOnce: sessions are held to what a load says once: whoever comes later, or was there and is admitted, is not ended because another one's sessions
// are to end.
func TestNarrowsOnce(t *testing.T) {
	s := newSaying(t)
	of := newSaid()
	of.from = s.f
	was, later := &client{peer: inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:7")}}, &client{peer: inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.8:7")}}
	ask := func(said wire.Said, c *client, ends bool) {
		t.Helper()
		s.put(said)
		if why := of.shuns(c, "echo"); (why != "") != ends {
			t.Errorf("%s is ended: %q, by %+v", c.peer.Addr, why, said)
		}
	}
	all, nobody := &acl.List{Name: "now", Default: acl.Allow}, &acl.List{Name: "now", Default: acl.Deny} // as by a rule's time
	other := ban.State{Bans: []ban.Ban{{Prefix: netip.MustParsePrefix("192.0.2.9/32"), Ends: true}}}
	ask(wire.Said{Narrowed: 1, Admits: all}, was, false)
	of.refuses(later, "echo")
	ask(wire.Said{Narrowed: 1, Admits: nobody, State: other}, was, false)
	ask(wire.Said{Narrowed: 1, Admits: nobody, State: other}, later, false)
	ask(wire.Said{Narrowed: 2, Admits: nobody}, was, true)
	ask(wire.Said{Narrowed: 2, Admits: nobody}, later, true)
}

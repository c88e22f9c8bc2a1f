package broker

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"casemate/acl"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// TestNarrow: a load ends the sessions whose client the new policy does not admit, where it is asked to or the policy says so, each with
// a record that says why; without either it leaves them, and those that it admits go on in any case.
func TestNarrow(t *testing.T) {
	g, port := newRig(t), freePort(t)
	with := func(mode policy.NarrowMode, from ...acl.Pattern) {
		t.Helper()
		p := testPolicy(svc("one", "tcp", port, "/bin/cat"))
		p.OnNarrow = mode
		for i := range p.ACLs {
			if p.ACLs[i].Name == p.Services[0].ACL && len(from) > 0 {
				p.ACLs[i].Rules = []acl.Rule{{Verdict: acl.Allow, From: from}}
			}
		}
		g.put(p)
	}
	session := func(from string) net.Conn {
		t.Helper()
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp4", netip.AddrPortFrom(loopback, port).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		echoes(t, c)
		return c
	}
	load := func(ends bool, want int) {
		t.Helper()
		a := g.operates(control.Request{Verb: control.VerbReload, Ends: ends})
		if len(a.Sessions) != want {
			t.Errorf("%d sessions end, want %d", len(a.Sessions), want)
		}
		for range want {
			g.expect(`"session"`, `"client":"127.0.0.3"`, `"reason":"killed","detail":"the policy that was loaded does not admit its client"`)
		}
	}
	with("")
	load(false, 0)
	stays := session("127.0.0.2")
	goes := session("127.0.0.3")
	with("", "127.0.0.2")
	load(false, 0)
	echoes(t, goes)
	load(true, 1)
	with("")
	load(true, 0)
	session("127.0.0.3")
	with(policy.NarrowEnd, "127.0.0.2")
	load(false, 1)
	echoes(t, stays)

	// Whose name nobody has asked is let be; one whose name is known is judged by that.
	with("", "127.0.0.2", ".example.org")
	load(false, 0)
	var unasked, known, other bool
	g.do(func() {
		for _, s := range g.sessions {
			s.peer.Addr = netip.MustParseAddrPort("127.0.0.3:7")
			unasked = g.disallowed(s)
			s.peer.Name = "a.example.org"
			known = g.disallowed(s)
			s.peer.Name = "a.example.net"
			other = g.disallowed(s)
		}
	})
	if unasked || known || !other {
		t.Errorf("disallowed without a name: %v, with one that is admitted: %v, with another: %v", unasked, known, other)
	}
	g.doc, _ = newDocument(testPolicy(svc("two", "tcp", port, "/bin/cat")), nil)
	if a := g.operates(control.Request{Verb: control.VerbReload, Ends: true}); len(a.Sessions) != 1 {
		t.Errorf("of a service that is gone: %+v", a.Sessions)
	}
}

// TestNarrowSparesYoungWorkers: a load that ends sessions ends no worker of a built-in whose clients are admitted, though that may be too young to hear; it
// is told when it does.
func TestNarrowSparesYoungWorkers(t *testing.T) {
	g, port := newRig(t), freePort(t)
	heard := filepath.Join(t.TempDir(), "heard")
	s := svc("echo", "tcp4", port)
	s.Command, s.Builtin, s.Wait, s.Stdio, s.ACL = nil, "echo", true, "listen_fds", "anyone"
	g.fakes["echo"] = &fakeCell{argv: []string{"/bin/sh", "-c", "trap 'echo >" + heard + "' USR2; while :; do sleep 0.1; done"}}
	g.setPolicy(s)
	g.operates(control.Request{Verb: control.VerbReload})
	dial(t, port)
	one := func() (pid int32, mercy string) {
		g.do(func() {
			for _, s := range g.sessions {
				pid, mercy = s.pid, s.mercy
			}
		})
		return pid, mercy
	}
	eventually(t, func() bool { pid, _ := one(); return pid > 0 })
	first, _ := one()
	g.operates(control.Request{Verb: control.VerbReload, Ends: true})
	if pid, mercy := one(); pid != first || mercy != "" {
		t.Errorf("the worker %d is to end (%q), or another one is there: %d", first, mercy, pid)
	}
	eventually(t, func() bool { _, err := os.Stat(heard); return err == nil })
	if pid, _ := one(); pid != first {
		t.Errorf("the worker %d has gone, and %d is there", first, pid)
	}
}

// TestNarrowTellsBuiltins: the worker of a built-in, which decides by itself, is told whom the new policy admits, also where it serves its clients to
// their end alone.
func TestNarrowTellsBuiltins(t *testing.T) {
	g, port := newRig(t), freePort(t)
	files := make(chan *os.File, 8)
	load := func(acl string) {
		s := svc("echo", "tcp4", port)
		s.Command, s.Builtin, s.Wait, s.Stdio, s.ACL = nil, "echo", true, "listen_fds", acl
		g.mu.Lock()
		g.fakes["echo"] = &fakeCell{argv: []string{"/bin/sh", "-c", "trap '' USR1 USR2; while :; do sleep 1; done"}, saw: func(q *zygote.Request) {
			if fd, err := unix.FcntlInt(uintptr(q.FDs[0]), unix.F_DUPFD_CLOEXEC, 0); err == nil {
				files <- os.NewFile(uintptr(fd), "told")
			}
		}}
		g.mu.Unlock()
		g.setPolicy(s)
	}
	load("anyone")
	g.operates(control.Request{Verb: control.VerbReload})
	dial(t, port)
	f := <-files
	defer f.Close()
	eventually(t, func() (runs bool) { g.do(func() { runs = len(g.sessions) == 1 }); return runs })
	load("nobody")
	g.operates(control.Request{Verb: control.VerbReload, Ends: true})
	_, said, err := far.DecodeSaid(f, 0)
	if err != nil || said == nil || said.Narrowed == 0 || said.Admits == nil || said.Admits.Name != "nobody" {
		text := make([]byte, 200)
		_, _ = f.ReadAt(text, wire.SaidAt)
		t.Errorf("it is told %+v, %v (%q)", said, err, bytes.Trim(text, "\x00"))
	}
}

// TestReloadSparesYoungWorkers: a load that replaces the worker of a built-in that may be too young to hear does not end it: its file tells it at once to
// leave, and whom the new rules admit until it does, and also what a load after that one says. Once it hears it is told again. So it is where the broker
// stops and leaves it behind.
func TestReloadSparesYoungWorkers(t *testing.T) {
	for _, stops := range []bool{false, true} {
		g, port := newRig(t), freePort(t)
		heard, files := filepath.Join(t.TempDir(), "heard"), make(chan *os.File, 8)
		load := func(acl string) {
			s := svc("echo", "tcp4", port)
			s.Command, s.Builtin, s.Wait, s.Stdio, s.ACL = nil, "echo", true, "listen_fds", acl
			p := testPolicy(s)
			p.OnStop = policy.StopLeave
			doc, err := newDocument(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			g.mu.Lock()
			g.doc = doc
			g.fakes["echo"] = &fakeCell{argv: []string{"/bin/sh", "-c", "trap 'echo >" + heard + "; exit' USR1; while :; do sleep 0.1; done"}, saw: func(q *zygote.Request) {
				if fd, err := unix.FcntlInt(uintptr(q.FDs[0]), unix.F_DUPFD_CLOEXEC, 0); err == nil {
					files <- os.NewFile(uintptr(fd), "told")
				}
			}}
			g.mu.Unlock()
			if _, _, err := g.Load(); err != nil {
				t.Fatal(err)
			}
		}
		load("anyone")
		dial(t, port)
		f := <-files
		defer f.Close()
		var first *session
		eventually(t, func() bool {
			g.do(func() {
				for _, s := range g.sessions {
					first = s
				}
			})
			return first != nil
		})
		tells := func(acl string) {
			t.Helper()
			_, said, err := far.DecodeSaid(f, 0)
			if err != nil || said == nil || !said.Leave || said.Narrowed > 0 || said.Admits == nil || said.Admits.Name != acl {
				t.Errorf("it is told %+v, %v, want to leave, and %s", said, err, acl)
			}
		}
		if !stops {
			load("nobody")
			tells("nobody")
			load("anyone")
		} else {
			g.Stop()
			g.do(func() {})
		}
		tells("anyone")
		g.do(func() {
			if first.mercy != "" || first.young() == 0 {
				t.Errorf("it is to end (%q), or it is not young", first.mercy)
			}
		})
		eventually(t, func() bool { _, err := os.Stat(heard); return err == nil })
		if !stops {
			g.expect(`"session"`, `"service":"echo"`, `"reason":"exit"`)
		}
	}
}

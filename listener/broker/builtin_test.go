package broker

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"casemate/listener/address"
	"casemate/listener/wire"
	"casemate/listener/wire/far"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// leaves is the worker of a built-in that does as wire.Leave says, with nobody there.
func leaves() *fakeCell {
	return &fakeCell{argv: []string{"/bin/sh", "-c", "trap 'exit 0' USR1; while :; do sleep 0.1; done"}}
}

// TestBuiltinWithOneBusyPort: the free ports of a built-in are served while
// another one is busy; once that is free, one worker has them all.
func TestBuiltinWithOneBusyPort(t *testing.T) {
	g, free := newRig(t), freePort(t)
	other, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	busy := uint16(other.Addr().(*net.TCPAddr).Port)
	s := svc("echo", "tcp", free)
	s.Command, s.Builtin, s.Wait, s.Retry, s.Stdio = nil, "echo", true, true, "listen_fds"
	s.Listen = append(s.Listen, address.Listen{Network: "tcp", Addr: loopback, Port: busy, LastPort: busy})
	g.fakes["echo"] = leaves()
	g.load(s)
	held := func(n int) func() bool {
		return func() (ok bool) {
			g.do(func() {
				for _, s := range g.sessions {
					ok = len(s.held) == n && s.mercy == ""
				}
			})
			return ok
		}
	}
	dial(t, free)
	eventually(t, held(1))
	for _, l := range g.status1("echo").Listeners {
		want := map[string]string{fmt.Sprintf("tcp4/127.0.0.1:%d", free): "waiting", fmt.Sprintf("tcp4/127.0.0.1:%d", busy): "retrying"}
		if l.State != want[l.Key] {
			t.Errorf("%+v, want %q", l, want[l.Key])
		}
	}
	other.Close()
	g.expect(`"session"`, `"reason":"exit"`)
	eventually(t, held(2)) // the first client is still in the backlog
}

// TestBusyBuiltinMoves: a reload that gives a built-in an address which its worker holds as a part of another
// one, or which has that one as a part, is in force at once, and clients are served there.
func TestBusyBuiltinMoves(t *testing.T) {
	g, port := newRig(t), freePort(t)
	for _, network := range []string{"tcp4", "udp4"} {
		s := svc("echo", network, port)
		s.Command, s.Builtin, s.Wait, s.Stdio = nil, "echo", true, "listen_fds"
		for _, addr := range []netip.Addr{{}, loopback, {}} {
			s.Listen = []address.Listen{{Network: network, Addr: addr, Port: port, LastPort: port}}
			g.mu.Lock()
			g.fakes["echo"] = &fakeCell{argv: []string{"/bin/sleep", "1000"}}
			g.mu.Unlock()
			g.load(s)
			key := "0.0.0.0"
			if addr.IsValid() {
				key = addr.String()
			}
			eventually(t, func() (held bool) {
				// A client may meet the socket that its worker is about to close.
				if c, err := net.Dial(network, fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
					defer c.Close()
					_, _ = c.Write([]byte("x"))
				}
				g.do(func() {
					at := g.sockets[fmt.Sprintf("%s/%s:%d", network, key, port)]
					held = at != nil && at.holder != nil && at.holder.pid > 0 && len(g.sockets) == 1
				})
				return held
			})
		}
	}
}

// TestBuiltinIsTold: each worker of a built-in is told what is in force when it starts, in a file of its own; a
// reload that changes that ends the one before, and one that does not leaves it.
func TestBuiltinIsTold(t *testing.T) {
	g, port := newRig(t), freePort(t)
	told := make(chan *wire.Builtin, 10)
	load := func(acl string) {
		s := svc("echo", "tcp4", port)
		s.Command, s.Builtin, s.Wait, s.Stdio, s.ACL = nil, "echo", true, "listen_fds", acl
		g.mu.Lock()
		g.fakes["echo"] = leaves()
		g.fakes["echo"].saw = func(q *zygote.Request) {
			text := make([]byte, 1<<20)
			n, err := unix.Pread(q.FDs[0], text, 0)
			if err != nil {
				t.Error(err)
			}
			text, _, _ = bytes.Cut(text[:n], []byte{'\n'}) // behind it lies what an operator says
			b, err := far.DecodeBuiltin(bytes.NewReader(text))
			if err != nil {
				t.Error(err)
			}
			told <- b
		}
		g.mu.Unlock()
		g.load(s)
	}
	for _, acl := range []string{"anyone", "nobody"} {
		load(acl)
		dial(t, port)
		if b := <-told; b.Service != "echo" || b.ACL.Name != acl || b.Digest != g.doc.Digest || len(b.Origins) != len(b.ACL.Rules) {
			t.Errorf("%s: %+v", acl, b)
		}
	}
	g.expect(`"session"`, `"service":"echo"`, `"reason":"exit"`) // the first
	load("nobody")
	select {
	case b := <-told:
		t.Errorf("another worker for the same: %+v", b)
	default:
	}
}

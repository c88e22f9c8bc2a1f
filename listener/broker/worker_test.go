package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"casemate/acl/decide"
	"casemate/listener/inbound"
	"casemate/listener/warden"
	"casemate/listener/wire"
	"casemate/listener/wire/far"

	"golang.org/x/sys/unix"
)

// namesWorker puts a socket of the test in the place of the next names worker.
func (g *rig) namesWorker() (fd int) {
	g.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.do(func() {
		w := g.names.worker
		g.loop.Disarm(&w.backoff)
		w.starting = true
		w.started(-1, pair[0], nil)
	})
	return pair[1]
}

// asks reads one question that a names worker gets.
func (g *rig) asks(fd int) wire.Order {
	g.t.Helper()
	buf := make([]byte, 64)
	n, err := unix.Read(fd, buf)
	q, qerr := far.DecodeOrder(buf[:max(n, 0)], 0)
	if err != nil || qerr != nil || q.Kind != wire.Ask {
		g.t.Fatalf("question %x, %v, %v", buf[:max(n, 0)], err, qerr)
	}
	return q
}

// TestNamesOutliveTheirWorker: a question is asked again when the worker dies with it, and
// has no answer when two have.
func TestNamesOutliveTheirWorker(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.ACL = "named"
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	g.names.worker.helper.(*warden.Helper).Prepare = func() (warden.Cell, error) { <-ended; return nil, errors.New("no names worker here") }
	g.load(s)
	fd := g.namesWorker()
	c := dial(t, port)
	first := g.asks(fd)
	unix.Close(fd)
	eventually(t, func() (down bool) { g.do(func() { down = g.names.worker.fd < 0 }); return down })
	fd = g.namesWorker()
	if again := g.asks(fd); again != first {
		t.Errorf("asked %v, then %v", first, again)
	}
	unix.Write(fd, far.EncodeReport(wire.Report{Kind: wire.Named, ID: first.ID, Name: decide.Name{State: decide.Known, Host: "a.example.org"}}))
	echoes(t, c)

	c = dial(t, port)
	for range 2 {
		g.asks(fd)
		unix.Close(fd)
		eventually(t, func() (down bool) { g.do(func() { down = g.names.worker.fd < 0 }); return down })
		fd = g.namesWorker()
	}
	if !refused(c) {
		t.Error("admitted without a name")
	}
	g.do(func() { w := g.names.worker; g.loop.Del(w.fd); unix.Close(w.fd); w.fd = -1 })
	unix.Close(fd)
}

// TestDescriptorsWaitForNoWorker: a descriptor goes at once, or not at all and then later: no
// number waits in a queue until it is another file's.
func TestDescriptorsWaitForNoWorker(t *testing.T) {
	g := newRig(t)
	fd := g.namesWorker()
	defer unix.Close(fd)
	g.do(func() {
		w := g.names.worker
		if !w.pass([]byte("x"), 0) {
			t.Error("one that reads was not given a descriptor")
		}
		for len(w.unsent) == 0 {
			w.send(make([]byte, 1024))
		}
		if w.pass([]byte("x"), 0) {
			t.Error("a descriptor overtook a message")
		}
	})
	buf, oob, with := make([]byte, 2048), make([]byte, 64), 0
	for {
		_, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			left := 0
			if g.do(func() { left = len(g.names.worker.unsent) }); left == 0 {
				break
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(msgs) == 1 {
			got, _ := unix.ParseUnixRights(&msgs[0])
			with += len(got)
			for _, fd := range got {
				unix.Close(fd)
			}
		}
	}
	if with != 1 {
		t.Errorf("%d descriptors came", with)
	}
	g.do(func() { w := g.names.worker; g.loop.Del(w.fd); unix.Close(w.fd); w.fd = -1 })
}

// TestNamesAreBoundedForEachSource: a source that is waited for has so many questions and no
// more, whichever of its addresses it comes from; others have their own, and an answer makes room.
func TestNamesAreBoundedForEachSource(t *testing.T) {
	g := newRig(t)
	s := svc("cat", "tcp", freePort(t), "/bin/cat")
	s.ACL = "named"
	g.load(s)
	g.namesWorker()
	g.do(func() {
		at := g.gen.services[0].listen[0]
		ask := func(addr string) (asked bool) {
			before := len(g.names.asked)
			g.names.ask(&visit{svc: at.svc, at: at, conn: -1, peer: inbound.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)}})
			return len(g.names.asked) > before
		}
		for i := range maxAskedSource {
			if !ask("192.0.2.1") || !ask(fmt.Sprintf("2001:db8::%x", i+1)) {
				t.Errorf("question %d was not asked", i+1)
			}
		}
		if ask("192.0.2.1") || ask("2001:db8::ffff") {
			t.Error("one more was asked of a source")
		}
		if !ask("192.0.2.2") || !ask("2001:db8:0:1::1") {
			t.Error("another source was not asked of")
		}
		for _, q := range g.names.asked {
			if q.visit.peer.Addr.Addr().String() == "192.0.2.1" {
				q.done(decide.Name{State: decide.NoAnswer})
				break
			}
		}
		if !ask("192.0.2.1") || ask("192.0.2.1") {
			t.Error("an answer did not make room for one question")
		}
	})
}

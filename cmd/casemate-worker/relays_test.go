package main

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// carrier is a relay worker with the broker's end of its link.
type carrier struct {
	t    *testing.T
	link int
	over chan error
}

func newCarrier(t *testing.T, stalled time.Duration) *carrier {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRelays(pair[1])
	if err != nil {
		t.Fatal(err)
	}
	r.stalled = stalled
	k := &carrier{t: t, link: pair[0], over: make(chan error, 1)}
	go func() { k.over <- errors.Join(r.loop.Run(), r.err) }()
	t.Cleanup(func() {
		unix.Close(pair[0])
		<-k.over
		unix.Close(pair[1])
	})
	return k
}

func (k *carrier) order(o wire.Order, fds ...int) {
	k.t.Helper()
	if err := unix.Sendmsg(k.link, o.Encode(), unix.UnixRights(fds...), nil, 0); err != nil {
		k.t.Fatal(err)
	}
}

// carry has a client of the test's carried, and gives the program's end of it.
func (k *carrier) carry(id uint64) (*net.TCPConn, *os.File) {
	k.t.Helper()
	c, theirs := client(k.t)
	// Less than a program's own socket holds: what one has written its client need not have taken.
	if err := errors.Join(c.SetReadBuffer(16<<10), unix.SetsockoptInt(int(theirs.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10)); err != nil {
		k.t.Fatal(err)
	}
	way, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	defer unix.Close(way[1])
	k.order(wire.Order{Kind: wire.Carry, ID: id}, int(theirs.Fd()), way[0])
	unix.Close(way[0])
	theirs.Close()
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(way[1], make([]byte, 8), oob, unix.MSG_CMSG_CLOEXEC)
	fds := rights(oob[:oobn])
	if n != 1 || len(fds) != 1 || err != nil {
		k.t.Fatalf("%d bytes and %d descriptors for a program (%v)", n, len(fds), err)
	}
	f := os.NewFile(uintptr(fds[0]), "program")
	k.t.Cleanup(func() { f.Close() })
	return c, f
}

// hears waits for the next message to the broker.
func (k *carrier) hears(kind wire.Kind, id uint64) {
	k.t.Helper()
	tv := unix.NsecToTimeval((20 * time.Second).Nanoseconds())
	buf := make([]byte, wire.MaxReport)
	err := unix.SetsockoptTimeval(k.link, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	if err == nil {
		var n int
		if n, err = unix.Read(k.link, buf); err == nil {
			var r wire.Report
			if r, err = wire.DecodeReport(buf[:n]); err == nil && (r.Kind != kind || r.ID != id) {
				err = errors.New("it says " + string(r.Kind))
			}
		}
	}
	if err != nil {
		k.t.Fatalf("want %c of %d: %v", kind, id, err)
	}
}

// TestRelays: one worker carries for many, each way ends by itself, and an end is told once both have.
func TestRelays(t *testing.T) {
	k := newCarrier(t, time.Hour)
	type one struct {
		c *net.TCPConn
		f *os.File
	}
	var all []one
	for id := range uint64(20) {
		c, f := k.carry(id)
		all = append(all, one{c, f})
	}
	for id, o := range all {
		_, _ = io.WriteString(o.c, "question")
		_ = o.c.CloseWrite()
		if got, err := io.ReadAll(o.f); string(got) != "question" || err != nil {
			t.Fatalf("%d: the program reads %q (%v)", id, got, err)
		}
		_, _ = io.WriteString(o.f, "answer")
		o.f.Close()
		if got, err := io.ReadAll(o.c); string(got) != "answer" || err != nil {
			t.Errorf("%d: the client reads %q (%v)", id, got, err)
		}
		k.hears(wire.Done, uint64(id))
	}
	k.order(wire.Order{Kind: wire.Ping, Token: 7})
	k.hears(wire.Pong, 7)
	_, f := k.carry(29)
	if unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 1) == nil { // Linux 6.16
		if err := unix.Sendmsg(int(f.Fd()), []byte("x"), unix.UnixRights(k.link), nil, 0); err != unix.EPERM {
			t.Errorf("a program sends its relay a descriptor: %v", err)
		}
	}
	// A client that resets is an end to its program, and one that ends with something unread is an end to its client.
	var c *net.TCPConn
	c, f = k.carry(30)
	_ = c.SetLinger(0)
	c.Close()
	if got, err := io.ReadAll(f); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the program of a client that resets reads %q (%v)", got, err)
	}
	f.Close()
	k.hears(wire.Done, 30)
	c, f = k.carry(31)
	_, _ = io.WriteString(c, "unread")
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, 20000); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(f, "all of it")
	f.Close()
	if got, err := io.ReadAll(c); string(got) != "all of it" || err != nil {
		t.Errorf("the client of a program that left something unread reads %q (%v)", got, err)
	}
	k.hears(wire.Done, 31)
}

// fill writes what the relay and its sockets take, of a client that reads nothing.
func fill(t *testing.T, f *os.File) (n int) {
	t.Helper()
	if err := unix.SetNonblock(int(f.Fd()), true); err != nil {
		t.Fatal(err)
	}
	for idle := 0; idle < 20; { // until the relay takes no more either
		k, err := unix.Write(int(f.Fd()), make([]byte, 64<<10))
		if idle++; err == nil {
			n, idle = n+k, 0
		} else {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return n
}

// TestRelaysOver: when a program has ended its client gets what it wrote, whoever holds the program's socket still; but
// who takes nothing, or is to get no more, sees by a reset that this is not all.
func TestRelaysOver(t *testing.T) {
	t.Run("all of it", func(t *testing.T) {
		k := newCarrier(t, time.Hour)
		c, f := k.carry(1)
		n := fill(t, f)
		k.order(wire.Order{Kind: wire.Over, ID: 1})
		if got, err := io.ReadAll(c); len(got) != n || err != nil {
			t.Errorf("%d of %d bytes (%v)", len(got), n, err)
		}
		k.hears(wire.Done, 1)
	})
	for name, o := range map[string]wire.Order{"taken by nobody": {Kind: wire.Over, ID: 1}, "no more": {Kind: wire.Over, ID: 1, Token: 1}} {
		t.Run(name, func(t *testing.T) {
			k := newCarrier(t, 10*time.Millisecond)
			c, f := k.carry(1)
			n := fill(t, f)
			k.order(o)
			k.hears(wire.Done, 1)
			if got, err := io.ReadAll(c); len(got) >= n || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%d of %d bytes (%v), want a reset", len(got), n, err)
			}
		})
	}
}

// TestRelaysProtocol: a broker that breaks it ends the worker, and one that is gone does so in order.
func TestRelaysProtocol(t *testing.T) {
	k := newCarrier(t, time.Hour)
	k.order(wire.Order{Kind: wire.Carry, ID: 1}) // without its descriptors
	err := <-k.over
	if k.over <- err; err == nil || !strings.Contains(err.Error(), "order") {
		t.Errorf("%v, want an error", err)
	}
	k = newCarrier(t, time.Hour)
	k.order(wire.Order{Kind: wire.Last})
	err = <-k.over
	if k.over <- err; err != nil {
		t.Errorf("told to end: %v", err)
	}
}

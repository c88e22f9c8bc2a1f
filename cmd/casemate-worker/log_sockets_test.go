package main

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// logSocket makes a bound socket as the broker and its zygotes do, tells of it, and returns
// its path and the broker's end. A message to it may hold descriptors, as before Linux 6.16.
func (l *reader) logSocket(id uint64) (path string, fd int) {
	l.t.Helper()
	path, fd = l.boundSocket()
	l.order(wire.Order{Kind: wire.Syslog, ID: id, Name: "finger"}, fd)
	return path, fd
}

// boundSocket is one that the worker has not been told of.
func (l *reader) boundSocket() (path string, fd int) {
	l.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { unix.Close(fd) })
	path = filepath.Join(l.t.TempDir(), "log")
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		l.t.Fatal(err)
	}
	return path, fd
}

// shut ends a socket as the broker does when its session is over.
func shut(t *testing.T, fd int) {
	t.Helper()
	if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
}

func dialLog(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func say(t *testing.T, c *net.UnixConn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// said wants the next record to be a syslog message with these fields.
func (l *reader) said(id float64, severity, text string) {
	l.t.Helper()
	select {
	case m := <-l.records:
		if m["msg"] != "syslog" || m["service"] != "finger" || m["id"] != id || m["severity"] != severity || m["text"] != text {
			l.t.Errorf("record %v, want %v %s %q", m, id, severity, text)
		}
	case <-time.After(10 * time.Second):
		l.t.Fatalf("no record with %q, worker: %v", text, l.ended(time.Millisecond))
	}
}

// TestLogSockets: each datagram is a message, and of a socket that is shut down what lies in
// it, be that more than is read in a turn, before its end is told.
func TestLogSockets(t *testing.T) {
	l := newReader(t)
	path, fd := l.logSocket(5)
	c := dialLog(t, path)
	say(t, c, "<34>one\ntwo")
	say(t, c, "<7>three")
	l.said(5, "crit", `one\x0atwo`)
	l.said(5, "debug", "three")
	say(t, c, "<13>"+strings.Repeat("x", maxLine)+"y")
	l.said(5, "notice", strings.Repeat("x", maxLine))
	l.said(5, "notice", "y")
	say(t, c, "late")
	shut(t, fd)
	l.said(5, "notice", "late")
	l.hears(wire.Report{Kind: wire.Done, ID: 5, Of: wire.Syslog})
	if _, err := c.Write([]byte("too late")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("a message after the end: %v", err)
	}
	_, silent := l.logSocket(6)
	shut(t, silent)
	l.hears(wire.Report{Kind: wire.Done, ID: 6, Of: wire.Syslog})
	last, _ := l.logSocket(7)
	say(t, dialLog(t, last), "last")
	l.order(wire.Order{Kind: wire.Last})
	l.said(7, "notice", "last")
	if err := l.ended(10 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestShutSocketIsRead: what another worker left in a socket that is shut down is read by the
// next, in as many turns as that takes.
func TestShutSocketIsRead(t *testing.T) {
	l := newReader(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // holds more than a bound one
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	sent := 0
	for ; sent < 3*maxMessages/2 && err == nil; sent++ {
		err = unix.Sendto(pair[1], []byte("left"), unix.MSG_DONTWAIT, nil)
	}
	if err != nil {
		sent-- // as many as fit
	}
	shut(t, pair[0])
	l.order(wire.Order{Kind: wire.Syslog, ID: 9, Name: "finger"}, pair[0])
	for range sent {
		l.said(9, "notice", "left")
	}
	l.hears(wire.Report{Kind: wire.Done, ID: 9, Of: wire.Syslog})
}

// TestSocketFlood: a session that says more than it may keeps no other from its say, and
// what is left out is counted beside what is left out of stderr.
func TestSocketFlood(t *testing.T) {
	l := newReader(t)
	path, _ := l.logSocket(1)
	loud := dialLog(t, path)
	flooding := make(chan error)
	go func() {
		for range 2000 {
			if _, err := loud.Write([]byte("loud")); err != nil {
				flooding <- err
				return
			}
		}
		flooding <- nil
	}()
	quiet, _ := l.logSocket(2)
	say(t, dialLog(t, quiet), "quiet")
	if err := <-flooding; err != nil {
		t.Fatal(err)
	}
	l.order(wire.Order{Kind: wire.Last})
	if err := l.ended(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for late := time.After(10 * time.Second); counts["syslog-suppressed"] == 0; {
		select {
		case m := <-l.records:
			if m["msg"] == "syslog-suppressed" {
				counts["syslog-suppressed"] += int(m["count"].(float64))
			} else {
				counts[m["text"].(string)]++
			}
		case <-late:
			t.Fatal(counts)
		}
	}
	if counts["quiet"] != 1 || counts["loud"] < lineRate.Burst || counts["loud"]+counts["syslog-suppressed"] != 2000 {
		t.Errorf("%v", counts)
	}
}

// TestDescriptorsInAMessage: a program that sends its log a socket which is slow to close
// holds nobody up, itself neither, and what it said is a record.
func TestDescriptorsInAMessage(t *testing.T) {
	l := newReader(t)
	path, end := l.boundSocket()
	c := dialLog(t, path)
	slow := lingering(t)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = unix.Sendmsg(int(fd), []byte("<11>hold"), unix.UnixRights(slow), nil, 0) }); err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	unix.Close(slow) // before the worker can: the last close is to be its own
	l.order(wire.Order{Kind: wire.Syslog, ID: 1, Name: "finger"}, end)
	say(t, c, "after")
	l.order(wire.Order{Kind: wire.Ping})
	l.hears(wire.Report{Kind: wire.Pong})
	l.said(1, "err", "hold")
	l.said(1, "notice", "after")
	shut(t, end)
	l.hears(wire.Report{Kind: wire.Done, ID: 1, Of: wire.Syslog})
}

// lingering is a tcp socket whose last close waits for its peer for hours.
func lingering(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	client, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() }) // it reads nothing
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := server.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for err = error(nil); err == nil; { // until nothing more fits
		_, err = unix.SendmsgN(fd, make([]byte, 1<<16), nil, nil, unix.MSG_DONTWAIT)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 10000}); err != nil {
		t.Fatal(err)
	}
	return fd
}

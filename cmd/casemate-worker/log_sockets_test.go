package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// logSockets makes bound sockets as the broker and its zygotes do: their paths, and the
// store. A message to one may hold descriptors, as before Linux 6.16.
func logSockets(t *testing.T) (paths []string, store int) {
	t.Helper()
	var fds []int
	dir := t.TempDir()
	for i := range wire.PipesAtOnce {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		fds, paths = append(fds, fd), append(paths, path)
	}
	store, err := wire.Store(fds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(store) })
	return paths, store
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

// TestLogSockets: a socket is not read before its session is known, each datagram is a
// message, and once the sessions are over the rest is taken, asked for first.
func TestLogSockets(t *testing.T) {
	l := newReader(t)
	paths, fd := logSockets(t)
	l.order(wire.Order{Kind: wire.Sockets, Pipe: 32}, fd)
	c := dialLog(t, paths[2])
	say(t, c, "<34>one\ntwo")
	l.hears(wire.Report{Kind: wire.Whose, Pipe: 34})
	say(t, c, "<7>three")
	l.order(wire.Order{Kind: wire.Belongs, Pipe: 34, ID: 5, Name: "finger"})
	l.said(5, "crit", `one\x0atwo`)
	l.said(5, "debug", "three")
	say(t, c, "<13>"+strings.Repeat("x", maxLine)+"y")
	l.said(5, "notice", strings.Repeat("x", maxLine))
	l.said(5, "notice", "y")

	say(t, c, "late")
	say(t, dialLog(t, paths[9]), "later")
	l.hears(wire.Report{Kind: wire.Whose, Pipe: 41})
	l.order(wire.Order{Kind: wire.Over, Pipe: 32})
	l.said(5, "notice", "late")
	l.order(wire.Order{Kind: wire.Belongs, Pipe: 41, ID: 6, Name: "finger"})
	l.said(6, "notice", "later")
	l.hears(wire.Report{Kind: wire.Done, Pipe: 32})
	l.order(wire.Order{Kind: wire.Over, Pipe: 32}) // again, to who knows of them no more
	l.order(wire.Order{Kind: wire.Last})
	if err := l.ended(10 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestSocketFlood: a session that says more than it may keeps no other from its say, and
// what is left out is counted beside what is left out of stderr.
func TestSocketFlood(t *testing.T) {
	l := newReader(t)
	paths, fd := logSockets(t)
	l.order(wire.Order{Kind: wire.Sockets}, fd)
	loud := dialLog(t, paths[0])
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
	l.hears(wire.Report{Kind: wire.Whose})
	l.order(wire.Order{Kind: wire.Belongs, ID: 1, Name: "finger"})
	say(t, dialLog(t, paths[1]), "quiet")
	l.hears(wire.Report{Kind: wire.Whose, Pipe: 1})
	l.order(wire.Order{Kind: wire.Belongs, Pipe: 1, ID: 2, Name: "finger"})
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
	paths, fd := logSockets(t)
	l.order(wire.Order{Kind: wire.Sockets}, fd)
	c := dialLog(t, paths[0])
	slow := lingering(t)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var serr error
	if err := raw.Control(func(fd uintptr) { serr = unix.Sendmsg(int(fd), []byte("<11>hold"), unix.UnixRights(slow), nil, 0) }); err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	unix.Close(slow)
	say(t, c, "after")
	l.hears(wire.Report{Kind: wire.Whose})
	l.order(wire.Order{Kind: wire.Belongs, ID: 1, Name: "finger"})
	l.order(wire.Order{Kind: wire.Ping})
	l.hears(wire.Report{Kind: wire.Pong})
	l.said(1, "err", "hold")
	l.said(1, "notice", "after")
	l.order(wire.Order{Kind: wire.Over})
	l.hears(wire.Report{Kind: wire.Done})
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

package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/listener/address"

	"golang.org/x/sys/unix"
)

// TestUnreadRequest: a program that answers and ends without reading, to clients
// that sent first and read late. Each of them gets the whole answer and an orderly end.
func TestUnreadRequest(t *testing.T) {
	const answer = "HTTP/1.0 200 OK - and all is well here"
	for _, network := range []string{"tcp", "unix"} {
		for _, late := range []string{"sent before", "sent after", "sent and closed"} {
			t.Run(network+" "+late, func(t *testing.T) {
				t.Parallel()
				g, port := newRig(t), freePort(t)
				s, to := svc("answer", network, port, "/bin/sh", "-c", "printf '"+answer+"'"), fmt.Sprintf("127.0.0.1:%d", port)
				if network == "unix" {
					to = t.TempDir() + "/s.sock"
					s.Listen[0], s.Socket.Mode = address.Listen{Network: network, Path: to}, 0o600
				}
				g.load(s)
				for i := range 40 {
					c, err := net.Dial(network, to)
					if err != nil {
						t.Fatal(err)
					}
					c.SetDeadline(time.Now().Add(30 * time.Second))
					request := strings.Repeat("GET / HTTP/1.0\r\n\r\n", 20)
					if late != "sent after" {
						_, err = io.WriteString(c, request)
					}
					if half, ok := c.(interface{ CloseWrite() error }); err == nil && ok && late == "sent and closed" {
						err = half.CloseWrite()
					}
					g.expect(`"session"`)
					if late == "sent after" {
						_, err = io.WriteString(c, request)
					}
					text, rerr := io.ReadAll(c)
					c.Close()
					if network == "unix" && errors.Is(err, syscall.EPIPE) {
						err = nil // it knows at once that nobody reads, and has its answer all the same
					}
					if err != nil || rerr != nil || string(text) != answer {
						t.Fatalf("client %d: %q, %v, %v", i, text, err, rerr)
					}
				}
				g.parted()
			})
		}
	}
}

// parted waits until no client is waited for any more.
func (g *rig) parted() {
	g.t.Helper()
	eventually(g.t, func() bool {
		left := 0
		g.do(func() { left = g.partings.Len() })
		return left == 0
	})
}

// accepted is a client of a listener, and the broker's side of it.
func accepted(t *testing.T, l net.Listener) (client net.Conn, fd int) {
	t.Helper()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := theirs.(*net.TCPConn).File()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fd, err = unix.Dup(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	return client, fd
}

// TestFarewellIsNobodysToDeny: clients who stay as long as they are let, as many as are waited for at all, cost another one
// nothing of what its program has written.
func TestFarewellIsNobodysToDeny(t *testing.T) {
	g := newRig(t)
	var staying []int
	for range maxParting {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(pair[1]) })
		if _, err := unix.Write(pair[1], []byte("never read")); err != nil {
			t.Fatal(err)
		}
		staying = append(staying, pair[0])
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, fd := accepted(t, l)
	// More than its client's host has room for: to what comes for a socket that is closed the kernel answers with a reset, and drops the rest.
	answer := 0
	for {
		n, err := unix.SendmsgN(fd, make([]byte, 1<<16), nil, nil, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		answer += n
	}
	waited := 0
	g.do(func() { // in one turn, in which nobody's time is over
		for _, fd := range staying {
			g.part(fd, false)
		}
		g.part(fd, false)
		waited = g.partings.Len()
	})
	if _, err := io.WriteString(c, "a late request"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(c); len(text) != answer || err != nil || waited != maxParting {
		t.Errorf("%d bytes of %d, %v, and %d are waited for, want %d", len(text), answer, err, waited, maxParting)
	}
	c.Close()
	g.parted()
}

// TestWantedResetReachesClient: a program that wants its client to see a reset, by SO_LINGER
// without a time, has it though the broker keeps the socket; another's end is orderly.
func TestWantedResetReachesClient(t *testing.T) {
	g := newRig(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, abrupt := range []bool{true, false} {
		c, fd := accepted(t, l)
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if abrupt {
			if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
				t.Fatal(err)
			}
		}
		g.do(func() { g.part(fd, false) })
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) != abrupt || !abrupt && err != io.EOF {
			t.Errorf("with SO_LINGER %v: %v", abrupt, err)
		}
		c.Close()
	}
	g.parted()
}

// TestFarewellIsBounded: a client that never closes is not waited for for ever, and
// one that sends without end is cut off.
func TestFarewellIsBounded(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("brief", "tcp", port, "/bin/true"))
	silent, endless := dial(t, port), dial(t, port)
	g.expect(`"session"`, `"bytes_out":0`)
	g.expect(`"session"`)
	sent, chunk := 0, make([]byte, 65536)
	var err error
	for ; err == nil && sent < 64*maxDrain; sent += len(chunk) {
		_, err = endless.Write(chunk)
	}
	if err == nil {
		t.Errorf("%d bytes were taken", sent)
	}
	if n, err := silent.Read(chunk); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
	g.parted()
}

// TestBannerReachesWhoSpokeFirst: a refused client that has sent something reads
// the banner to its end.
func TestBannerReachesWhoSpokeFirst(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.ACL, s.Banner = "nobody", "no\r\n"
	g.load(s)
	for i := range 40 {
		c := dial(t, port)
		_, _ = io.WriteString(c, "hello\n")
		g.expect(`"decision"`, `"reason":"acl"`)
		if text, err := io.ReadAll(c); err != nil || string(text) != "no\r\n" {
			t.Fatalf("client %d: %q, %v", i, text, err)
		}
		c.Close()
	}
	g.parted()
}

// TestBytesInRecord: a session's record counts what went each way.
func TestBytesInRecord(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	c := dial(t, port)
	echoes(t, c)
	c.(*net.TCPConn).CloseWrite()
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	g.expect(`"session"`, `"bytes_in":6,"bytes_out":6`)
}

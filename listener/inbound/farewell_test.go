package inbound

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestEndIsNoByte: what is written to a client who does not read it is counted alike before and after its end is
// written behind it, and when all of it has come.
func TestEndIsNoByte(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c.Close()
	fd, text, written := int(f.Fd()), make([]byte, 64<<10), uint64(0)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := unix.Write(fd, text)
		if err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		written += uint64(n)
	}
	counts := func(when string) {
		t.Helper()
		if talk, ok := Overhear(fd); !ok || talk.Out != written {
			t.Errorf("%s: %d bytes to the client, want %d", when, talk.Out, written)
		}
	}
	counts("before the end")
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	counts("with the end behind it")
	_ = client.SetReadDeadline(time.Now().Add(time.Minute))
	for taken := uint64(0); taken < written; {
		n, err := client.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		taken += uint64(n)
	}
	counts("when all has come")
}

package relay

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stream is what net.TCPConn and net.UnixConn have in common.
type stream interface {
	net.Conn
	CloseWrite() error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	SyscallConn() (syscall.RawConn, error)
}

const patience = 20 * time.Second

// connected is a pair of connected sockets: one for a test, one for the relay.
func connected(t *testing.T, network string) (stream, int) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	raw, err := theirs.(stream).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	_ = raw.Control(func(n uintptr) { fd, err = unix.Dup(int(n)) })
	if err != nil {
		t.Fatal(err)
	}
	_ = ours.SetDeadline(time.Now().Add(patience))
	return ours.(stream), fd
}

// carried is a client and a target with a relay between them, whose outcome comes over
// the channel once it has closed its two.
func carried(t *testing.T, client, target string) (c, d stream, over <-chan error) {
	t.Helper()
	c, cfd := connected(t, client)
	d, dfd := connected(t, target)
	done := make(chan error, 1)
	go func() {
		err := Relay(cfd, dfd)
		unix.Close(cfd)
		unix.Close(dfd)
		done <- err
	}()
	return c, d, done
}

func ended(t *testing.T, over <-chan error) error {
	t.Helper()
	select {
	case err := <-over:
		return err
	case <-time.After(patience):
		t.Fatal("the relay goes on")
	}
	return nil
}

// pairs are all that can be at both ends.
func pairs(t *testing.T, test func(t *testing.T, client, target string)) {
	for _, client := range []string{"tcp", "unix"} {
		for _, target := range []string{"tcp", "unix"} {
			t.Run(client+" to "+target, func(t *testing.T) { test(t, client, target) })
		}
	}
}

// TestBothWaysAtOnce: megabytes in both directions at the same time, in pieces of any size.
func TestBothWaysAtOnce(t *testing.T) {
	pairs(t, func(t *testing.T, client, target string) {
		c, d, over := carried(t, client, target)
		const size = 16 << 20
		sums := make(chan [2][32]byte, 2)
		send := func(s stream, seed byte) {
			h, r := sha256.New(), rand.NewChaCha8([32]byte{seed})
			for left := size; left > 0; {
				b := make([]byte, min(left, 1+int(r.Uint64()%100000)))
				_, _ = r.Read(b)
				h.Write(b)
				if _, err := s.Write(b); err != nil {
					t.Errorf("write: %v", err)
					break
				}
				left -= len(b)
			}
			_ = s.CloseWrite()
			sums <- [2][32]byte{{seed}, [32]byte(h.Sum(nil))}
		}
		take := func(s stream) [32]byte {
			h := sha256.New()
			if n, err := io.Copy(h, s); err != nil || n != size {
				t.Errorf("got %d bytes, %v", n, err)
			}
			return [32]byte(h.Sum(nil))
		}
		go send(c, 1)
		go send(d, 2)
		got := make(chan [32]byte, 1)
		go func() { got <- take(d) }()
		down, up := take(c), <-got
		for range 2 {
			s := <-sums
			if want := map[byte][32]byte{1: up, 2: down}[s[0][0]]; s[1] != want {
				t.Errorf("direction %d is %x, want %x", s[0][0], want, s[1])
			}
		}
		if err := ended(t, over); err != nil {
			t.Error(err)
		}
	})
}

// TestHalfClose: whoever says that it has said all is still told all.
func TestHalfClose(t *testing.T) {
	pairs(t, func(t *testing.T, client, target string) {
		for _, first := range []string{"client", "target"} {
			c, d, over := carried(t, client, target)
			if first == "target" {
				c, d = d, c
			}
			_, _ = c.Write([]byte("all I say"))
			_ = c.CloseWrite()
			if got, err := io.ReadAll(d); string(got) != "all I say" || err != nil {
				t.Errorf("%s first: %q, %v", first, got, err)
			}
			time.Sleep(50 * time.Millisecond) // nothing happens because of that
			_, _ = d.Write([]byte("and the answer"))
			_ = d.CloseWrite()
			if got, err := io.ReadAll(c); string(got) != "and the answer" || err != nil {
				t.Errorf("%s first: the answer is %q, %v", first, got, err)
			}
			if err := ended(t, over); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestResetIsPassedOn: a side that breaks off is heard to the end, and then the other is
// told that it was no end.
func TestResetIsPassedOn(t *testing.T) {
	for _, first := range []string{"client", "target"} {
		c, d, over := carried(t, "tcp", "tcp")
		if first == "target" {
			c, d = d, c
		}
		if err := d.SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		// More than one reads at a time, and all of it acknowledged before the reset.
		text := bytes.Repeat([]byte("0123456789abcdef"), 4096)
		if _, err := c.Write(text); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return unsent(t, c) == 0 })
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		var got []byte
		var err error
		for err == nil {
			b := make([]byte, 2048)
			var n int
			n, err = d.Read(b)
			got = append(got, b[:n]...)
			time.Sleep(time.Millisecond)
		}
		if !bytes.Equal(got, text) || !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: %d bytes of %d and %v, want all and a reset", first, len(got), len(text), err)
		}
		if err := ended(t, over); (err != nil) != (first == "target") {
			t.Errorf("%s: the relay says %v", first, err)
		}
	}
}

// TestTargetThatReadsNoMore: one that answers and closes with the question half read has
// its answer delivered.
func TestTargetThatReadsNoMore(t *testing.T) {
	pairs(t, func(t *testing.T, client, target string) {
		c, d, over := carried(t, client, target)
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for b := make([]byte, 4096); ; {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}()
		_, _ = io.ReadFull(d, make([]byte, 1000))
		_, _ = d.Write([]byte("enough"))
		d.Close()
		got := make([]byte, 6)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "enough" {
			t.Errorf("%q, %v", got, err)
		}
		_ = ended(t, over) // whatever it says: it ends, and so does the client's way
		<-stop
	})
}

// TestGoneClient: a client that has said all and then goes ends the session, though its
// target says nothing.
func TestGoneClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c, d, over := carried(t, network, "tcp")
		_ = c.CloseWrite()
		if n, err := d.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatal(n, err)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.Close()
		_ = ended(t, over)
		until(t, func() bool { _, err := d.Write([]byte("x")); return err != nil }) // the target is told
	}
}

// TestSlowReader: who does not read holds up who writes, and costs a bounded buffer.
func TestSlowReader(t *testing.T) {
	c, d, _ := carried(t, "tcp", "tcp")
	_ = c.SetWriteBuffer(16 << 10)
	_ = d.SetReadBuffer(16 << 10)
	_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	total := 0
	for b := make([]byte, 64<<10); ; {
		n, err := c.Write(b)
		total += n
		if err != nil {
			break
		}
	}
	// Two sockets on each side, of at most a few megabytes each (tcp_rmem, tcp_wmem), and the pipe.
	if total > 32<<20 {
		t.Errorf("%d bytes were taken that nobody reads", total)
	}
	_ = c.CloseWrite()
	if n, err := io.Copy(io.Discard, d); err != nil || n != int64(total) {
		t.Errorf("%d bytes of %d, %v", n, total, err)
	}
}

// TestUrgentBytes: splice(2) stops at a byte that was sent as urgent, at which a relay
// that trusts in it circles. It goes on as one of the others.
func TestUrgentBytes(t *testing.T) {
	c, d, over := carried(t, "tcp", "tcp")
	oob := func(text string) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte(text), unix.MSG_OOB, nil) })
		if err != nil {
			t.Fatal(err)
		}
	}
	oob("!")
	if b := make([]byte, 1); true {
		if _, err := io.ReadFull(d, b); err != nil || b[0] != '!' {
			t.Fatalf("%q, %v", b, err)
		}
	}
	_, _ = c.Write([]byte("abc"))
	oob("de!")
	_, _ = c.Write([]byte("fgh"))
	_ = c.CloseWrite()
	if got, err := io.ReadAll(d); err != nil || string(got) != "abcde!fgh" {
		t.Errorf("%q, %v", got, err)
	}
	d.Close()
	if err := ended(t, over); err != nil {
		t.Error(err)
	}
}

// TestIdleCostsNothing: neither an open connection nor one half closed, nor one whose
// reader does not read, has the relay turn in a circle.
func TestIdleCostsNothing(t *testing.T) {
	pairs(t, func(t *testing.T, client, target string) {
		c, d, _ := carried(t, client, target)
		_, _ = c.Write([]byte("x"))
		_, _ = d.Read(make([]byte, 1))
		_ = c.CloseWrite()
		_, _ = d.Read(make([]byte, 1))
		_ = c.SetReadBuffer(1024)
		_ = d.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for b := make([]byte, 64<<10); ; {
			if _, err := d.Write(b); err != nil {
				break
			}
		}
		before := spent()
		time.Sleep(300 * time.Millisecond)
		if took := spent() - before; took > 150*time.Millisecond {
			t.Errorf("%v of processor time in 300 ms", took)
		}
		// One that has closed whole while its words wait for a reader.
		d.Close()
		before = spent()
		time.Sleep(300 * time.Millisecond)
		if took := spent() - before; took > 150*time.Millisecond {
			t.Errorf("%v of processor time in 300 ms, with one side closed", took)
		}
	})
}

// TestAwait: a target that answers, refuses, or does not answer, and a client that leaves.
func TestAwait(t *testing.T) {
	client, cfd := connected(t, "tcp")
	begin := func(at unix.Sockaddr) int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, at); err != nil && err != unix.EINPROGRESS {
			t.Fatalf("connect: %v", err)
		}
		return fd
	}
	full, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(full)
	if err := errors.Join(unix.Bind(full, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(full, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := Await(begin(at), cfd, patience); err != nil {
		t.Errorf("one that listens: %v", err)
	}
	// Its backlog is full now: further connections are not answered.
	begin(at)
	silent := begin(at)
	if err := Await(silent, cfd, 200*time.Millisecond); err != unix.ETIMEDOUT {
		t.Errorf("one that does not answer: %v", err)
	}
	_ = client.(*net.TCPConn).SetLinger(0)
	client.Close()
	if err := Await(silent, cfd, patience); !errors.Is(err, ErrLeft) {
		t.Errorf("a client that has gone: %v", err)
	}
	unix.Close(cfd)
	if _, err := Dial(filepath.Join(t.TempDir(), "none")); err != unix.ENOENT {
		t.Errorf("no unix socket: %v", err)
	}
}

func spent() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func unsent(t *testing.T, s stream) (n int) {
	t.Helper()
	raw, err := s.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come true")
		}
	}
}

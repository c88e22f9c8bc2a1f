package inbound

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/listener"
	"casemate/listener/endpoint"

	"golang.org/x/sys/unix"
)

func dial(t *testing.T, s *Socket) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Spec.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func TestAccept(t *testing.T) {
	for _, spec := range []listener.Spec{inet("tcp4", loop4, 0), inet("tcp6", loop6, 0)} {
		s := mustOpen(t, spec)
		if _, _, err := Accept(s.FD); err != unix.EAGAIN {
			t.Fatalf("empty queue: %v, want EAGAIN", err)
		}
		c := dial(t, s)
		waitReadable(t, s.FD)
		conn, p, err := Accept(s.FD)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(conn)
		if want := c.LocalAddr().(*net.TCPAddr).AddrPort(); p.Addr != want || p.Unix || p.Zone != "" {
			t.Errorf("peer %+v, want %v", p, want)
		}
		if nonblocking(t, conn) || !closeOnExec(t, conn) {
			t.Error("accepted descriptor must be blocking and close-on-exec")
		}
		local, err := Local(conn)
		if err != nil || local != s.Spec.Addr {
			t.Errorf("Local = %v, %v, want %v", local, err, s.Spec.Addr)
		}
	}
}

// A client that resets before accept must neither hang nor end the loop.
func TestAcceptAfterReset(t *testing.T) {
	s := mustOpen(t, inet("tcp4", loop4, 0))
	gone := dial(t, s)
	waitReadable(t, s.FD)
	if err := gone.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	gone.Close()
	next := dial(t, s)
	for range 2 {
		waitReadable(t, s.FD)
		conn, p, err := Accept(s.FD)
		if err != nil {
			if !Temporary(err) || Exhausted(err) {
				t.Fatalf("reset client: %v is not temporary", err)
			}
			continue
		}
		unix.Close(conn)
		if p.Addr == next.LocalAddr().(*net.TCPAddr).AddrPort() {
			return
		}
	}
	t.Error("the second client was not accepted")
}

func TestAcceptExhausted(t *testing.T) {
	s := mustOpen(t, inet("tcp4", loop4, 0))
	dial(t, s)
	waitReadable(t, s.FD)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, _, err := Accept(s.FD)
	if rerr := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); rerr != nil {
		t.Fatal(rerr)
	}
	if !errors.Is(err, unix.EMFILE) || !Exhausted(err) || Temporary(err) {
		t.Fatalf("without descriptors: %v", err)
	}
	conn, _, err := Accept(s.FD) // the connection waited in the queue
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(conn)
}

func TestClassification(t *testing.T) {
	tests := []struct {
		err                  error
		temporary, exhausted bool
	}{
		{unix.ECONNABORTED, true, false},
		{unix.EINTR, true, false},
		{unix.EPROTO, true, false},
		{unix.ENETUNREACH, true, false},
		{unix.EHOSTDOWN, true, false},
		{unix.EMFILE, false, true},
		{unix.ENFILE, false, true},
		{unix.ENOBUFS, false, true},
		{fmt.Errorf("accept: %w", unix.ENOMEM), false, true},
		{unix.EAGAIN, false, false},
		{unix.EBADF, false, false},
		{errors.New("no errno"), false, false},
		{nil, false, false},
	}
	for _, tt := range tests {
		if Temporary(tt.err) != tt.temporary || Exhausted(tt.err) != tt.exhausted {
			t.Errorf("%v: temporary %v, exhausted %v", tt.err, Temporary(tt.err), Exhausted(tt.err))
		}
	}
}

func TestRefuse(t *testing.T) {
	s := mustOpen(t, inet("tcp4", loop4, 0))
	for _, banner := range []string{"", "421 not you\r\n"} {
		c := dial(t, s)
		waitReadable(t, s.FD)
		conn, _, err := Accept(s.FD)
		if err != nil {
			t.Fatal(err)
		}
		if banner == "" {
			Refuse(conn)
		} else {
			Say(conn, banner)
			unix.Close(conn)
		}
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if banner == "" && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("refused client: %q, %v, want a reset", got, err)
		}
		if banner != "" && (err != nil || string(got) != banner) {
			t.Errorf("banner: %q, %v", got, err)
		}
	}
}

// A peer that never reads must not delay the broker.
func TestSayDoesNotWait(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	chunk := make([]byte, 4096)
	for unix.Sendto(pair[0], chunk, unix.MSG_DONTWAIT, nil) == nil {
	}
	done := make(chan struct{})
	go func() {
		if Say(pair[0], "banner\n") {
			t.Error("it is said to have gone into a full socket")
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("Say waits for the peer")
	}
}

// TestSayFits: two texts of the largest size go into a connection whose client reads nothing, whatever its family and
// however small its buffer is; and nobody waits for, or is refused for, a client that is gone.
func TestSayFits(t *testing.T) {
	const most = 4096
	for name, spec := range map[string]listener.Spec{
		"tcp":        {Endpoint: endpoint.Endpoint{Network: "tcp4", Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		"small":      {Endpoint: endpoint.Endpoint{Network: "tcp4", Addr: netip.MustParseAddrPort("127.0.0.1:0")}, Settings: listener.Settings{0, 0, 0, 0, 0, 16 << 10, 4096, 3}},
		"tcp6":       {Endpoint: endpoint.Endpoint{Network: "tcp6", Addr: netip.MustParseAddrPort("[::1]:0")}},
		"unix":       {Endpoint: endpoint.Endpoint{Network: "unix", Path: filepath.Join(t.TempDir(), "s")}, Mode: 0o600, UID: listener.KeepID, GID: listener.KeepID},
		"unixpacket": {Endpoint: endpoint.Endpoint{Network: "unixpacket", Path: filepath.Join(t.TempDir(), "p")}, Mode: 0o600, UID: listener.KeepID, GID: listener.KeepID},
	} {
		s := mustOpen(t, spec)
		network, to := spec.Network, spec.Path
		if !spec.Unix() {
			local, err := Local(s.FD)
			if err != nil {
				t.Fatal(err)
			}
			to = local.String()
		}
		d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
			if name == "small" { // its window is small too, so the server's buffer has to hold what it does not take
				err = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
			}
			return err
		}}
		c, err := d.Dial(network, to)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer c.Close()
		waitReadable(t, s.FD)
		conn, _, err := Accept(s.FD)
		if err != nil {
			t.Fatal(err)
		}
		one, two := strings.Repeat("a", most), strings.Repeat("b", most)
		if !Say(conn, "") || !Say(conn, one) || !Say(conn, two) {
			t.Errorf("%s: not all of it was taken", name)
		}
		unix.Close(conn)
		got, buf := "", make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			if got += string(buf[:n]); n == 0 || err != nil {
				break
			}
		}
		if got != one+two {
			t.Errorf("%s: %d bytes came, or others", name, len(got))
		}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	if unix.Close(pair[1]); !Say(pair[0], "x") {
		t.Error("a client that is gone is no failure")
	}
}

func TestAcceptUnixCredentials(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := mustOpen(t, listener.Spec{Endpoint: endpoint.Endpoint{Network: "unix", Path: path}, Mode: 0o600, UID: listener.KeepID, GID: listener.KeepID})
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waitReadable(t, s.FD)
	conn, p, err := Accept(s.FD)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(conn)
	want := Peer{Unix: true, PID: uint32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if p != want {
		t.Errorf("peer %+v, want %+v", p, want)
	}
	if local, err := Local(conn); err != nil || local != (netip.AddrPort{}) {
		t.Errorf("Local of a unix socket = %v, %v", local, err)
	}
}

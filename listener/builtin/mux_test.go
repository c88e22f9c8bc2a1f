package builtin

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startMux is a tcpmux and the broker's end of its socket.
func startMux(t *testing.T, names ...string) (*running, int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]) })
	c := config("tcpmux")
	c.Mux = names
	r := &running{t: t, leaving: make(chan struct{}), done: make(chan error, 1), more: []*os.File{os.NewFile(uintptr(pair[1]), "mux")}}
	r.serve(c, "127.0.0.1:0", "tcp")
	return r, pair[0]
}

// handed takes what the worker hands over.
func handed(t *testing.T, fd int) (which byte, conn int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 30_000); n != 1 {
		t.Fatalf("nothing is handed over: %v", err)
	}
	text, oob := make([]byte, 2), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(fd, text, oob, 0)
	if err != nil || n != 1 {
		t.Fatalf("%q, %v", text[:n], err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		t.Fatal(err)
	}
	got, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(got) != 1 {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(got[0]) })
	return text[0], got[0]
}

// TestMux: the name is read in any case and to the byte behind its line, and the client goes to
// who serves it, with a socket that blocks; the worker keeps none.
func TestMux(t *testing.T) {
	r, broker := startMux(t, "finger", "+cat")
	for _, tt := range []struct {
		line  string
		which byte
		said  string
	}{{"finger\r\n", 0, ""}, {"FinGer\r\n", 0, ""}, {"finger\n", 0, ""}, {"cat\r\n", 1, "+Go\r\n"}} {
		c := r.dial()
		if _, err := io.WriteString(c, tt.line+"root\r\n"); err != nil {
			t.Fatal(err)
		}
		which, conn := handed(t, broker)
		if flags, err := unix.FcntlInt(uintptr(conn), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("%q: flags %#x, %v", tt.line, flags, err)
		}
		rest := make([]byte, 64)
		n, err := unix.Read(conn, rest)
		if which != tt.which || string(rest[:n]) != "root\r\n" {
			t.Errorf("%q: %d, %q, %v", tt.line, which, rest[:n], err)
		}
		if _, err := unix.Write(conn, []byte("bye\r\n")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the worker's end of the session", func() bool { return r.log.live() == 0 })
		unix.Close(conn)
		if got, err := io.ReadAll(c); err != nil || string(got) != tt.said+"bye\r\n" {
			t.Errorf("%q: the client got %q, %v", tt.line, got, err)
		}
	}
}

// live is how many sessions have begun and not ended.
func (s *safeBuffer) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.b.String()
	return strings.Count(text, `"verdict":"allow"`) - strings.Count(text, `"msg":"session"`)
}

// TestMuxRefuses: who asks for anything but a name that opted in gets a line with a minus, and
// nothing is handed over. (CVE-2012-0862: enabling tcpmux exposed every service.)
func TestMuxRefuses(t *testing.T) {
	r, broker := startMux(t, "finger", "+cat")
	const none = "-There is no such service\r\n"
	for _, tt := range []struct{ line, want string }{
		{"help\r\n", "finger\r\ncat\r\n"},
		{"HELP\n", "finger\r\ncat\r\n"},
		{"telnet\r\n", none},
		{"\r\n", none},
		{"+cat\r\n", none},
		{"fingerd\r\n", none},
		{" finger\r\n", none},
		{"finger \r\n", none},
		{"finger\r\r\n", none},
		{"finger\x00\r\n", none},
		{"../finger\r\n", none},
		{"\x1b[2J\xff\r\n", none},
		{strings.Repeat("f", maxMuxName-1) + "\n", none},
		{strings.Repeat("f", maxMuxName) + "\r\n", "-The name is too long\r\n"},
		{strings.Repeat("f", 100_000), "-The name is too long\r\n"},
		{"finger", ""}, // no end of the line
		{"", ""},
	} {
		c := r.dial()
		_, _ = io.WriteString(c, tt.line)
		_ = c.CloseWrite()
		got, err := io.ReadAll(c)
		if err != nil || string(got) != tt.want {
			t.Errorf("%.40q: %q, %v", tt.line, got, err)
		}
	}
	r.end()
	if n, _, err := unix.Recvfrom(broker, make([]byte, 8), unix.MSG_DONTWAIT); err == nil && n > 0 {
		t.Errorf("%d bytes are handed over", n)
	}
}

// TestMuxNeedsItsSocket: without it a worker does not begin.
func TestMuxNeedsItsSocket(t *testing.T) {
	r := startOnly(t, config("tcpmux"), "tcp")
	select {
	case err := <-r.done:
		if err == nil || !strings.Contains(err.Error(), "no socket to hand clients over by") {
			t.Error(err)
		}
		close(r.done)
	case <-time.After(30 * time.Second):
		t.Error("it serves")
	}
}

// TestMuxEndsWithItsBroker: with the broker gone nobody is accepted any more, whose name could be read and who could be handed
// to nobody: the worker ends, and who has named nothing yet loses the connection.
func TestMuxEndsWithItsBroker(t *testing.T) {
	r, broker := startMux(t, "finger")
	c := r.dial()
	if _, err := io.WriteString(c, "fin"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(broker, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-r.done:
		if close(r.done); err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	if got, err := io.ReadAll(c); len(got) > 0 {
		t.Errorf("the client read %q (%v)", got, err)
	}
}

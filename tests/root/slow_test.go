package root

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// slowly is for clients whose windows are small, so that a program soon waits for who does not read.
var slowly = net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10) })
}}

// drips sends one byte every so often until the connection breaks.
func drips(c net.Conn) error {
	for {
		if _, err := c.Write([]byte("x")); err != nil {
			return nil
		}
		time.Sleep(3 * time.Second)
	}
}

// sips takes so many bytes a second until the connection breaks, or for so long.
func sips(c net.Conn, rate int, d time.Duration) error {
	buf := make([]byte, rate)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		if _, err := io.ReadFull(c, buf); err != nil {
			return fmt.Errorf("broken: %w", err)
		}
	}
	return nil
}

// TestSlowClients: a limit with first_byte and min_rate ends who says nothing, who sends a message byte by byte and who
// does not read, whatever serves them, leaves nothing of them in the kernel, and ends nobody else: not who waits for a program that
// computes, who talks with one now and then, or who reads slowly, but fast enough.
func TestSlowClients(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/slow.c")
	behind := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ports, text := map[string]string{}, head+`
limit "slow" {
  concurrent = 64
  first_byte = "5s"
  min_rate   = "100B/s"
}
limit "taking" {
  concurrent = 64
  min_rate   = "100B/s"
}
`
	add := func(name, limit string, of func(port string) string) {
		ports[name] = rig.Port(t)
		text += of(ports[name])
	}
	for name, s := range map[string][]string{
		"silent": {program + " echo", "slow"}, "drips": {program + " listen", "slow"}, "unread": {program + " flood", "taking"}, "dribbles": {program + " flood", "taking"},
		"reads": {program + " flood", "taking"}, "computes": {program + " compute 70", "slow"}, "talks": {program + " echo", "slow"}, "leaves": {program + " brief", "taking"},
	} {
		add(name, s[1], func(port string) string {
			return service(name, "tcp://127.0.0.1:"+port, strings.Fields(s[0]), "limit = limit."+s[1])
		})
	}
	add("relayed", "taking", func(port string) string {
		return service("relayed", "tcp://127.0.0.1:"+port, strings.Fields(program+" flood"), `stdio = "relay"`, "limit = limit.taking")
	})
	add("redirected", "slow", func(port string) string {
		return redirect("redirected", port, behind.Addr().String(), "limit = limit.slow")
	})
	add("builtin", "slow", func(port string) string {
		return fmt.Sprintf("service \"builtin\" {\n  listen  = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"discard\"\n  acl     = acl.loopback\n  limit   = limit.slow\n}\n", port)
	})
	b := rig.Serve(t, text)

	var all sync.WaitGroup
	for _, tt := range []struct {
		name, reason string
		client       func(c net.Conn) error
		least, most  time.Duration // of its session
	}{
		{"silent", "silent", func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return end(err) }, 5 * time.Second, 15 * time.Second},
		{"drips", "slow", drips, 30 * time.Second, 75 * time.Second},
		{"redirected", "slow", drips, 30 * time.Second, 75 * time.Second},
		{"builtin", "slow", drips, 30 * time.Second, 75 * time.Second},
		{"unread", "slow", nil, 30 * time.Second, 75 * time.Second},
		{"relayed", "slow", nil, 30 * time.Second, 75 * time.Second},
		{"dribbles", "slow", func(c net.Conn) error { _ = sips(c, 10, time.Minute); return nil }, 30 * time.Second, 75 * time.Second},
		{"reads", "", func(c net.Conn) error { return sips(c, 4096, 80*time.Second) }, 0, 0},
		{"leaves", "exit", nil, 0, 30 * time.Second},
		{"computes", "exit", func(c net.Conn) error {
			if _, err := io.WriteString(c, "reckon\n"); err != nil {
				return err
			}
			answer, err := io.ReadAll(c)
			if string(answer) != "done\n" {
				return fmt.Errorf("%q, %w", answer, err)
			}
			return nil
		}, 70 * time.Second, 100 * time.Second},
		{"talks", "exit", func(c net.Conn) error {
			r := bufio.NewReader(c)
			for i := range 11 {
				if _, err := fmt.Fprintf(c, "%d\n", i); err != nil {
					return err
				}
				if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf("%d\n", i) {
					return fmt.Errorf("%q, %w", line, err)
				}
				time.Sleep(7 * time.Second)
			}
			return c.(*net.TCPConn).CloseWrite()
		}, 70 * time.Second, 100 * time.Second},
	} {
		all.Go(func() {
			c, err := slowly.Dial("tcp4", "127.0.0.1:"+ports[tt.name])
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
			if tt.client != nil {
				if err := tt.client(c); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
			}
			if tt.reason == "" {
				return
			}
			r, err := b.Await(1, 90*time.Second, "msg", "session", "service", tt.name)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				return
			}
			took, _ := time.ParseDuration(r[0].Str("duration_ms") + "ms")
			if r[0].Str("reason") != tt.reason || took < tt.least || took > tt.most || r[0].Str("bytes_in") == "" {
				t.Errorf("%s: want %s within %v to %v, its record is %v", tt.name, tt.reason, tt.least, tt.most, r[0])
			}
			patience := 10 * time.Second
			if tt.name == "leaves" { // its program had ended in order: for a window what it wrote may be taken
				patience = 60 * time.Second
			}
			if err := rig.Until(patience, func() error {
				if there, queued := need.ServerEnd(t, c); there && queued > 1 { // a FIN counts as a byte
					return fmt.Errorf("the kernel holds %d bytes for it", queued)
				}
				return nil
			}); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		})
	}
	all.Wait()
	for name, reason := range map[string]string{"silent": "silent", "drips": "slow", "unread": "slow", "builtin": "slow"} {
		if err := rig.Until(10*time.Second, func() error {
			s, err := b.Service(name)
			if err == nil && s.EndedBy[reason] != 1 {
				err = fmt.Errorf("ended by %v", s.EndedBy)
			}
			return err
		}); err != nil {
			t.Errorf("status of %s: %v", name, err)
		}
	}
}

// end is nil for the end of a connection, in order or not.
func end(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

package root

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// TestListeners serves the same program on every kind of stream socket.
func TestListeners(t *testing.T) {
	rig.Root(t)
	program, dir := rig.Compile(t, "testdata/rogue.c"), rig.PublicDir(t)
	sock := filepath.Join(dir, "once.sock")
	both, six := rig.Port(t), rig.Port(t)
	for _, c := range []struct{ listen, network, addr string }{
		{"tcp://:" + both, "tcp4", "127.0.0.1:" + both},
		{"tcp://:" + both, "tcp6", "[::1]:" + both},
		{"tcp6://[::1]:" + six, "tcp6", "[::1]:" + six},
		{"unix:" + sock, "unix", sock},
		{"unixpacket:" + sock, "unixpacket", sock},
	} {
		t.Run(c.listen+" by "+c.network, func(t *testing.T) {
			acl := "acl = acl.loopback"
			if c.addr == sock {
				acl = "acl = acl.anyone"
			}
			rig.Serve(t, head+service("once", c.listen, []string{program, "once"}, "profile = profile.line", acl))
			conn, err := net.DialTimeout(c.network, c.addr, 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			buf := make([]byte, 64)
			n, err := conn.Read(buf)
			if err != nil || string(buf[:n]) != "once\n" {
				t.Errorf("answered %q (%v)", buf[:n], err)
			}
		})
	}
}

// TestSocketFileIsNotStolen: a path that somebody lives on is an error, a dead
// socket is replaced, and a file is left alone.
func TestSocketFileIsNotStolen(t *testing.T) {
	bin := rig.Root(t)
	program, dir := rig.Compile(t, "testdata/rogue.c"), rig.PublicDir(t)
	sock := filepath.Join(dir, "s")
	text := head + service("once", "unix:"+sock, []string{program, "once"}, "profile = profile.line", "acl = acl.anyone")
	refuse := func(why string) {
		t.Helper()
		b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": text}})
		if err == nil {
			b.Stop()
			t.Errorf("%s: the broker started all the same", why)
		}
	}
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	refuse("somebody listens")
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	rig.Serve(t, text).Stop() // a dead socket
	if err := os.WriteFile(sock, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse("a file")
	if got, err := os.ReadFile(sock); err != nil || string(got) != "precious" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
}

// TestDatagramPerPeer: nowait datagrams give each peer a program of its own.
func TestDatagramPerPeer(t *testing.T) {
	rig.Root(t)
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	b := rig.Serve(t, head+service("datagram", "udp4://127.0.0.1:"+port, []string{program, "datagram"}, "profile = profile.line"))
	for i := range 5 {
		c, err := net.Dial("udp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		text := fmt.Sprintf("datagram %d", i)
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != text {
			t.Errorf("peer %d got %q (%v)", i, buf[:n], err)
		}
	}
	if _, err := b.Await(5, 30*time.Second, "msg", "session", "service", "datagram", "reason", "exit"); err != nil {
		t.Error(err)
	}
}

// TestLeasedIDs: connections that run side by side never share a leased uid.
func TestLeasedIDs(t *testing.T) {
	b, ports := rogues(t, "", "hold")
	for range 20 {
		c, err := rig.Dial(ports["hold"])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var sessions []control.SessionStatus
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Status()
		if err == nil && len(s.Sessions) < 20 {
			err = fmt.Errorf("%d sessions", len(s.Sessions))
		}
		if err == nil {
			sessions = s.Sessions
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]int{}
	for _, s := range sessions {
		if other, twice := seen[s.UID]; twice {
			t.Errorf("processes %d and %d share uid %d", other, s.PID, s.UID)
		}
		seen[s.UID] = s.PID
		confined(t, b, s, leaves{})
	}
}

// TestWithInit: behind the tiny init every process is confined alike, orphans
// are reaped, and the session ends with its program.
func TestWithInit(t *testing.T) {
	rig.Root(t)
	dir, port := rig.PublicDir(t), rig.Port(t)
	script := filepath.Join(dir, "script")
	write(t, script, "#!/bin/sh\n(true &)\nsleep 0.2\ngrep -l '^State:.Z' /proc/[0-9]*/status | wc -l\ncat >/dev/null\n", 0o755)
	b := rig.Serve(t, head+service("script", "tcp://127.0.0.1:"+port, []string{script}, "profile = profile.server"))
	exchange(t, port, "", "0\n")
	watched(t, b, "script", port)
}

package root

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/tests/root/rig"
)

// TestWaitProgramShutsItsListenerDown: a wait program of every family answers
// one client and leaves its listening socket shut down. The next client is
// answered all the same, nothing starts for nobody, and the broker sleeps.
func TestWaitProgramShutsItsListenerDown(t *testing.T) {
	rig.Root(t)
	rogue, dir := rig.Compile(t, "testdata/rogue.c"), t.TempDir()
	var text strings.Builder
	text.WriteString(head + "profile \"answers\" {\n  base    = profile.server\n  widens  = [\"network\"]\n  network { mode = \"listener\" }\n")
	if landlock.ABI() < landlock.ABIScopes { // a unixgram listener is refused there, with the reason
		text.WriteString("  best_effort = [\"cgroup\", \"landlock.scopes\"]\n")
	}
	text.WriteString("}\n")
	to := map[string][2]string{} // service -> network and address
	for how := range 3 {
		for _, network := range []string{"tcp", "udp", "unix", "unixgram", "unixpacket"} {
			name := fmt.Sprintf("%s-%d", network, how)
			address := "127.0.0.1:" + rig.Port(t)
			if strings.HasPrefix(network, "unix") {
				address = filepath.Join(dir, name)
			}
			to[name] = [2]string{network, address}
			listen, more := network+"://"+address, []string{"wait = true", "acl = acl.anyone", "limit = limit.wait", "profile = profile.answers"}
			if network != "tcp" && network != "udp" {
				listen = network + ":" + address
				more = append(more, "socket {\n    mode = \"0620\"\n  }")
			}
			text.WriteString(service(name, listen, []string{rogue, fmt.Sprintf("shut-%d", how)}, more...))
		}
	}
	b := rig.Serve(t, text.String())
	for name, at := range to {
		for i := range 3 {
			if err := askOnce(at[0], at[1]); err != nil {
				t.Errorf("%s, client %d: %v", name, i, err)
			}
			err := rig.Until(30*time.Second, func() error {
				s, err := b.Service(name)
				if err == nil && (s.Admitted != uint64(i+1) || s.Live != 0 || s.Listeners[0].State != "listening") {
					err = fmt.Errorf("%d admitted, %d live, %+v", s.Admitted, s.Live, s.Listeners)
				}
				return err
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if info, err := os.Stat(at[1]); at[0] != "tcp" && at[0] != "udp" && (err != nil || info.Mode().Perm() != 0o620) {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	before, err := rig.CPU(acceptor(t, b))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	after, err := rig.CPU(acceptor(t, b))
	if err != nil || after-before > 100*time.Millisecond {
		t.Errorf("the broker used %v in a second without a client (%v)", after-before, err)
	}
	for name := range to {
		if s, err := b.Service(name); err != nil || s.Admitted != 3 {
			t.Errorf("%s: %+v (%v), want one program for each of three clients", name, s, err)
		}
	}
}

// TestOthersComeInTheirPlace: while each program of a wait service takes one client, another
// one comes, so that the queue is always as long as before. None of them is refused; those
// of a program that takes nobody are, one by one.
func TestOthersComeInTheirPlace(t *testing.T) {
	rig.Root(t)
	relieve, dir := []string{rig.Compile(t, "testdata/rogue.c"), "relieve"}, t.TempDir()
	text, to := head, map[string][2]string{} // service -> network and address
	for _, network := range []string{"tcp4", "tcp6", "unix", "unixpacket"} {
		for kind, command := range map[string][]string{"relieve": relieve, "true": {"/bin/true"}} {
			name := network + "-" + kind
			at := [2]string{network, filepath.Join(dir, name)}
			listen, more := network+":"+at[1], "socket {\n    mode = \"0666\"\n  }"
			if ip, ok := map[string]string{"tcp4": "127.0.0.1:", "tcp6": "[::1]:"}[network]; ok {
				at[1] = ip + rig.Port(t)
				listen, more = network+"://"+at[1], ""
			}
			to[name] = at
			text += service(name, listen, command, "wait = true", "acl = acl.anyone", "limit = limit.wait", "profile = profile.server", more)
		}
	}
	b := rig.Serve(t, text)
	for name, at := range to {
		said := relieved
		if strings.HasSuffix(name, "-true") {
			said = refusedAll
		}
		if err := said(at[0], at[1]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range to {
		admits(t, b, name, 10)
	}
}

// admits waits until so many programs of a service count as started, or more: one that has the
// listening socket may serve before the news of it is there.
func admits(t *testing.T, b *rig.Broker, name string, programs uint64) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service(name)
		if err == nil && s.Admitted < programs {
			err = fmt.Errorf("%s: %+v, want %d programs or more", name, s, programs)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// relieved has clients come one by one, each while the program has the one before.
func relieved(network, address string) error {
	var last net.Conn
	for i := range 16 {
		c, err := net.DialTimeout(network, address, 30*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		for conn, want := range map[net.Conn]string{last: "ok\n", c: "taken\n"} {
			if conn == nil {
				continue
			}
			got := make([]byte, len(want))
			if n, err := conn.Read(got); err != nil || string(got[:n]) != want {
				return fmt.Errorf("client %d is told %q (%w), want %q", i, got[:n], err, want)
			}
		}
		last = c
	}
	return nil
}

// refusedAll has two clients come, who are not to wait for ever.
func refusedAll(network, address string) error {
	for i := range 2 {
		c, err := net.DialTimeout(network, address, 30*time.Second)
		if err == nil {
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			_, err = c.Read(make([]byte, 1))
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("client %d: %w, want to be refused", i, err)
		}
	}
	return nil
}

// askOnce sends one message and expects "ok". A unixgram client has no name that
// the program could reach from its sandbox; that it ran is all there is to see.
func askOnce(network, address string) error {
	c, err := net.DialTimeout(network, address, 30*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if network == "udp" || network == "unixgram" {
		if _, err := c.Write([]byte("x")); err != nil || network == "unixgram" {
			return err
		}
	}
	buf := make([]byte, 8)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "ok\n" {
		return fmt.Errorf("answered %q, %w", buf[:n], err)
	}
	return nil
}

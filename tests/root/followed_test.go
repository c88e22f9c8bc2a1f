package root

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// killBroker kills the process that accepts, and waits until another one answers.
func killBroker(t *testing.T, b *rig.Broker) {
	t.Helper()
	old := acceptor(t, b)
	if err := unix.Kill(old, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := rig.Until(30*time.Second, func() error {
		if pid, err := b.Acceptor(); err != nil || pid == old {
			return fmt.Errorf("broker %d: %v", pid, err)
		}
		_, err := b.Status()
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// oneRecordEach: every session has one record, and so many have one in all; with -1 some may have none.
func oneRecordEach(t *testing.T, b *rig.Broker, service string, want int) {
	t.Helper()
	got, err := b.Await(max(want, 1), 30*time.Second, "msg", "session", "service", service)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range got {
		if ids[r.Str("id")] {
			t.Errorf("session %s has two records: %v", r.Str("id"), r)
		}
		ids[r.Str("id")] = true
	}
	if t.Logf("%d records of %s", len(got), service); len(got) != want && want >= 0 {
		t.Errorf("%d records of %s, want %d", len(got), service, want)
	}
}

// gramAnswered sends a datagram, and again as udp's clients do, and wants the program's answer to it.
func gramAnswered(t *testing.T, port, text string) {
	t.Helper()
	c, err := net.Dial("udp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, n := make([]byte, 600), 0
	for range 10 {
		_ = c.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = c.Write([]byte(text))
		n, err = c.Read(got)
		if errors.Is(err, syscall.ECONNREFUSED) { // it is just opened anew: the program before had connected it
			time.Sleep(100 * time.Millisecond)
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		t.Logf("%q is sent again", text)
	}
	if err != nil || string(got[:n]) != "served "+text+" by one" {
		t.Fatalf("to %q a client got %q (%v)", text, got[:n], err)
	}
}

// TestFollowedBrokerDatagrams: a broker that is killed while a program reads the datagrams of its socket itself takes neither
// the program nor a datagram along, and no program reads beside it; one that is killed while programs come and go, at
// any moment, leaves a socket that is served, and nothing that counts. A program that nobody has told root of yet ends
// with what started it, and has no record.
func TestFollowedBrokerDatagrams(t *testing.T) {
	rig.Root(t)
	manners, ports := rig.Compile(t, "testdata/manners.c"), map[string]string{"stays": rig.Port(t), "goes": rig.Port(t)}
	of := func(name string, some int) string {
		return service(name, "udp4://127.0.0.1:"+ports[name], []string{manners, "datagram", fmt.Sprint(some)}, "wait = true", "acl = acl.anyone", "limit = limit.wait", "profile = profile.answers")
	}
	b := rig.Serve(t, head+"profile \"answers\" {\n  base    = profile.strict\n  widens  = [\"network\"]\n  network { mode = \"listener\" }\n}\n"+of("stays", 7)+of("goes", 1))
	gramAnswered(t, ports["stays"], "first")
	only := func() control.SessionStatus {
		t.Helper()
		var st *control.Status
		if err := rig.Until(30*time.Second, func() (err error) {
			if st, err = b.Status(); err == nil && len(st.Sessions) != 1 {
				err = fmt.Errorf("%+v", st.Sessions)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return st.Sessions[0]
	}
	before := only()
	for i := range 5 {
		killBroker(t, b)
		gramAnswered(t, ports["stays"], fmt.Sprint("again-", i))
		if now := only(); now.PID != before.PID || now.ID != before.ID {
			t.Fatalf("round %d: %+v, want %+v", i, now, before)
		}
	}
	gramAnswered(t, ports["stays"], "last") // the seventh, after which it ends
	oneRecordEach(t, b, "stays", 1)
	gramAnswered(t, ports["stays"], "next")
	if now := only(); now.PID == before.PID {
		t.Errorf("%+v serves again", now)
	}
	const rounds = 24
	for i := range rounds {
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(rand.N(40 * time.Millisecond))
			_ = unix.Kill(acceptor(t, b), unix.SIGKILL)
		}()
		gramAnswered(t, ports["goes"], fmt.Sprint("round-", i))
		<-done
		if err := rig.Until(30*time.Second, func() error { _, err := b.Status(); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service("goes")
		if err == nil && s.Live > 0 {
			err = fmt.Errorf("%d live", s.Live)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	oneRecordEach(t, b, "goes", -1)
}

// TestEndBetweenBrokers: a program that ends while there is no broker has its record, from the next one, with how it ended.
func TestEndBetweenBrokers(t *testing.T) {
	rig.Root(t)
	manners, port := rig.Compile(t, "testdata/manners.c"), rig.Port(t)
	b := rig.Serve(t, head+service("polite", "tcp4://127.0.0.1:"+port, []string{manners, "polite"}, "profile = profile.line"))
	const rounds, each = 4, 3
	for range rounds {
		var pids []int
		for range each {
			c, err := rig.Dial(port)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if _, err := io.ReadFull(c, make([]byte, len("ready\n"))); err != nil {
				t.Fatal(err)
			}
		}
		if err := rig.Until(30*time.Second, func() error {
			st, err := b.Status()
			if pids = nil; err == nil {
				for _, s := range st.Sessions {
					pids = append(pids, s.PID)
				}
				if len(pids) != each {
					err = fmt.Errorf("%+v", st.Sessions)
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		old := acceptor(t, b)
		if err := unix.Kill(old, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for unix.Kill(old, 0) != unix.ESRCH { // the next one begins, which takes a while
			time.Sleep(time.Millisecond)
		}
		for _, pid := range pids {
			rig.Signal(t, pid, unix.SIGKILL)
		}
		for _, pid := range pids {
			if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "polite", "pid", fmt.Sprint(pid), "signal", "SIGKILL"); err != nil {
				t.Error(err)
			}
		}
	}
	oneRecordEach(t, b, "polite", rounds*each)
	if err := b.Idle(30 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestFollowedBrokerQueue: who waits for a place when the broker is killed loses the connection, for no other process has
// it; who is served goes on, keeps the place, and whoever comes next waits for that.
func TestFollowedBrokerQueue(t *testing.T) {
	b, port, holder := queueing(t, "queue = \"5m\"\n  queue_length = 4")
	waits := []*net.TCPConn{joins(t, "127.0.0.2", port), joins(t, "127.0.0.3", port)}
	waiting(t, b, 1, 2)
	killBroker(t, b)
	for _, c := range waits {
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("who waited got %q (%v)", got, err)
		}
	}
	waiting(t, b, 1, 0)
	next := joins(t, "127.0.0.4", port)
	waiting(t, b, 1, 1)
	finishes(t, holder, "the holder")
	waiting(t, b, 1, 0)
	finishes(t, next, "the next")
	waiting(t, b, 0, 0)
	oneRecordEach(t, b, "it", 2)
}

// TestFollowedBrokerNames: who waits for a name when the broker is killed loses the connection and leaves nothing that
// counts; who comes then is asked for, by one worker.
func TestFollowedBrokerNames(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	cover(t, "/etc/resolv.conf", "nameserver 127.0.0.53\nsearch example.org\n")
	cover(t, "/etc/hosts", "127.0.0.1\tlocalhost casemate-test localhost.localdomain\n")
	if _, err := os.Stat("/etc/nsswitch.conf"); err == nil {
		cover(t, "/etc/nsswitch.conf", "hosts: files dns\n")
	}
	startDNS(t, "127.0.0.53:53")
	b, ports := named(t)
	for round := range 3 {
		if got, _, err := visit("127.1.0.1", ports["org"]); err != nil || got != "name good.example.org\n" {
			t.Fatalf("round %d: %q (%v)", round, got, err)
		}
		var waits []net.Conn
		for range 8 { // as many as one source may have asked for, whom nobody answers for
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.2.7.1")}}
			c, err := d.Dial("tcp4", "127.0.0.1:"+ports["org"])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			waits = append(waits, c)
		}
		time.Sleep(200 * time.Millisecond) // they are asked for, and the answer takes two seconds
		killBroker(t, b)
		for _, c := range waits {
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			if got, err := io.ReadAll(c); len(got) > 0 && string(got) != goAway || err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("round %d: who waited got %q (%v)", round, got, err)
			}
		}
		if got, took, err := visit("127.2.7.1", ports["org"]); err != nil || got != goAway || took < resolved/2 {
			t.Errorf("round %d: the same source got %q after %s (%v), want it to be asked for", round, got, took, err)
		}
	}
	if got, _, err := visit("127.1.0.1", ports["org"]); err != nil || got != "name good.example.org\n" {
		t.Errorf("%q (%v)", got, err)
	}
	if err := rig.Until(30*time.Second, func() error {
		children, err := rig.Children(b.PID)
		workers := 0
		for _, c := range children {
			if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.PID)); err == nil && strings.HasPrefix(string(args), "casemate-worker\x00names\x00") {
				workers++
			}
		}
		if err == nil && workers != 1 {
			err = fmt.Errorf("%d workers ask for names", workers)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	oneRecordEach(t, b, "org", 4)
}

// TestFollowedBrokerTcpmux: who was handed over by a tcpmux goes on being served when the broker is killed, counts, and
// has a record; who has not named a service yet loses the connection, and the next one has a tcpmux again.
func TestFollowedBrokerTcpmux(t *testing.T) {
	rig.Root(t)
	b, port, _ := tcpmux(t)
	served, from := open(t, port, "cat\r\nmarco\n")
	reads(t, from, "+Go\r\n")
	reads(t, from, "marco\n")
	for range 2 {
		silent, unnamed := open(t, port, "")
		time.Sleep(100 * time.Millisecond) // the worker has it, mostly
		killBroker(t, b)
		_, _ = io.WriteString(silent, "cat\r\nlate\n")
		if rest, err := io.ReadAll(unnamed); len(rest) > 0 && string(rest) != "+Go\r\n" || err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("who had named nothing read %q (%v)", rest, err)
		}
		_, _ = io.WriteString(served, "polo\n")
		reads(t, from, "polo\n")
		c, r := open(t, port, "cat\r\nagain\n")
		reads(t, r, "+Go\r\n")
		reads(t, r, "again\n")
		if err := rig.Until(30*time.Second, func() error {
			s, err := b.Service("cat")
			if err == nil && s.Live != 2 {
				err = fmt.Errorf("%d live", s.Live)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	me := fmt.Sprint(served.LocalAddr().(*net.TCPAddr).Port)
	_ = served.CloseWrite()
	if rest, err := io.ReadAll(from); err != nil || len(rest) != 0 {
		t.Errorf("behind its end the client read %q (%v)", rest, err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "cat", "client_port", me, "reason", "exit"); err != nil {
		t.Error(err)
	}
	oneRecordEach(t, b, "cat", 3)
}

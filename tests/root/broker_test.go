package root

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/policy/control"
	"casemate/sandbox"
	"casemate/sandbox/zygote"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestBrokerIsConfined: every thread of casemated has the capabilities of the
// table in SECURITY.md and no others, can gain none, and is behind the filter that
// takes calls from all; what it starts has that filter as well as its own.
func TestBrokerIsConfined(t *testing.T) {
	rig.Root(t)
	b, ports := rogues(t, "", "hold")
	c, err := rig.Dial(ports["hold"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 16)); err != nil { // the program runs
		t.Fatal(err)
	}
	own, err := rig.Status(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	bound, err := strconv.ParseUint(own["CapBnd"], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if bound&^zygote.BrokerCaps == 0 || own["NoNewPrivs"] != "0" {
		t.Logf("this process is confined itself (CapBnd %s, NoNewPrivs %s): less is seen here", own["CapBnd"], own["NoNewPrivs"])
	}
	inherited, err := strconv.Atoi(own["Seccomp_filters"])
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%016x", bound&zygote.BrokerCaps)
	none := fmt.Sprintf("%016x", 0)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", b.PID))
	if err != nil || len(threads) < 3 {
		t.Fatalf("%d threads (%v)", len(threads), err)
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			t.Fatal(err)
		}
		s, err := rig.Status(tid)
		if err != nil {
			continue // it has ended
		}
		for _, w := range [][2]string{
			{"CapBnd", want}, {"CapPrm", want}, {"CapEff", fmt.Sprintf("%016x", bound&zygote.BrokerCaps&^zygote.LatentCaps)}, {"CapInh", none}, {"CapAmb", none},
			{"NoNewPrivs", "1"}, {"Seccomp", "2"}, {"Seccomp_filters", strconv.Itoa(inherited + 1)},
		} {
			if s[w[0]] != w[1] {
				t.Errorf("thread %d: %s is %q, want %q", tid, w[0], s[w[0]], w[1])
			}
		}
	}
	acceptsConfined(t, b, none, inherited)
	// Until it is so: one that is just being made has not its own filter yet, and one that only proved something at the load may end.
	if err := rig.Until(10*time.Second, func() error {
		below, seen := family(t, b.PID)[1:], 0
		for _, pid := range below {
			s, err := rig.Status(pid)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue
			}
			if err != nil {
				return err
			}
			if s["Seccomp_filters"] != strconv.Itoa(inherited+2) {
				return fmt.Errorf("process %d: %s filters, want the broker's and its own", pid, s["Seccomp_filters"])
			}
			seen++
		}
		if seen < 3 {
			return fmt.Errorf("%d of processes %v below the broker, want the log worker, a zygote and its program", seen, below)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// acceptor is rig's.
func acceptor(t *testing.T, b *rig.Broker) int {
	t.Helper()
	pid, err := b.Acceptor()
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// acceptsConfined: the process that strangers' connections come to has no capability, a leased uid and group of its own, a
// filter, an empty root, and no descriptor of a file but the log.
func acceptsConfined(t *testing.T, b *rig.Broker, none string, inherited int) {
	t.Helper()
	pid := acceptor(t, b)
	s, err := rig.Status(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range [][2]string{
		{"CapBnd", none}, {"CapPrm", none}, {"CapEff", none}, {"CapInh", none}, {"CapAmb", none},
		{"NoNewPrivs", "1"}, {"Seccomp", "2"}, {"Seccomp_filters", strconv.Itoa(inherited + 2)}, {"Groups", ""},
	} {
		if s[w[0]] != w[1] {
			t.Errorf("the broker: %s is %q, want %q", w[0], s[w[0]], w[1])
		}
	}
	for _, ids := range []string{s["Uid"], s["Gid"]} {
		for _, f := range strings.Fields(ids) {
			if id, err := strconv.ParseUint(f, 10, 32); err != nil || uint32(id)-sandbox.LeaseBase >= sandbox.LeaseCount {
				t.Errorf("the broker runs as %q", ids)
			}
		}
	}
	root := fmt.Sprintf("/proc/%d/root/", pid)
	for _, path := range []string{"etc/passwd", "proc/self", "bin/sh", "run", "tmp", "dev/null"} {
		if strings.HasPrefix(rig.Root(t)+"/", "/"+path+"/") {
			continue // its own program is there
		}
		if _, err := os.Lstat(root + path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the broker sees /%s (%v)", path, err)
		}
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) < 5 {
		t.Fatalf("%v, %v", fds, err)
	}
	said, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", b.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if to == said {
			continue // casemated's stderr is the broker's
		}
		if err != nil || strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "pipe:") {
			continue
		}
		if s, err := b.Status(); err != nil || to != s.Log && to != "/dev/null" && to != "/proc/loadavg" && !strings.HasPrefix(to, "/memfd:casemate-plan") && !strings.HasSuffix(to, ".events") && !strings.HasSuffix(to, ".history/.bans") {
			t.Errorf("the broker holds %s (%v)", to, err)
		}
	}
}

// TestBrokerIsFollowed: when the process that accepts is killed, root starts another one. Nobody who comes
// meanwhile is refused, who is served goes on being served, counts in its limit, and has a record at its end.
func TestBrokerIsFollowed(t *testing.T) {
	rig.Root(t)
	cat, port, held := need.Programs(t, "cat")[0], rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+"limit \"two\" {\n  concurrent = 2\n}\n"+
		service("cat", "tcp4://127.0.0.1:"+port, []string{cat}, "profile = profile.line", "limit = limit.two")+
		service("echo", "udp4://127.0.0.1:"+held, nil, `builtin = "echo"`))
	says := func(c *net.TCPConn, text string) {
		t.Helper()
		_, _ = c.Write([]byte(text))
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
			t.Fatalf("got %q (%v), want %q", got, err, text)
		}
	}
	dial := func() *net.TCPConn {
		t.Helper()
		c, err := rig.Dial(port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first := dial()
	says(first, "one\n")
	var before *control.Status
	if err := rig.Until(30*time.Second, func() (err error) {
		if before, err = b.Status(); err == nil && len(before.Sessions) != 1 {
			err = fmt.Errorf("%+v", before)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		old := acceptor(t, b)
		if err := unix.Kill(old, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := rig.Until(30*time.Second, func() error { // what it has accepted until then goes with it
			if err := unix.Kill(old, 0); err != unix.ESRCH {
				return fmt.Errorf("process %d: %v", old, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		second := dial() // it waits in the backlog
		says(second, "two\n")
		says(first, "still here\n")
		if now := acceptor(t, b); now == old {
			t.Error("it was not killed")
		}
		if err := rig.Until(30*time.Second, func() error { // it is listed a moment after it runs
			st, err := b.Status()
			if err == nil && (st.PID != before.PID || st.Digest != before.Digest || len(st.Sessions) != 2 || st.Sessions[0].ID != before.Sessions[0].ID ||
				st.Sessions[0].PID != before.Sessions[0].PID || st.Sessions[0].Client != before.Sessions[0].Client) {
				err = fmt.Errorf("%+v, want %+v and one more session", st, before.Sessions)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		third, err := rig.Dial(port) // two are served; its reset may come before connect(2) has returned
		if err == nil {
			n, err := third.Read(make([]byte, 1))
			if third.Close(); n != 0 || err == nil {
				t.Errorf("a third one is served: %d, %v", n, err)
			}
		} else if !errors.Is(err, unix.ECONNRESET) {
			t.Error(err)
		}
		second.Close()
		if _, err := b.Await(1, 30*time.Second, "msg", "decision", "service", "cat", "reason", "concurrency"); err != nil {
			t.Error(err)
		}
		if err := rig.Until(30*time.Second, func() error {
			st, err := b.Service("cat")
			if err == nil && st.Live != 1 {
				err = fmt.Errorf("%d live", st.Live)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	first.Close()
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "cat", "pid", strconv.Itoa(before.Sessions[0].PID), "reason", "exit"); err != nil {
		t.Error(err)
	}
}

// TestFollowedBrokerLeavesNothing: root keeps no descriptor of a broker that was killed, and no socket that nobody reads: a nowait udp
// service has many on its address, to each of which the kernel gives a share of the peers.
func TestFollowedBrokerLeavesNothing(t *testing.T) {
	rig.Root(t)
	head1, port, other := need.Programs(t, "head")[0], rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+"profile \"peer\" {\n  base   = profile.line\n  widens = [\"network\"]\n  network { mode = \"listener\" }\n}\n"+
		service("once", "udp4://127.0.0.1:"+port, []string{head1, "-c", "3"}, "profile = profile.peer")+
		service("echo", "tcp4://127.0.0.1:"+other, nil, `builtin = "echo"`))
	before := 0
	for round := range 3 {
		if round > 0 {
			old := acceptor(t, b)
			if err := unix.Kill(old, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := rig.Until(30*time.Second, func() error {
				if pid, err := b.Acceptor(); err != nil || pid == old {
					return fmt.Errorf("broker %d: %v", pid, err)
				}
				_, err := b.Service("once")
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		for range 16 {
			c, err := net.Dial("udp4", "127.0.0.1:"+port)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			_, _ = c.Write([]byte("abc"))
			if n, err := c.Read(got); err != nil || string(got[:n]) != "abc" {
				t.Errorf("round %d: a peer got %q (%v)", round, got[:n], err)
			}
			c.Close()
		}
		if err := rig.Until(30*time.Second, func() error { // programs end, and what starts them
			fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.PID))
			switch {
			case err != nil:
				return err
			case round == 1:
				st, err := b.Service("once")
				if err != nil || st.Live > 0 {
					return fmt.Errorf("%+v, %v", st, err)
				}
				before = len(fds)
			case round > 1 && len(fds) > before+2: // one of the log's sandbox would be three
				return fmt.Errorf("%d descriptors, %d before", len(fds), before)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// TestFollowedBrokerServesWhatMoved: a wait program whose service has moved to another port holds nothing of what the next broker listens at.
func TestFollowedBrokerServesWhatMoved(t *testing.T) {
	rig.Root(t)
	sleep, port, moved := need.Programs(t, "sleep")[0], rig.Port(t), rig.Port(t)
	of := func(port string) string {
		return head + service("wait", "tcp4://127.0.0.1:"+port, []string{sleep, "1000"}, "profile = profile.server", "wait = true", "acl = acl.anyone", "limit = limit.wait")
	}
	b := rig.Serve(t, of(port))
	ask := func(port string, programs int) {
		t.Helper()
		c, err := rig.Dial(port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := rig.Until(30*time.Second, func() error {
			st, err := b.Status()
			if err == nil && len(st.Sessions) != programs {
				err = fmt.Errorf("%+v, want %d sessions", st, programs)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	ask(port, 1)
	if err := b.WritePolicy("test.cm.hcl", of(moved)); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || r.Error != "" {
		t.Fatal(r, err)
	}
	if err := unix.Kill(acceptor(t, b), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ask(moved, 2)
}

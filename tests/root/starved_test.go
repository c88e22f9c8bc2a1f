package root

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// descriptors are the numbers that the broker has in use.
func descriptors(t *testing.T, b *rig.Broker) map[int]bool {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", acceptor(t, b)))
	if err != nil {
		t.Fatal(err)
	}
	used := map[int]bool{}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			used[n] = true
		}
	}
	return used
}

// starve lowers the broker's descriptor limit until no number is left, once those of
// earlier requests are back. What it returns gives the limit back.
func starve(t *testing.T, b *rig.Broker) (feed func()) {
	t.Helper()
	used, calm := descriptors(t, b), 0
	if err := rig.Until(30*time.Second, func() error {
		now := descriptors(t, b)
		if calm++; !maps.Equal(now, used) {
			calm = 0
		}
		if used = now; calm < 20 {
			return fmt.Errorf("%d descriptors, the same for %d looks", len(used), calm)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	limit := 0
	for used[limit] {
		limit++
	}
	var old unix.Rlimit
	if err := filesOf(acceptor(t, b), &old); err != nil {
		t.Fatal(err)
	}
	setFiles(t, b, unix.Rlimit{Cur: uint64(limit), Max: old.Max})
	return func() {
		t.Helper()
		setFiles(t, b, old)
	}
}

// filesOf reads a process's limit of descriptors.
func filesOf(pid int, l *unix.Rlimit) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			_, err = fmt.Sscan(rest, &l.Cur, &l.Max)
			return err
		}
	}
	return errors.New("no limit of open files")
}

// setFiles sets the broker's limit of descriptors, as its own user, who may: root without CAP_SYS_RESOURCE may not.
func setFiles(t *testing.T, b *rig.Broker, to unix.Rlimit) {
	t.Helper()
	pid := acceptor(t, b)
	s, err := rig.Status(pid)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(strings.Fields(s["Uid"])[0], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Programs(t, "prlimit")[0], "--pid", strconv.Itoa(pid), fmt.Sprintf("--nofile=%d:%d", to.Cur, to.Max))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("prlimit: %v: %s", err, out)
	}
}

// TestAcceptFails: with its descriptor table full the broker cannot accept, on
// any listener. It rests instead of spinning, and serves again by itself as
// soon as there is room.
func TestAcceptFails(t *testing.T) {
	b, ports := rogues(t, "", "once")
	exchange(t, ports["once"], "", "once\n")
	before := counters(t, b)
	feed := starve(t, b)
	client := connect(t, ports["once"])
	used, err := rig.CPU(acceptor(t, b))
	if err != nil {
		t.Fatal(err)
	}
	_ = client.SetReadDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 16)
	if n, err := client.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with no descriptor left a client got %q (%v): the table was not full", buf[:n], err)
	}
	after, err := rig.CPU(acceptor(t, b))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s of processor time in 2 s without a descriptor", after-used)
	if d := after - used; d > 300*time.Millisecond {
		t.Errorf("waiting for descriptors took %s of processor time in 2 s", d)
	}
	feed()
	_ = client.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := client.Read(buf); err != nil || string(buf[:n]) != "once\n" {
		t.Errorf("then it got %q (%v)", buf[:n], err)
	}
	exchange(t, ports["once"], "", "once\n")
	quiet(t, b, before)
	if got, err := b.Find("level", "WARN", "msg", "out of resources, resting all listeners"); err != nil || len(got) == 0 || len(got) > 3 {
		t.Errorf("%d warnings about it (%v), want a few", len(got), err)
	}
}

// TestNoTasksLeft: with no task left to the services and the broker together, not even
// in place of one that ends, all clients are refused and loads fail, the broker goes on, and serves when there is room again.
func TestNoTasksLeft(t *testing.T) {
	rig.Root(t)
	under, group := rig.PidsGroup(t)
	if group == "" {
		need.Kernel(t, "no control group counts tasks")
	}
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Under: under, Files: map[string]string{
		"test.cm.hcl": head + service("once", "tcp://127.0.0.1:"+port, []string{program, "once"}, "profile = profile.line")}})
	exchange(t, port, "", "once\n")
	counters(t, b)
	(&rig.Unit{Path: group}).Write(t, "pids.max", "0")
	var wg sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if got, _ := rig.Exchange(port, ""); got != "" {
					served.Add(1)
				}
				_, _ = b.Status()
			}
			_ = b.Signal(unix.SIGHUP)
		})
	}
	wg.Wait()
	rig.SetPids(t, group, -1)
	if n := served.Load(); n > 0 {
		t.Errorf("%d of 200 clients were served: there were tasks left", n)
	}
	if s, err := b.Status(); err != nil || s.PID != b.PID {
		t.Fatalf("the broker: %+v (%v)", s, err)
	}
	if err := rig.Until(30*time.Second, func() error { return replies(port, "once\n") }); err != nil {
		t.Error(err)
	}
}

// TestReloadsWithNoTaskLeft: every load that fails for want of a task leaves the broker the
// threads that it has, however many of them come; a reload of the same policy takes no task.
func TestReloadsWithNoTaskLeft(t *testing.T) {
	rig.Root(t)
	under, group := rig.PidsGroup(t)
	if group == "" {
		need.Kernel(t, "no control group counts tasks")
	}
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	text := head + service("once", "tcp://127.0.0.1:"+port, []string{program, "once"}, "profile = profile.line")
	b := rig.ServeWith(t, rig.Options{Under: under, Files: map[string]string{"test.cm.hcl": text}})
	exchange(t, port, "", "once\n")
	counters(t, b)
	reload := func() error {
		answer, err := b.Request(control.Request{Verb: control.VerbReload})
		if err == nil && !answer.OK {
			err = errors.New(answer.Error)
		}
		return err
	}
	rig.SetPids(t, group, 0)
	if err := reload(); err != nil {
		t.Errorf("an unchanged policy: %v", err)
	}
	const loads = 60
	failed := 0
	for n := 1; n <= loads; n++ {
		if err := b.WritePolicy("test.cm.hcl", fmt.Sprintf("%s\n# %d\n", text, n)); err != nil {
			t.Fatal(err)
		}
		rig.SetPids(t, group, 0) // also what a zygote has given back that went meanwhile
		if err := b.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if err := rig.Until(20*time.Second, func() error {
			lost, err := b.Find("msg", "load failed, nothing changed")
			made, merr := b.Find("msg", "loaded")
			if failed = len(lost); err != nil || merr != nil || len(lost)+len(made) < n+2 {
				return fmt.Errorf("%d loads have failed, %d have not (%v, %v)", len(lost), len(made), err, merr)
			}
			return nil
		}); err != nil {
			t.Fatalf("reload %d of %d: %v\n%s", n, loads, err, b.Stderr())
		}
	}
	if failed < loads/2 {
		t.Errorf("%d of %d reloads have failed: there were tasks left", failed, loads)
	}
	rig.SetPids(t, group, -1)
	exchange(t, port, "", "once\n")
	if err := reload(); err != nil {
		t.Errorf("with tasks again: %v", err)
	}
}

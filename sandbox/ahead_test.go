package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// aheadOf are the mount namespaces that a process holds by descriptors, and how many descriptors it has.
func aheadOf(t *testing.T, pid int) (held map[string]bool, fds int) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	held = map[string]bool{}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil {
			if fds++; strings.HasPrefix(to, "mnt:") {
				held[to] = true
			}
		}
	}
	return held, fds
}

// makerOf is the process that makes a zygote's mount namespaces.
func makerOf(t *testing.T, zygote int) int {
	t.Helper()
	kids, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", zygote))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(kids)))
	if err != nil {
		t.Fatalf("children of the zygote: %q, want its maker", kids)
	}
	return pid
}

// mountsOf says which mount namespace each of n sessions was in, and what they saw of /tmp.
func mountsOf(t *testing.T, z *zygote.Zygote, n int) (in, saw map[string]int) {
	t.Helper()
	in, saw = map[string]int{}, map[string]int{}
	for range n {
		out, r, ws := once(t, z, zygote.Request{})
		if ns, rest, ok := strings.Cut(out, "\n"); ok && r.Err() == nil && ws.ExitStatus() == 0 {
			in[ns]++
			saw[rest]++
		} else {
			t.Fatalf("%q, %v, status %#x", out, r.Err(), ws)
		}
	}
	return in, saw
}

// within counts the sessions that were in mount namespaces which are held.
func within(in map[string]int, held map[string]bool) (n int) {
	for ns, sessions := range in {
		if held[ns] {
			n += sessions
		}
	}
	return n
}

const tells = "readlink /proc/self/ns/mnt; ls -A /tmp /proc | grep -v '^[a-z0-9]*$'; pwd; touch /tmp/left"

// TestAhead: the mount namespaces of sessions are made ahead and serve many, each time with an empty /tmp and in the working
// directory; none is made before the first connection; and what makes them has a filter and no capability but two.
func TestAhead(t *testing.T) {
	p, c := realistic(), shell(tells)
	c.Dir = "/usr/bin"
	z := start(t, p, c)
	maker := makerOf(t, z.PID())
	if held, _ := aheadOf(t, z.PID()); len(held) > 1 {
		t.Errorf("before the first connection it holds %v", held)
	}
	var status []byte
	var err error
	for range 1000 { // it becomes so behind the zygote's back
		if status, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", maker)); strings.Contains(string(status), "Seccomp:\t2\n") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, want := range []string{"CapPrm:\t0000000000240000", "CapEff:\t0000000000240000", "CapBnd:\t0000000000000000", "Seccomp:\t2", "NoNewPrivs:\t1"} {
		if err != nil || !strings.Contains(string(status), want+"\n") {
			t.Errorf("the maker (%v): no %q in %s", err, want, status)
		}
	}
	const n = 80
	in, saw := mountsOf(t, z, n)
	held, fds := aheadOf(t, z.PID())
	if within(in, held) < n/2 || len(held) > zygote.MaxSlots+1 || len(saw) != 1 {
		t.Errorf("%d sessions were in %v, of which %v are held, and saw %v", n, in, held, saw)
	}
	mountsOf(t, z, n)
	if again, more := aheadOf(t, z.PID()); len(again) > len(held)+2 || more > fds+8 {
		t.Errorf("after as many again it holds %d mount namespaces and %d descriptors, and held %d and %d", len(again), more, len(held), fds)
	}
}

// TestAheadKeeps: a tmpfs that no session has touched serves the next, and only such: none that was read, none that a service
// could watch, and none that it owns.
func TestAheadKeeps(t *testing.T) {
	const untouched, where = "stat -c %z /tmp/.", "readlink /proc/self/ns/mnt; "
	watches := realistic()
	watches.Syscalls.Allow = []string{"@server", "inotify_add_watch"}
	for _, c := range []struct {
		name, does string
		p          Profile
		uid        uint32
		keeps      bool
	}{
		{"nothing", untouched, realistic(), 65534, true},
		{"a file that is removed", untouched + "; touch /tmp/f; rm /tmp/f", realistic(), 65534, false},
		{"a file", untouched + "; touch /tmp/f", realistic(), 65534, false},
		{"a look", untouched + "; ls /tmp", realistic(), 65534, false},
		{"its time", untouched + "; sleep 0.02; touch /tmp", realistic(), 65534, false},
		{"what may watch", untouched, watches, 65534, false},
		{"root", untouched, realistic(), 0, false},
	} {
		command := shell(where + c.does)
		command.UID, command.GID = c.uid, c.uid
		z := start(t, c.p, command)
		was, again, kept := map[string]string{}, 0, 0
		for range 24 {
			out, r, ws := once(t, z, zygote.Request{})
			words := strings.SplitN(out, "\n", 3)
			if len(words) < 3 || r.Err() != nil || ws.ExitStatus() != 0 {
				t.Fatalf("%s: %q, %v, status %#x", c.name, out, r.Err(), ws)
			}
			if held, _ := aheadOf(t, z.PID()); held[words[0]] {
				if last, ok := was[words[0]]; ok {
					if again++; last == words[1] {
						kept++
					}
				}
				was[words[0]] = words[1]
			}
			time.Sleep(10 * time.Millisecond)
		}
		if again < 8 || c.keeps && kept < again/2 || !c.keeps && kept > again/4 {
			t.Errorf("%s: of %d sessions where others had been, %d had the same tmpfs", c.name, again, kept)
		}
	}
}

// TestAheadEnds: when a zygote is killed, or given up, what made its mount namespaces ends with it, and they are gone.
func TestAheadEnds(t *testing.T) {
	for _, killed := range []bool{true, false} {
		needRoot(t)
		pl, err := planOf(t, realistic(), shell(tells))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Prepare(pl, Options{})
		if err != nil {
			t.Fatal(err)
		}
		z, err := s.Spawn()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		mountsOf(t, z, 20)
		maker, err := unix.PidfdOpen(makerOf(t, z.PID()), 0)
		if err != nil {
			t.Fatal(err)
		}
		if killed {
			unix.Kill(z.PID(), unix.SIGKILL)
		} else {
			z.Close()
		}
		if err := zygote.Await(maker, 10*time.Second); err != nil {
			t.Errorf("killed %v: what made its mount namespaces is there: %v", killed, err)
		}
		wait(t, z.PID())
		unix.Close(maker)
		if killed {
			z.Close()
		}
	}
}

// TestAheadFails: without what makes mount namespaces, and without room for its descriptors, each session has a copy of its own.
func TestAheadFails(t *testing.T) {
	z := start(t, realistic(), shell(tells))
	mountsOf(t, z, 20)
	maker, err := unix.PidfdOpen(makerOf(t, z.PID()), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(maker)
	if err := errors.Join(unix.PidfdSendSignal(maker, unix.SIGKILL, nil, 0), zygote.Await(maker, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	mountsOf(t, z, zygote.MaxSlots) // all that it has made
	held, _ := aheadOf(t, z.PID())
	if in, saw := mountsOf(t, z, 20); within(in, held) > 0 || len(saw) != 1 {
		t.Errorf("without a maker sessions were in %v of %v, and saw %v", in, held, saw)
	}
	small := realistic()
	small.Resources[OpenFiles] = 32
	z = start(t, small, shell(tells))
	in, saw := mountsOf(t, z, 10)
	if held, _ = aheadOf(t, z.PID()); len(held) > 0 || len(saw) != 1 {
		t.Errorf("with few descriptors it holds %v, and sessions in %v saw %v", held, in, saw)
	}
}

package root

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// sparing is a service whose profile keeps something of the processor to itself.
func sparing(name, base, port, processor, more string) string {
	return fmt.Sprintf("profile %q {\n  base = profile.%s\n  %s\n  processor {\n    %s\n  }\n}\n", name, base, more, processor) +
		service(name, "tcp4://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile."+name)
}

// statusOf is what /proc/PID/status says under a word.
func statusOf(t *testing.T, pid int, word string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, word+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestSpeculation: a program whose profile says so has the speculations switched off for good, as the kernel shows from
// outside, be it process 1 or behind an init; one of another profile has not. A kernel that has no switch refuses the
// service with the reason, or serves with the loss in its status where best_effort says so.
func TestSpeculation(t *testing.T) {
	bin := rig.Root(t)
	for which, c := range []struct{ name, word, off, on string }{
		unix.PR_SPEC_STORE_BYPASS:    {"store_bypass", "Speculation_Store_Bypass", "thread force mitigated", "thread vulnerable"},
		unix.PR_SPEC_INDIRECT_BRANCH: {"indirect_branch", "SpeculationIndirectBranch", "conditional force disabled", "conditional enabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ports := []string{rig.Port(t), rig.Port(t), rig.Port(t)}
			text := head + sparing("kept", "line", ports[0], c.name+` = "off"`, "") + sparing("deep", "server", ports[1], c.name+` = "off"`, "") +
				service("plain", "tcp4://127.0.0.1:"+ports[2], []string{"/bin/cat"}, "profile = profile.line")
			how, err := unix.PrctlRetInt(unix.PR_GET_SPECULATION_CTRL, uintptr(which), 0, 0, 0)
			if err != nil || how == unix.PR_SPEC_ENABLE {
				refusedFor(t, bin, text, "processor."+c.name, "kept")
				return
			}
			b := rig.Serve(t, text)
			status := map[string]string{}
			for i, name := range []string{"kept", "deep", "plain"} {
				echo(t, connect(t, ports[i]))
				status[name] = statusOf(t, session(t, b, name).PID, c.word)
			}
			want := map[string]string{"kept": c.off, "deep": c.off, "plain": c.on}
			if how&unix.PR_SPEC_PRCTL == 0 { // nobody is affected, or it is off for all: as it is without casemate
				own := statusOf(t, os.Getpid(), c.word)
				want = map[string]string{"kept": own, "deep": own, "plain": own}
			} else if how != unix.PR_SPEC_PRCTL|unix.PR_SPEC_ENABLE {
				delete(want, "plain") // who started this has switched it off for all that it starts
			}
			for name, w := range want {
				if status[name] != w {
					t.Errorf("%s: %s: %q, want %q", name, c.word, status[name], w)
				}
			}
		})
	}
}

// refusedFor holds that a policy does not load for the sake of a word of best_effort, and that with the word it does, with
// the loss in the status of the service.
func refusedFor(t *testing.T, bin, text, word, name string) {
	t.Helper()
	whole := strings.Replace(text, "edition = 1", "\n  edition = 1\n  on_broken = \"refuse\"\n", 1)
	b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": whole}})
	if err == nil {
		b.Stop()
		t.Fatalf("a kernel without %s serves", word)
	}
	for _, w := range []string{name, word + ": this", fmt.Sprintf("best_effort = [%q]", word)} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
	b = rig.Serve(t, strings.ReplaceAll(text, "\n  processor {", fmt.Sprintf("\n  best_effort = [%q]\n  processor {", word)))
	s, err := b.Service(name)
	if err != nil || !strings.Contains(strings.Join(s.Losses, " "), word+": this") {
		t.Errorf("status %+v (%v), want the loss of %s", s, err, word)
	}
}

// cookie is that of a process for core scheduling, 0 for none.
func cookie(pid int) (n uint64, err error) {
	err = unix.Prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_GET, uintptr(pid), unix.PR_SCHED_CORE_SCOPE_THREAD, uintptr(unsafe.Pointer(&n)))
	return n, err
}

// TestCore: sessions of one service share a core with each other alone, those that keep it to themselves with nobody, and
// others with whom the kernel likes. A kernel without core scheduling refuses the service; where no core has two
// threads there is nothing to keep, and it serves.
func TestCore(t *testing.T) {
	bin := rig.Root(t)
	ports := []string{rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t)}
	text := head + sparing("one", "line", ports[0], `core = "service"`, "") + sparing("two", "server", ports[1], `core = "service"`, "") +
		sparing("each", "line", ports[2], `core = "session"`, "") + sparing("deep", "server", ports[3], `core = "session"`, "syscalls { seal = true }") +
		service("plain", "tcp4://127.0.0.1:"+ports[4], []string{"/bin/cat"}, "profile = profile.line")
	_, err := cookie(0)
	if errors.Is(err, unix.EINVAL) {
		refusedFor(t, bin, text, "processor.core", "one")
		return
	}
	b := rig.Serve(t, text)
	seen := map[string][]uint64{}
	for i, name := range []string{"one", "two", "each", "deep", "plain"} {
		for range 2 {
			echo(t, connect(t, ports[i]))
		}
		for _, pid := range pidsOf(t, b, name, 2) {
			if n, err := cookie(pid); err == nil {
				seen[name] = append(seen[name], n)
			} else if !errors.Is(err, unix.ENODEV) {
				t.Fatalf("%s: its cookie: %v", name, err)
			}
		}
	}
	if errors.Is(err, unix.ENODEV) {
		need.Kernel(t, "no core has two threads: the services serve, and have no cookies to be seen")
	}
	owner := map[uint64]string{}
	for name, list := range seen {
		shared := list[0] == list[1]
		if alone := name == "each" || name == "deep"; shared == alone {
			t.Errorf("%s: sessions have the cookies %x", name, list)
		}
		for _, n := range list {
			if (n == 0) != (name == "plain") || owner[n] != "" && owner[n] != name {
				t.Errorf("%s: the cookie %x is none, or that of %q too", name, n, owner[n])
			}
			owner[n] = name
		}
	}
}

// pidsOf are the programs of a service's sessions, so many.
func pidsOf(t *testing.T, b *rig.Broker, service string, n int) (pids []int) {
	t.Helper()
	err := rig.Until(30*time.Second, func() error {
		s, err := b.Status()
		if err != nil {
			return err
		}
		pids = nil
		for _, x := range s.Sessions {
			if x.Service == service && x.PID > 0 {
				pids = append(pids, x.PID)
			}
		}
		if len(pids) != n {
			return fmt.Errorf("%d sessions of %s, want %d", len(pids), service, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pids
}

// TestCoreIsAsked: on a kernel that says it has core scheduling, a cookie is made for the service, or for each session as the
// first thing that its own filter lets it do, and where that fails nothing is executed. Where no core has two threads, all serve.
func TestCoreIsAsked(t *testing.T) {
	bin := rig.Root(t)
	seems := rig.Compile(t, "testdata/coresched.c")
	each, deep, plain := rig.Port(t), rig.Port(t), rig.Port(t)
	text := strings.Replace(head, "edition = 1", "\n  edition = 1\n  on_broken = \"refuse\"\n", 1) +
		sparing("each", "line", each, `core = "session"`, "") + sparing("deep", "server", deep, `core = "session"`, "syscalls { seal = true }") +
		service("plain", "tcp4://127.0.0.1:"+plain, []string{"/bin/cat"}, "profile = profile.line")
	one := rig.Port(t)
	whole := text + sparing("one", "line", one, `core = "service"`, "")
	start := func(errno unix.Errno, text string) (*rig.Broker, error) {
		return rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": text}, Under: []string{seems, fmt.Sprint(int(errno))}})
	}
	for _, errno := range []unix.Errno{0, unix.ENODEV} {
		b, err := start(errno, whole)
		if err != nil {
			t.Fatalf("%d: %v", errno, err)
		}
		for _, port := range []string{each, deep, plain, one} {
			echo(t, connect(t, port))
		}
		b.Stop()
	}
	if b, err := start(unix.EBUSY, whole); err == nil {
		b.Stop()
		t.Error("a service without its cookie serves")
	} else if !strings.Contains(err.Error(), "keep the processor to itself") || !strings.Contains(err.Error(), "one") {
		t.Errorf("refused for %v", err)
	}
	b, err := start(unix.EBUSY, text)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	for name, port := range map[string]string{"each": each, "deep": deep} {
		if got, _ := rig.Exchange(port, "x\n"); got != "" {
			t.Errorf("%s: a session without its cookie answers %q", name, got)
		}
		if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", name, "reason", "start-failed"); err != nil {
			t.Error(err)
		}
	}
	exchange(t, plain, "x\n", "x\n")
}

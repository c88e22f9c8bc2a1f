package observe

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"casemate/sandbox/learn"
	"casemate/sandbox/learn/observe/parole"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestFreeIsTheSame: what a program does that is let go, and stops only for calls that are unlike all before, is told as of
// one that stops at each: the same facts as often, with their paths and errors, what it complained of and
// how it ended, at the same of its calls.
func TestFreeIsTheSame(t *testing.T) {
	needFree(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"sub/file": "x", "lines": strings.Repeat("some line\n", 60), "script": "#!/bin/sh\n: < sub/file\nexit 3\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lines := "while read x; do :; done < lines; "
	for name, c := range map[string]struct {
		job  string
		seen []string
	}{
		// A shell reads byte by byte, by as many calls that are alike.
		"paths":   {lines + ": < sub/file; " + lines + "cd sub; : < file; cd ..; " + lines + "[ -e none ]; " + lines, []string{"sub/file", "none"}},
		"starts":  {lines + "cat sub/file >/dev/null; " + lines + "(exit 3); " + lines, []string{"sub/file"}},
		"says":    {lines + "echo wrong >&2; " + lines + "exit 0", nil},
		"becomes": {lines + "exec ./script", []string{"script", "sub/file"}},
		"dies":    {lines + "kill -TERM $$", nil},
	} {
		t.Run(name, func(t *testing.T) {
			job := filepath.Join(t.TempDir(), "job")
			if err := os.WriteFile(job, []byte("cd "+dir+"\n"+c.job+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			stops, free := follow(t, job, false), follow(t, job, true)
			compare(t, "facts", told(stops), told(free))
			compare(t, "complaints", spoken(stops), spoken(free))
			compare(t, "ends", ended(stops), ended(free))
			for _, path := range c.seen {
				if !slices.ContainsFunc(free.Facts, func(f learn.Fact) bool { return f.Path == filepath.Join(dir, path) }) {
					t.Errorf("no call with %s", path)
				}
			}
		})
	}
}

// TestFreeThatBlocks: a program that blocks what would stop it is seen all the same, and stops at each call from then on.
func TestFreeThatBlocks(t *testing.T) {
	needFree(t)
	dir := t.TempDir()
	job := filepath.Join(dir, "job")
	if err := os.WriteFile(job, []byte("cd "+dir+`
exec perl -MPOSIX -e 'sub many { for (1..500) { POSIX::getppid() } } many(); sigprocmask(SIG_BLOCK, POSIX::SigSet->new(1..31)) or die;
open(F, "<", "one/".$_) for (1..3); many(); open(F, "<", "two"); many(); exit 0'
`), 0o755); err != nil {
		t.Fatal(err)
	}
	s := follow(t, job, true)
	parents := 0
	seen := map[string]int{}
	for _, f := range s.Facts {
		if f.Call == "getppid" {
			parents += f.Count
		}
		seen[f.Path] += f.Count
	}
	if parents < 1500 {
		t.Errorf("%d of 1500 calls are counted", parents)
	}
	for _, path := range []string{"one/1", "one/2", "one/3", "two"} {
		if seen[filepath.Join(dir, path)] != 1 {
			t.Errorf("%s was opened %d times among %v", path, seen[filepath.Join(dir, path)], seen)
		}
	}
}

// victim is what the test's program is for TestFreeThatIsRefused: it has a filter that refuses getppid, with EPERM or by killing
// it, makes calls that are alike, that one, and more of these. For TestFreeThreadBecomes one of its threads makes
// them, which is not the first, and becomes another program.
func victim(how string) {
	many := func() {
		for range 2000 {
			unix.RawSyscall(unix.SYS_GETUID, 0, 0, 0)
		}
	}
	if how == "becomes" {
		runtime.LockOSThread() // the first
		go func() {
			runtime.LockOSThread()
			many()
			panic(unix.Exec("/bin/true", []string{"true"}, nil))
		}()
		select {}
	}
	runtime.LockOSThread()
	answers := map[string]uint32{"errno": 0x50000 | uint32(unix.EPERM), "kill": 0x80000000}
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_GETPPID},
		{Code: unix.BPF_RET | unix.BPF_K, K: answers[how]},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	must(unix.Prctl(unix.PR_SET_SECCOMP, 2, uintptr(unsafe.Pointer(&unix.SockFprog{Len: 4, Filter: &program[0]})), 0, 0))
	many()
	unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	many()
	os.Exit(0)
}

// TestFreeThatIsRefused: a call that a filter refuses is seen of a program that was let go, and so is the one that it
// is killed for. That program is of Go, whose runtime handles nearly all signals.
func TestFreeThatIsRefused(t *testing.T) {
	needFree(t)
	for how, want := range map[string]learn.Fact{
		"errno": {Call: "getppid", Err: unix.EPERM, Count: 1},
		"kill":  {Call: "getppid", Killed: true, Count: 1},
	} {
		s := follow(t, ownJob(t, how), true)
		users, seen := 0, false
		for _, f := range s.Facts {
			if f.Call == "getuid" {
				users += f.Count
			}
			seen = seen || f.Call == want.Call && f.Err == want.Err && f.Killed == want.Killed && f.Count == want.Count
		}
		if all := map[string]int{"errno": 4000, "kill": 2000}[how]; !seen || users < all || users > all+10 {
			t.Errorf("%s: %d of %d calls are counted, and the refused one is seen: %t", how, users, all, seen)
		}
	}
}

// TestFreeThreadBecomes: a program that a thread executes which was let go and is not its process's first is told by the name that it was
// executed by, and what the new program does is seen.
func TestFreeThreadBecomes(t *testing.T) {
	needFree(t)
	s := follow(t, ownJob(t, "becomes"), true)
	if !slices.ContainsFunc(s.Facts, func(f learn.Fact) bool { return f.Call == "execve" && f.Path == "/bin/true" && f.Err == 0 }) {
		t.Errorf("no execve of it among %+v", s.Facts)
	}
	if last := s.Ends[len(s.Ends)-1]; last.Exec || last.Status != 0 || !strings.HasSuffix(last.Program, "/true") {
		t.Errorf("it ended as %+v", last)
	}
}

// ownJob is a job that runs this program as a victim.
func ownJob(t *testing.T, how string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	job := filepath.Join(t.TempDir(), "job")
	if err := os.WriteFile(job, []byte("OBSERVE_ZYGOTE= OBSERVE_VICTIM="+how+" exec "+self+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return job
}

// needFree skips where the kernel, or what it runs in, lets nothing go: learn does without.
func needFree(t *testing.T) {
	t.Helper()
	need.Root(t, "it loads a program of eBPF")
	o, err := parole.Open(nil, func() {})
	if err != nil {
		need.Kernel(t, "lets no thread go: %v", err)
	}
	o.Close()
}

// follow runs a job of sh to its end, followed: let go as soon as may be, or stopped at every call.
func follow(t *testing.T, job string, free bool) *learn.Session {
	t.Helper()
	tr, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Stop()
	tr.do(func() {
		if tr.opening = true; free {
			tr.opening = false
			tr.openOffice()
		}
	})
	for ready, end := !free, time.Now().Add(time.Minute); !ready; time.Sleep(time.Millisecond) {
		if tr.do(func() { ready = tr.office != nil }); time.Now().After(end) {
			t.Fatal("nothing is let go")
		}
	}
	z := newZygote(t)
	if err := tr.Follow(z.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	z.start("sh", job)
	select {
	case <-tr.News():
	case <-time.After(time.Minute):
		t.Fatal("the session does not end")
	}
	list := tr.Take()
	if len(list) != 1 {
		t.Fatalf("%d sessions", len(list))
	}
	var let uint64
	tr.do(func() { let = tr.numbered })
	if free != (let > 0) {
		t.Errorf("%d processes were let go", let)
	}
	return list[0]
}

// told are a session's facts by what is the same each time, and how often they were.
func told(s *learn.Session) map[string]string {
	number := map[int]int{} // of processes, as they come
	m := map[string]string{}
	list := slices.SortedFunc(slices.Values(s.Facts), func(a, b learn.Fact) int { return cmp.Compare(a.PID, b.PID) })
	for _, f := range list {
		if _, ok := number[f.PID]; !ok {
			number[f.PID] = len(number)
		}
		key := fmt.Sprint(number[f.PID], f.Call, f.Args, f.Path, f.To, f.Addr, f.Err, f.Killed, f.Program)
		m[key] = fmt.Sprint(f.Count, " times, first ", f.First)
	}
	return m
}

func spoken(s *learn.Session) map[string]string {
	m := map[string]string{}
	for _, c := range s.Complaints {
		m[c.Text] = fmt.Sprint("at call ", c.Call)
	}
	return m
}

func ended(s *learn.Session) map[string]string {
	m := map[string]string{}
	for _, e := range s.Ends {
		m[fmt.Sprint(e.Program, e.Exec, e.Status, e.Signal)] = fmt.Sprint("after calls ", e.Calls)
	}
	return m
}

func compare(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			t.Errorf("%s: %s: %q where every call stops, %q of one that was let go", what, key, want[key], got[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: %s: %q only of one that was let go", what, key, got[key])
		}
	}
}

// TestShapesAgree: what the kernel's side takes to be alike is one fact.
func TestShapesAgree(t *testing.T) {
	for nr, c := range shapes() {
		s := c.parole()
		if s.Mode&parole.Alike == 0 {
			continue
		}
		if c.path >= 0 || c.to >= 0 {
			t.Errorf("%s names a path, and is skipped", c.name)
		}
		for range 20 {
			var raw [6]uint64
			for i := range raw {
				raw[i] = rand.Uint64() >> (rand.UintN(8) * 8)
			}
			k := s.KeyOf(0, uint64(nr), 0, &raw)
			if alike := learn.Alike(c.name, raw); k.Args != alike {
				t.Errorf("%s%v: compared by %v, told apart by %v", c.name, raw, k.Args, alike)
			}
		}
	}
	for _, err := range minor {
		if err != 0 && (err == syscall.EPERM || err == syscall.EACCES || err == syscall.ENOENT) {
			t.Errorf("%v is of what was refused", err)
		}
	}
}

package observe

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/learn"

	"golang.org/x/sys/unix"
)

// TestMain is the stand-in of a zygote too: it starts the program of each line of its input by
// vfork, and answers with how long that ran.
func TestMain(m *testing.M) {
	if how := os.Getenv("OBSERVE_VICTIM"); how != "" {
		victim(how)
	}
	if os.Getenv("OBSERVE_ZYGOTE") == "" {
		os.Exit(m.Run())
	}
	for {
		var line string
		if _, err := fmt.Scanln(&line); err != nil {
			return
		}
		began := time.Now()
		line, blind := strings.CutPrefix(line, "!")
		err := exec.Command("/bin/sh", "-c", "exec "+strings.ReplaceAll(line, "|", " ")).Run()
		if blind {
			err = nil // however it ends
		}
		fmt.Println(time.Since(began).Nanoseconds(), err)
	}
}

// The stand-in starts all by its first thread: its others, of which it makes new ones, are not followed.
func init() {
	if os.Getenv("OBSERVE_ZYGOTE") != "" {
		runtime.LockOSThread()
	}
}

// zygote is a process whose children are sessions.
type zygote struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func newZygote(t testing.TB) *zygote {
	t.Helper()
	z := &zygote{t: t, cmd: exec.Command("/proc/self/exe")}
	z.cmd.Env = append(os.Environ(), "OBSERVE_ZYGOTE=1")
	var err error
	if z.in, err = z.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if z.out, err = z.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := z.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.in.Close(); _ = z.cmd.Wait() })
	return z
}

// start runs a program, however it ends.
func (z *zygote) start(argv ...string) { z.run(append([]string{"!" + argv[0]}, argv[1:]...)...) }

// run runs a program and gives its time.
func (z *zygote) run(argv ...string) time.Duration {
	z.t.Helper()
	var n int64
	var said string
	fmt.Fprintln(z.in, strings.Join(argv, "|"))
	if _, err := fmt.Fscanln(z.out, &n, &said); err != nil || said != "<nil>" {
		z.t.Fatalf("%v: %v %s", argv, err, said)
	}
	return time.Duration(n)
}

// BenchmarkFollowed prints how many times longer a program takes that is followed, beside the same one that is not, in
// turns: one of nothing but the cheapest calls, one of calls with paths, and one that starts others. Two stops a
// call are what ptrace(2) can do, of some 4 us each, nearly all of them the kernel's switching: package
// parole is what saves them.
func BenchmarkFollowed(b *testing.B) {
	for name, argv := range map[string][]string{
		"calls": {"dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=20000", "status=none"},
		"paths": {"find", "/usr/share", "-newer", "/etc/passwd", "-name", "nothing"},
		"shell": {"sh", "-c", "'ls;ls;ls;ls;ls'"},
	} {
		b.Run(name, func(b *testing.B) {
			z := newZygote(b)
			z.run(argv...)
			var alone, followed time.Duration
			tr, err := Start()
			if err != nil {
				b.Fatal(err)
			}
			defer tr.Stop()
			free := newZygote(b)
			if err := tr.Follow(z.cmd.Process.Pid); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				alone += free.run(argv...)
				followed += z.run(argv...)
			}
			b.ReportMetric(float64(followed)/float64(alone), "times")
			calls := 0
			for _, s := range tr.Take() {
				for i := range s.Facts {
					calls += s.Facts[i].Count
				}
			}
			b.ReportMetric(float64(calls)/float64(b.N), "calls/op")
			b.ReportMetric(float64((followed-alone).Nanoseconds())/float64(calls), "ns/call")
		})
	}
}

// TestFollowsPaths: calls of a session's processes come with the paths that they name, absolute, wherever the
// process is, and with their errors; the session ends with its first process.
func TestFollowsPaths(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, d, "file"), []byte("x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	z := newZygote(t)
	tr, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Stop()
	if err := tr.Follow(z.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	z.run("sh", "-c", "'cd", dir+"/one;", "cat", "file;", "cd", "../two;", "cat", "file;", "cat", "none;", "exit", "0'")
	select {
	case <-tr.News():
	case <-time.After(time.Minute):
		t.Fatal("the session does not end")
	}
	list := tr.Take()
	if len(list) != 1 || list[0].Processes != 4 {
		t.Fatalf("%d sessions: %+v", len(list), list)
	}
	for path, err := range map[string]error{"/one/file": unix.Errno(0), "/two/file": unix.Errno(0), "/two/none": unix.ENOENT} {
		found := func(f learn.Fact) bool {
			return strings.HasPrefix(f.Call, "open") && f.Path == dir+path && f.Err == err && f.Count == 1
		}
		if !slices.ContainsFunc(list[0].Facts, found) {
			t.Errorf("no open of %s with %v among %+v", path, err, list[0].Facts)
		}
	}
}

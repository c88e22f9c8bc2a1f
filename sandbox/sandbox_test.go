package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"casemate/sandbox/seccomp/launch"
	"casemate/sandbox/seccomp/program"
	"casemate/sandbox/zygote"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// realistic is what a line service gets: dynamic linking, /tmp, /proc, a filter of a hundred calls and more.
func realistic() Profile {
	return Profile{
		Name:    "realistic",
		Network: Network{Mode: "none"},
		Files: Files{Exec: []string{"/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib"}, Optional: []string{"/lib64"}, Dev: []string{"null"},
			Tmp: 1 << 20, Proc: true},
		Syscalls:  Syscalls{Allow: []string{"@server"}, OnViolation: "errno"},
		Resources: Resources{OpenFiles: 64},
	}
}

func needRoot(tb testing.TB) {
	tb.Helper()
	need.Root(tb, "it builds sandboxes")
}

// planOf is NewPlan of a profile whose system calls are in words, with its filter.
func planOf(tb testing.TB, p Profile, c Command) (*Plan, error) {
	tb.Helper()
	pl, err := NewPlan(p.Present(), c)
	if err == nil {
		pl.Filter = filterOf(pl.Shape(ABI()))
	}
	return pl, err
}

// filters are what was compiled already, by the shape.
var filters sync.Map

func filterOf(s program.Shape) program.Filter {
	key := fmt.Sprintf("%#v", s)
	f, ok := filters.Load(key)
	if !ok {
		f = launch.Compile(s)
		filters.Store(key, f)
	}
	return f.(program.Filter)
}

func start(tb testing.TB, p Profile, c Command) *zygote.Zygote {
	tb.Helper()
	needRoot(tb)
	pl, err := planOf(tb, p, c)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := Prepare(pl, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	z, err := s.Spawn()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		z.Close()
		wait(tb, z.PID())
	})
	return z
}

func wait(tb testing.TB, pid int) unix.WaitStatus {
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if err == nil {
			return ws
		}
		if !errors.Is(err, unix.EINTR) {
			tb.Fatalf("wait for %d: %v", pid, err)
		}
	}
}

// once runs the sandbox's command for one connection.
func once(tb testing.TB, z *zygote.Zygote, req zygote.Request) (string, zygote.Reply, unix.WaitStatus) {
	tb.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	req.ID, req.FDs = 1, append([]int{pair[1]}, req.FDs...)
	err = z.Send(&req)
	unix.Close(pair[1])
	if err != nil {
		tb.Fatal(err)
	}
	r, err := z.Recv()
	for errors.Is(err, unix.EAGAIN) {
		unix.Poll([]unix.PollFd{{Fd: int32(z.FD()), Events: unix.POLLIN}}, 5000)
		r, err = z.Recv()
	}
	if err != nil {
		tb.Fatal(err)
	}
	f := os.NewFile(uintptr(pair[0]), "client")
	defer f.Close()
	out, _ := io.ReadAll(f)
	if r.PID == 0 {
		return string(out), r, 0
	}
	return string(out), r, wait(tb, r.PID)
}

func shell(script string) Command {
	return Command{Service: "test", Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Dir: "/",
		Env: []string{"PATH=/usr/bin:/bin"}, UID: 65534, GID: 65534, Umask: 0o077}
}

func TestEveryLayerIsOn(t *testing.T) {
	z := start(t, realistic(), shell(`exec 2>&1
		grep -E '^(Uid|Groups|NoNewPrivs|Seccomp|Cap...):' /proc/self/status
		ls / ; ls /proc | grep -c '^[0-9]'; echo x > /tmp/a && echo tmp-ok; echo x > /usr/a; cat /etc/passwd; umask; ls -a /private/tmp`))
	out, r, ws := once(t, z, zygote.Request{})
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	t.Logf("exit %v\n%s", ws.ExitStatus(), out)
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapPrm:\t0000000000000000", "tmp-ok", "0077"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the output", want)
		}
	}
}

// static builds the one-line program of the benchmarks.
func static(tb testing.TB) string {
	tb.Helper()
	return compiled(tb, "#include <unistd.h>\nint main(){return write(1,\"hello\\n\",6)!=6;}\n")
}

// compiled builds a static program from C where a sandbox can run it.
func compiled(tb testing.TB, source string) string {
	tb.Helper()
	need.Programs(tb, "gcc")
	dir, err := os.MkdirTemp("/var/tmp", "casemate") // not /tmp: the sandbox has its own
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	bin := filepath.Join(dir, "program")
	cmd := exec.Command("gcc", "-O2", "-static", "-x", "c", "-o", bin, "-")
	cmd.Stdin = strings.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("gcc: %v\n%s", err, out)
	}
	return bin
}

func benchStart(b *testing.B, edit func(*Profile, *Command)) {
	bin := static(b)
	p := realistic()
	p.Files.Exec = nil
	c := Command{Service: "bench", Path: bin, Argv: []string{"hello"}, Dir: "/", UID: 65534, GID: 65534}
	edit(&p, &c)
	z := start(b, p, c)
	for b.Loop() {
		if _, r, _ := once(b, z, zygote.Request{UID: LeaseBase, GID: LeaseBase}); r.Err() != nil {
			b.Fatal(r.Err())
		}
	}
}

// BenchmarkStart prices each layer: every line but the first leaves one out.
func BenchmarkStart(b *testing.B) {
	for _, l := range []struct {
		name string
		edit func(*Profile, *Command)
	}{
		{"all", func(*Profile, *Command) {}},
		{"no-tmp", func(p *Profile, _ *Command) { p.Files.Tmp = 0 }},
		{"no-proc", func(p *Profile, _ *Command) { p.Files.Proc = false }},
		{"no-tmp-proc", func(p *Profile, _ *Command) { p.Files.Proc = false; p.Files.Tmp = 0 }},
		{"init", func(p *Profile, _ *Command) { p.Init = true }},
		{"seal", func(p *Profile, _ *Command) { p.Syscalls.Seal = true }},
	} {
		b.Run(l.name, func(b *testing.B) { benchStart(b, l.edit) })
	}
}

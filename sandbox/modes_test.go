package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

func TestModes(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(*Profile, *Command)
		script string
		env    []string
		want   string
	}{
		{"static user", func(*Profile, *Command) {}, "id -u; id -g; id -G; echo $$", nil, "65534\n65534\n65534\n1\n"},
		{"leased user", func(_ *Profile, c *Command) { c.Dynamic = true }, "id -u; id -g; id -G", nil, "1879048199\n1879048199\n1879048199\n"},
		{"supplementary groups", func(_ *Profile, c *Command) { c.Groups = []uint32{4, 24} }, "id -G", nil, "65534 4 24\n"},
		{"under init", func(p *Profile, _ *Command) { p.Init = true }, "echo $$; cat /proc/1/status", nil, "2\n"},
		{"sealed", func(p *Profile, _ *Command) { p.Syscalls.Seal = true }, "grep Seccomp_filters /proc/self/status", nil, "Seccomp_filters:\t2\n"},
		{"user namespace", func(p *Profile, _ *Command) { p.UserNamespace, p.Files.Proc = true, false }, "id -u", nil, "65534\n"},
		{"user namespace with leased users", func(p *Profile, c *Command) {
			p.UserNamespace, p.Files.Proc, c.Dynamic = true, false, true
		}, "id -u", nil, "1879048199\n"},
		{"facts in the environment", func(_ *Profile, c *Command) { c.Env = append(c.Env, "A=1") }, "echo $A $B", []string{"B=2"}, "1 2\n"},
		{"working directory in /tmp", func(_ *Profile, c *Command) { c.Dir = "/tmp" }, "touch x; echo *; ls /tmp", nil, "x\nx\n"},
		{"working directory made", func(_ *Profile, c *Command) { c.Dir = "/srv/x" }, "pwd", nil, "/srv/x\n"},
		{"listen_fds", func(_ *Profile, c *Command) { c.Stdio, c.Sockets = "listen_fds", 1 },
			"echo $LISTEN_FDS $LISTEN_PID >&3; ls /proc/self/fd >&3", []string{"LISTEN_FDS=1"}, "1 1\n0\n1\n2\n3\n4\n"},
		{"numbered descriptor", func(_ *Profile, c *Command) { c.Stdio = "env:Inetd_SOCK" }, "echo $Inetd_SOCK >&$Inetd_SOCK", nil, "3\n"},
		{"nothing but 0 1 2", func(*Profile, *Command) {}, "ls /proc/self/fd", nil, "0\n1\n2\n3\n"}, // 3 is ls reading the directory
		{"limits", func(p *Profile, _ *Command) { p.Resources[CPUTime], p.Resources[FileSize] = 7, 1024 },
			"grep -E 'Max (cpu time|file size|open files|core)' /proc/self/limits | tr -s ' '", nil,
			"Max cpu time 7 7 seconds \nMax file size 1024 1024 bytes \nMax core file size 1 1 bytes \nMax open files 64 64 files \n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, cmd := realistic(), shell(c.script)
			c.edit(&p, &cmd)
			out, r, ws := once(t, start(t, p, cmd), zygote.Request{UID: LeaseBase + 7, GID: LeaseBase + 7, Env: c.env})
			if r.Err() != nil {
				t.Fatal(r.Err())
			}
			if out != c.want {
				t.Errorf("output %q (status %v), want %q", out, ws, c.want)
			}
		})
	}
}

// The service's own script may do what it likes: nothing of it reaches the next connection.
func TestNothingSurvives(t *testing.T) {
	z := start(t, realistic(), shell("ls -A /tmp; echo x >/tmp/left; (setsid sleep 1000 </dev/null >/dev/null 2>&1 &)"))
	for range 3 {
		out, r, _ := once(t, z, zygote.Request{})
		if r.Err() != nil || out != "" {
			t.Fatalf("reply %v, found %q from the connection before", r.Err(), out)
		}
		if _, err := os.Stat(filepath.Join("/proc", "self", "task")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestViolationKills(t *testing.T) {
	p := realistic()
	p.Syscalls.OnViolation = "kill"
	_, r, ws := once(t, start(t, p, shell("exec unshare -r true 2>/dev/null || exec chroot /")), zygote.Request{})
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	if !ws.Signaled() || ws.Signal() != unix.SIGSYS {
		t.Fatalf("status %#x, want SIGSYS", ws)
	}
}

func TestScriptRunsByPath(t *testing.T) {
	needRoot(t)
	dir, err := os.MkdirTemp("/var/tmp", "casemate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	script := filepath.Join(dir, "service")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho script $1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := shell("")
	c.Path, c.Argv = script, []string{"service", "one"}
	out, r, _ := once(t, start(t, realistic(), c), zygote.Request{})
	if r.Err() != nil || out != "script one\n" {
		t.Fatalf("output %q, reply %v", out, r.Err())
	}
	os.Chmod(script, 0o777)
	pl, err := planOf(t, realistic(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(pl, Options{}); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Fatalf("a program anybody may change: %v", err)
	}
}

// TestInterpreterGrantedAlone: a profile that names a script's interpreter grants that one file, by
// bind and by Landlock, and nothing of the directory around it.
func TestInterpreterGrantedAlone(t *testing.T) {
	needRoot(t)
	c := shell("")
	c.Path, c.Argv = script(t, "#!/bin/sh\n/usr/bin/printf 'another\\n' 2>/dev/null || echo alone\n"), []string{"service"}
	for _, tt := range []struct{ exec, want string }{{"/bin/sh", "alone\n"}, {"/usr/bin", "another\n"}} {
		p := realistic()
		p.Files.Exec = []string{"/lib", "/lib64", "/usr/lib", "/bin/sh", tt.exec}
		if out, r, _ := once(t, start(t, p, c), zygote.Request{}); r.Err() != nil || out != tt.want {
			t.Errorf("exec %s: output %q, reply %v, want %q", tt.exec, out, r.Err(), tt.want)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name string
		edit func(*Profile, *Command)
		want string
	}{
		{"missing program", func(_ *Profile, c *Command) { c.Path = "/usr/bin/no-such-program" }, "no such file"},
		{"missing path", func(p *Profile, _ *Command) { p.Files.Read = []string{"/no/such/path"} }, "/no/such/path"},
		{"directory as program", func(_ *Profile, c *Command) { c.Path = "/usr/bin" }, "not a regular file"},
		{"data as program", func(_ *Profile, c *Command) { c.Path = "/etc/passwd" }, "not executable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, cmd := realistic(), shell("")
			c.edit(&p, &cmd)
			pl, err := planOf(t, p, cmd)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Prepare(pl, Options{})
			if err == nil {
				s.Close()
				t.Fatal("prepared")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Profile, *Command)
		want string
	}{
		{"unknown capability", func(p *Profile, _ *Command) { p.Capabilities = []string{"CAP_EVERYTHING"} }, "CAP_EVERYTHING"},
		{"relative program", func(_ *Profile, c *Command) { c.Path = "bin/sh" }, "absolute"},
		{"unknown stdio", func(_ *Profile, c *Command) { c.Stdio = "pipe" }, "stdio"},
		{"root with a state directory", func(p *Profile, c *Command) { p.Files.State, c.UID = true, 0 }, "nothing is mapped to root"},
		{"root in a user namespace", func(p *Profile, c *Command) { p.UserNamespace, p.Files.Proc, c.UID = true, false, 0 }, "root is not mapped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, cmd := realistic(), shell("")
			c.edit(&p, &cmd)
			if _, err := planOf(t, p, cmd); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestCgroupLimitsMissing(t *testing.T) {
	needRoot(t)
	p := realistic()
	p.Resources[Memory], p.Resources[Processes] = 64<<20, 8
	pl, err := planOf(t, p, shell("ulimit -u; ulimit -d"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Prepare(pl, Options{})
	if err == nil {
		s.Close()
		t.Log("this host has the controllers: nothing is missing")
		return
	}
	if !strings.Contains(err.Error(), "memory") {
		t.Fatalf("error %q does not name the controller", err)
	}
	p.BestEffort = []string{"cgroup"}
	pl, err = planOf(t, p, shell("ulimit -d"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Prepare(pl, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !slices.ContainsFunc(s.Losses(), func(l string) bool { return strings.Contains(l, "cgroup") }) {
		t.Fatalf("losses %q do not name the cgroup", s.Losses())
	}
	if n := s.Start.Rlimits[unix.RLIMIT_NPROC]; n != 8 {
		t.Fatalf("the rlimit in the place of the cgroup is %d", n)
	}
}

func TestZygoteGone(t *testing.T) {
	z := start(t, realistic(), shell("echo hi"))
	unix.Kill(z.PID(), unix.SIGKILL)
	for {
		_, err := z.Recv()
		if err == nil || errors.Is(err, unix.EAGAIN) {
			continue
		}
		break
	}
	if err := z.Send(&zygote.Request{ID: 1, FDs: []int{0}}); !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		t.Fatalf("send to a dead zygote: %v", err)
	}
}

// TestCapabilitiesCanBeGiven: the broker has every capability that a profile may keep.
func TestCapabilitiesCanBeGiven(t *testing.T) {
	for _, name := range Capabilities {
		if mask, err := zygote.CapMask(name); err != nil || mask&^zygote.BrokerCaps != 0 {
			t.Errorf("%s: %v, the broker has not kept it", name, err)
		}
	}
}

// TestDevices uses what a program finds in /dev wherever it runs, and tries what
// the filter leaves to the mounts and to Landlock.
func TestDevices(t *testing.T) {
	for _, c := range []struct {
		name, calls string
		edit        func(*Profile)
		script      string
		want        string
	}{
		{"process substitution", "@server", nil, `bash -c 'cat <(echo hi)'; echo in | cat /dev/stdin; echo out | cat >/tmp/x; (echo err >/dev/stdout) | cat`, "hi\nin\nerr\n"},
		{"none without proc", "@server", func(p *Profile) { p.Files.Proc = false }, `ls /dev`, "null\n"},
		{"null both ways", "@line", nil, `perl -e 'print open(F, "+<", "/dev/null") ? "opened" : $!, "\n"'`, "opened\n"},
		{"nothing else both ways", "@line", nil, `perl -e 'for ("/usr/bin/env", "/bin", "/") { print open(F, "+<", $_) ? "opened" : "no", "\n" }'`, "no\nno\nno\n"},
		{"no shared memory unasked", "@server", nil, `(: >/dev/shm/x) 2>/dev/null || echo none`, "none\n"},
		{"shared memory", "@server", func(p *Profile) { p.Files.Tmp, p.Files.Shm = 0, 64<<10 },
			`ls /dev/shm /tmp 2>/dev/null | wc -l; head -c 1000000 /dev/zero >/dev/shm/x 2>/dev/null || echo full; wc -c </dev/shm/x; stat -c %a /dev/shm/`, "1\nfull\n65536\n1777\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := realistic()
			p.Files.Dev = []string{"null"}
			p.Syscalls.Allow = []string{c.calls}
			if c.edit != nil {
				c.edit(&p)
			}
			if c.name == "shared memory" {
				p.Files.Dev = append(p.Files.Dev, "zero")
			}
			if c.calls == "@line" { // the shell starts others
				p.Syscalls.Allow = append(p.Syscalls.Allow, "@process")
			}
			out, r, ws := once(t, start(t, p, shell(c.script)), zygote.Request{})
			if r.Err() != nil || out != c.want {
				t.Errorf("output %q (status %v, %v), want %q", out, ws, r.Err(), c.want)
			}
		})
	}
}

// TestZygoteMakesItsNamespaces: the sessions of a service share their zygote's, which
// are empty and nobody else's; a host network is the broker's.
func TestZygoteMakesItsNamespaces(t *testing.T) {
	ids := func(pid any) map[string]string {
		t.Helper()
		out := map[string]string{}
		for _, name := range []string{"mnt", "net", "uts", "ipc", "cgroup"} {
			link, err := os.Readlink(fmt.Sprintf("/proc/%v/ns/%s", pid, name))
			if err != nil {
				t.Fatal(err)
			}
			out[name] = link
		}
		return out
	}
	p := realistic()
	one, two := ids(start(t, p, shell("")).PID()), ids(start(t, p, shell("")).PID())
	p.Network.Mode, p.Because = NetworkHost, "x"
	hosted, own := ids(start(t, p, shell("")).PID()), ids("self")
	for name, id := range own {
		if one[name] == id || two[name] == id || one[name] == two[name] {
			t.Errorf("%s: %s and %s, and the broker's is %s", name, one[name], two[name], id)
		}
		if (hosted[name] == id) != (name == "net") {
			t.Errorf("%s with the host's network: %s, and the broker's is %s", name, hosted[name], id)
		}
	}
}

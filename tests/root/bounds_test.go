package root

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/sandbox"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// bounds are what a session's record says of limits: "of limit value count others".
func boundsOf(r rig.Record) []string {
	list, _ := r["limits"].([]any)
	out := []string{}
	for _, one := range list {
		b := rig.Record(one.(map[string]any))
		out = append(out, strings.Join([]string{b.Str("of"), b.Str("limit"), b.Str("value"), b.Str("count"), b.Str("others")}, " "))
	}
	return out
}

// whySays asks why of a session and looks for texts in the story.
func whySays(t *testing.T, b *rig.Broker, id string, want ...string) {
	t.Helper()
	text, err := exec.Command(filepath.Join(rig.Root(t), "casemate"), "why", "--control", b.Control, id).CombinedOutput()
	for _, w := range want {
		if err != nil || !strings.Contains(string(text), w) {
			t.Errorf("why %s: %v, without %q:\n%s", id, err, w, text)
		}
	}
}

// ended has one client of a service send a line, and returns the record of the session that served it.
func ended(t *testing.T, b *rig.Broker, service, port, line string) rig.Record {
	t.Helper()
	_, from, err := exchangeAs(port, line)
	if err != nil && from == "" {
		t.Fatal(err)
	}
	got, err := b.Await(1, 30*time.Second, "msg", "session", "service", service, "client_port", from)
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

// TestEndingLimitsAreNamed: a session that a limit has ended has it in its record, with its value, and
// why says what raises it; one that ends by itself has none.
func TestEndingLimitsAreNamed(t *testing.T) {
	rig.Root(t)
	greedy := rig.Compile(t, "testdata/greedy.c")
	text := head + `
profile "small" {
  base = profile.server
  resources {
    file_size = "64KiB"
    cpu_time  = "1s"
  }
}
limit "short" {
  session = "2s"
}
`
	ports := map[string]string{}
	for name, extra := range map[string][]string{"small": nil, "short": {"limit = limit.short"}, "idle": {`idle = "1s"`}} {
		ports[name] = rig.Port(t)
		text += service(name, "tcp://127.0.0.1:"+ports[name], []string{greedy}, append(extra, "profile = profile.small")...)
	}
	b := rig.Serve(t, text)
	for _, tt := range []struct{ service, line, reason, want, why string }{
		{"small", "file 8\n", "exit", "", ""},
		{"small", "file 65\n", "crash", "profile.small resources.file_size 65536 1 ",
			"profile.small: resources { file_size = \"64KiB\" }: a file that it wrote would have grown beyond that\n"},
		{"small", "spin 600000\n", "crash", "profile.small resources.cpu_time 1 1 ",
			"profile.small: resources { cpu_time = \"1s\" }: it had used that much of a processor\n"},
	} {
		r := ended(t, b, tt.service, ports[tt.service], tt.line)
		if got := strings.Join(boundsOf(r), ", "); r.Str("reason") != tt.reason || got != tt.want {
			t.Errorf("%s: %v: limits %q, want %q", tt.line, r, got, tt.want)
		}
		if tt.why != "" {
			whySays(t, b, r.Str("id"), tt.why, "raised by, in profile.small:\n      widens = [\"resources\"] # beside what it widens, where its base has less\n      resources { "+
				map[bool]string{true: `file_size = "128KiB"`, false: `cpu_time = "2s"`}[strings.HasPrefix(tt.line, "file")]+" }\n")
		}
	}
	for _, tt := range []struct{ service, reason, want, why string }{
		{"short", "timeout", "limit.short session 2000000000 1 ", "limit.short: session = \"2s\": no session lasts longer\n"},
		{"idle", "idle", "service.idle idle 1000000000 1 ", "raised by, in service.idle:\n      idle = \"2s\"\n"},
	} {
		c, err := rig.Dial(ports[tt.service])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(c)
		c.Close()
		got, err := b.Await(1, 30*time.Second, "msg", "session", "service", tt.service)
		if err != nil {
			t.Fatal(err)
		}
		if bounds := strings.Join(boundsOf(got[0]), ", "); got[0].Str("reason") != tt.reason || bounds != tt.want {
			t.Errorf("%s: %v: limits %q, want %q", tt.service, got[0], bounds, tt.want)
		}
		whySays(t, b, got[0].Str("id"), tt.why)
	}
}

// TestTasksAreNamed: a start that fails because the user has its number of tasks says so.
func TestTasksAreNamed(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+`
profile "lone" {
  base = profile.server
  resources { tasks = 1 }
}
limit "one" {
  concurrent = 1
}
`+service("lone", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.lone", "limit = limit.one", `user = "nobody"`))
	if r := ended(t, b, "lone", port, "hello\n"); r.Str("reason") != "exit" || len(boundsOf(r)) > 0 {
		t.Errorf("alone: %v", r)
	}
	for range sandbox.TaskSlack + 2 {
		other := exec.Command("sleep", "100")
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	}
	_, _ = rig.Exchange(port, "hello\n") // it may be reset before it is connected
	failed, err := b.Await(1, 30*time.Second, "msg", "session", "service", "lone", "reason", "start-failed")
	if err != nil {
		t.Fatal(err)
	}
	r := failed[0]
	if got := boundsOf(r); !slices.Equal(got, []string{"profile.lone resources.tasks 1 1 "}) {
		t.Errorf("beside others of its user: %v", r)
	}
	whySays(t, b, r.Str("id"), "profile.lone: resources { tasks = 1 }: the user that it was to run as had as many processes and threads as its services may have in all (that times concurrent, added up, and 64)\n", "resources { tasks = 2 }\n")
}

// TestGroupLimitsAreNamed: what the limits of a service's control group did is in the record of the session
// that it happened to, and where it may have been another's, that is there too.
func TestGroupLimitsAreNamed(t *testing.T) {
	text, bounded, free := greedy(t, bounds)
	unit := rig.NewUnit(t, true, "memory", "pids", "cpu")
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Under: unit.Under()})
	const memory, processes = "profile.bounded resources.memory 50331648 ", "profile.bounded resources.processes 16 "
	if r := ended(t, b, "bounded", bounded, "eat 8\n"); len(boundsOf(r)) > 0 {
		t.Errorf("within its limits: %v", r)
	}
	r := ended(t, b, "bounded", bounded, "child 200\n") // its child is killed, and it ends well
	if got := boundsOf(r); r.Str("reason") != "exit" || !slices.Equal(got, []string{memory + "1 "}) {
		t.Errorf("a child without memory: %v", r)
	}
	whySays(t, b, r.Str("id"), "profile.bounded: resources { memory = \"48MiB\" }: the service had used that up, and for want of it the kernel ended 1 process\n",
		"resources { memory = \"96MiB\" }\n")
	r = ended(t, b, "bounded", bounded, "fork 40\n")
	if got := boundsOf(r); !slices.Equal(got, []string{processes + "1 "}) {
		t.Errorf("too many processes: %v", r)
	}
	whySays(t, b, r.Str("id"), "got no further process or thread, 1 time\n")

	other, err := rig.Dial(bounded)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	session(t, b, "bounded")
	r = ended(t, b, "bounded", bounded, "fork 40\n")
	if got := boundsOf(r); !slices.Equal(got, []string{processes + "1 1"}) {
		t.Errorf("beside another: %v", r)
	}
	whySays(t, b, r.Str("id"), "got no further process or thread, 1 time: of this session, or of 1 other that ran then\n")
	r = ended(t, b, "bounded", bounded, "eat 200\n") // which is killed itself: no doubt about that
	if got := boundsOf(r); r.Str("reason") != "memory" || !slices.Equal(got, []string{memory + "1 "}) {
		t.Errorf("killed itself: %v", r)
	}
	unit.Write(t, "memory.max", fmt.Sprint(256<<20))
	r = ended(t, b, "free", free, "child 1000\n")
	if got := boundsOf(r); !slices.Equal(got, []string{"host memory  1 "}) {
		t.Errorf("killed by the unit's limit: %v", r)
	}
	whySays(t, b, r.Str("id"), "memory: the host's, or that of what casemated runs in (MemoryMax= of its unit), was used up, and for want of it the kernel ended 1 process\n")
}

// TestRefusingLimitsAreNamed: the record of a client that a limit refused has the limit, and why says which of its
// attributes it was.
func TestRefusingLimitsAreNamed(t *testing.T) {
	rig.Root(t)
	for _, tt := range []struct{ block, reason, want string }{
		{"per_source {\n    rate = \"2/h\"\n  }", "source-rate", `limit.it: per_source { rate = "2/h", burst = 2 }`},
		{"rate  = \"2/h\"\n  burst = 2", "rate", `limit.it: rate = "2/h", burst = 2`},
	} {
		b, port := obedient(t, "limit \"it\" {\n  "+tt.block+"\n}\n")
		served(t, "127.0.0.1", port)
		served(t, "127.0.0.1", port)
		refused(t, "127.0.0.1", port)
		got, err := b.Await(1, 30*time.Second, "msg", "decision", "verdict", "deny", "reason", tt.reason)
		if err != nil {
			t.Fatal(err)
		}
		whySays(t, b, got[0].Str("id"), "refused  "+tt.reason, tt.want+"\n")
		b.Stop()
	}
	b, port := obedient(t, "limit \"it\" {\n  penalty {\n    on    = [\"crash\"]\n    first = \"90s\"\n    max   = \"10m\"\n  }\n}\n")
	_, _ = order("127.0.0.1", port, "crash")
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "reason", "crash"); err != nil {
		t.Fatal(err)
	}
	refused(t, "127.0.0.1", port)
	got, err := b.Await(1, 30*time.Second, "msg", "decision", "reason", "penalty")
	if err != nil {
		t.Fatal(err)
	}
	whySays(t, b, got[0].Str("id"), `limit.it: penalty { on = ["crash"], first = "90s", max = "10m" }`)
}

// small mounts a file system of so many bytes over a folder of the host, in this mount namespace.
func small(t *testing.T, path string, size int) {
	t.Helper()
	if err := unix.Mount("casemate-test", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("mode=0700,size=%d", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// TestTraceNamesLimits: a limit that makes calls fail, and no more, is in no record; trace says which
// attribute it is, what it is now, and what would do.
func TestTraceNamesLimits(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	if err := os.MkdirAll(sandbox.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	small(t, sandbox.StateDir, 1<<20)
	need.IDMaps(t, sandbox.StateDir)
	program, port := rig.Compile(t, "testdata/greedy.c"), rig.Port(t)
	b := rig.Serve(t, head+`
profile "tight" {
  base = profile.server
  widens = ["files"]
  files {
    tmp   = "1MiB"
    state = true
  }
  syscalls { allow = ["mlock"] }
  resources {
    open_files    = 32
    tasks         = 8
    address_space = "64MiB"
    data          = "32MiB"
    file_size     = "2MiB"
    locked        = "64KiB"
  }
}
`+service("tight", "tcp://127.0.0.1:"+port, []string{program}, "profile = profile.tight", `linger = "1s"`))
	for _, tt := range []struct{ line, call, err, remedy string }{
		{"open 100", "openat", "EMFILE", "resources {\n  open_files = 64 # now open_files = 32\n}"},
		{"map 100", "mmap", "ENOMEM", "resources {\n  address_space = \"128MiB\" # now address_space = \"64MiB\"\n  data = \"64MiB\" # now data = \"32MiB\"\n}"},
		{"fork 40", "clone", "EAGAIN", "resources {\n  tasks = 16 # now tasks = 8\n}"},
		{"file 1500", "write", "ENOSPC", "files {\n  tmp = \"2MiB\" # now tmp = \"1MiB\"\n}"},
		{"deaf 2048", "pwrite64", "EFBIG", "resources {\n  file_size = \"4MiB\" # now file_size = \"2MiB\"\n}"},
		{"lock 128", "mlock", "ENOMEM", "resources {\n  locked = \"128KiB\" # now locked = \"64KiB\"\n}"},
		{"inodes 300", "openat", "ENOSPC", "files {\n  tmp = \"2MiB\" # now tmp = \"1MiB\"\n}"},
		{"state 1500", "write", "ENOSPC", "no attribute: the host's file system is full"},
		{"open 10\nmap 10\nfork 2\nfile 400\ndeaf 2047\nlock 16\ninodes 10\nstate 400", "", "", ""}, // the control
	} {
		r := startTrace(t, b, "tight")
		if _, err := rig.Exchange(port, tt.line+"\n"); err != nil {
			t.Error(err)
		}
		got := r.result(t)
		if len(got.Sessions) != 1 {
			t.Fatalf("%s: %d sessions", tt.line, len(got.Sessions))
		}
		all := slices.Concat(got.Sessions[0].Failed, got.Sessions[0].Probes)
		if tt.call == "" {
			limits := []string{"EMFILE", "ENOMEM", "EAGAIN", "ENOSPC", "EFBIG"}
			if i := slices.IndexFunc(all, func(c tracedCall) bool { return slices.Contains(limits, c.Error) }); i >= 0 {
				t.Errorf("%s: %v", tt.line, all[i])
			}
			continue
		}
		i := slices.IndexFunc(all, func(c tracedCall) bool { return strings.HasPrefix(c.Call, tt.call+"(") && c.Error == tt.err })
		if i < 0 || !strings.HasSuffix(all[i].Remedy, tt.remedy) {
			t.Errorf("%s: %v, want %s %s with %q", tt.line, all, tt.call, tt.err, tt.remedy)
		}
	}
}

package zygote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"casemate/sandbox/machine"
	"casemate/sandbox/seccomp/launch"
	"casemate/sandbox/seccomp/program"
	"casemate/sandbox/zygote/csizes"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

func TestWireMatchesC(t *testing.T) {
	for _, c := range []struct {
		name string
		got  uint64
		want uint64
	}{
		{"sizeof struct plan", csizes.Plan, uint64(binary.Size(Numbers{}))},
		{"gate", csizes.Gate, machine.Gate},
		{"request head", csizes.RequestHead, requestHead},
		{"sizeof struct reply", csizes.Reply, ReplySize},
		{"size of the marks", csizes.Marks, MarksSize},
		{"broker capabilities", csizes.BrokerCaps, BrokerCaps}, {"those that it does not use", csizes.LatentCaps, LatentCaps},
		{"init flags", csizes.InitFlags, uint64(launch.InitFlags)},
		{"descriptors", csizes.FDCount, program.FDCount}, {"the last of them", csizes.FDCount, launch.FDWake + 1}, {"slots", csizes.MaxSlots, MaxSlots},
		{"first descriptor", csizes.FDPlan, fdPlan},
		{"steps", csizes.Steps, uint64(len(Steps))},
	} {
		if c.got != c.want {
			t.Errorf("%s: C has %#x, Go has %#x", c.name, c.got, c.want)
		}
	}
}

// TestPlanMatchesC: field by field, in this order, with nothing between them.
func TestPlanMatchesC(t *testing.T) {
	got, want, at := reflect.TypeFor[Numbers](), reflect.TypeFor[csizes.Fields](), uintptr(0)
	if got.NumField() != want.NumField() {
		t.Fatalf("%d fields, C has %d", got.NumField(), want.NumField())
	}
	plain := strings.NewReplacer("_off", "", "fd_", "", "_", "")
	for i := range got.NumField() {
		g, w := got.Field(i), want.Field(i)
		name, cname := strings.ToLower(g.Name), plain.Replace(w.Name)
		if !strings.Contains(name, cname) && !strings.Contains(cname, name) && g.Name != "_" || w.Offset != at || w.Type.Size() != g.Type.Size() {
			t.Errorf("%s of %d bytes at %d, C has %s of %d at %d", g.Name, g.Type.Size(), at, w.Name, w.Type.Size(), w.Offset)
		}
		at += w.Type.Size()
	}
}

// plain is a plan without prepared namespaces: only what the zygote itself does.
func plain(t *testing.T, argv ...string) *Plan {
	t.Helper()
	caps, err := CapMask("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID")
	if err != nil {
		t.Fatal(err)
	}
	p := bare(argv...)
	p.Env, p.UID, p.GID, p.ZygoteCaps, p.Rlimits[unix.RLIMIT_NOFILE] = []string{"FIXED=1"}, 65534, 65534, caps, 64
	p.CloneFlags = unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | uint32(unix.SIGCHLD)
	return p
}

// bare is a plan of nothing but a command, within no limits but this process's.
func bare(argv ...string) *Plan {
	p := &Plan{Numbers: Numbers{Mnt: -1, CgroupProcs: -1, Landlock: -1, Exec: -1, High: 64}, Path: argv[0], Dir: "/", Argv: argv}
	for i := range p.Rlimits {
		var own unix.Rlimit
		if err := unix.Getrlimit(i, &own); err != nil {
			panic(err)
		}
		p.Rlimits[i] = own.Max
	}
	return p
}

func needRoot(t *testing.T) {
	t.Helper()
	need.Root(t, "namespaces and uid changes")
}

func spawn(t *testing.T, p *Plan) *Zygote {
	t.Helper()
	needRoot(t)
	z, err := Spawn(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		z.Close()
		reap(z.pid)
	})
	return z
}

// start sends one request and returns what the command wrote and its reply.
func start(t *testing.T, z *Zygote, req Request) (string, Reply) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	req.FDs = []int{pair[1]}
	err = z.Send(&req)
	unix.Close(pair[1])
	if err != nil {
		t.Fatal(err)
	}
	r := recv(t, z)
	f := os.NewFile(uintptr(pair[0]), "client")
	defer f.Close()
	out, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), r
}

// TestRequestRefused: a request that is not as long as it says, or brings no socket, starts nothing, and the next one is served.
func TestRequestRefused(t *testing.T) {
	z := spawn(t, plain(t, "/bin/echo", "started"))
	for what, b := range map[string][]byte{"short": {1, 2, 3}, "without a socket": make([]byte, requestHead), "longer than it says": make([]byte, requestHead+5)} {
		if err := unix.Sendto(z.sock, b, unix.MSG_NOSIGNAL, nil); err != nil {
			t.Fatal(err)
		}
		if r := recv(t, z); r.ID != 0 || r.PID != 0 || r.Step != "read request" || r.Errno != unix.EBADMSG {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if out, r := start(t, z, Request{ID: 7}); out != "started\n" || r.ID != 7 || r.Err() != nil {
		t.Errorf("afterwards: %q, %+v", out, r)
	} else {
		exitStatus(t, r.PID)
	}
}

// TestCgroupRefused: a zygote that cannot be put into its cgroup enters nothing.
func TestCgroupRefused(t *testing.T) {
	needRoot(t)
	p := plain(t, "/bin/echo", "started")
	fd, err := unix.Open("/dev/full", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	p.CgroupProcs = int32(fd)
	z, err := Spawn(p)
	if err == nil {
		z.Close()
		reap(z.pid)
	}
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "join cgroup: ") {
		t.Errorf("%v, want the step and its errno", err)
	}
}

func recv(t *testing.T, z *Zygote) Reply {
	t.Helper()
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(z.FD()), Events: unix.POLLIN}}, 5000); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		r, err := z.Recv()
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func exitStatus(t *testing.T, pid int) unix.WaitStatus {
	t.Helper()
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				t.Fatalf("wait for %d: %v (is it our child?)", pid, err)
			}
			return ws
		}
	}
}

func TestStart(t *testing.T) {
	z := spawn(t, plain(t, "/bin/sh", "-c", "echo $$ $(id -u) $FIXED $PEER; ls /proc/self/fd | wc -l; exit 7"))
	for id := uint64(1); id <= 20; id++ {
		out, r := start(t, z, Request{ID: id, Env: []string{"PEER=192.0.2.1"}})
		if r.ID != id || r.Err() != nil {
			t.Fatalf("reply %+v", r)
		}
		if got := exitStatus(t, r.PID); got.ExitStatus() != 7 {
			t.Fatalf("exit status %d, want 7", got.ExitStatus())
		}
		if want := "1 65534 1 192.0.2.1"; strings.SplitN(out, "\n", 2)[0] != want {
			t.Fatalf("output %q, want %q first", out, want)
		}
	}
}

func TestDynamicUser(t *testing.T) {
	p := plain(t, "/bin/sh", "-c", "id -u; id -g; id -G; grep -E '^(Cap|NoNewPrivs)' /proc/$(readlink /proc/self 2>/dev/null || echo self)/status")
	p.Dynamic = true
	out, r := start(t, spawn(t, p), Request{ID: 1, UID: 0x70000005, GID: 0x70000005})
	exitStatus(t, r.PID)
	if want := "1879048197\n1879048197\n1879048197\n"; !strings.HasPrefix(out, want) {
		t.Fatalf("output %q, want prefix %q", out, want)
	}
}

func TestInit(t *testing.T) {
	p := plain(t, "/bin/sh", "-c", "echo $$; (sleep 100 &) ; exit 9")
	p.Init = true
	p.CloneFlags ^= unix.CLONE_NEWPID
	out, r := start(t, spawn(t, p), Request{ID: 1})
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	if got := exitStatus(t, r.PID).ExitStatus(); got != 9 || out != "2\n" {
		t.Fatalf("exit %d, output %q; want 9 and pid 2", got, out)
	}
}

// Inits leave nothing with their zygote when their connections are over, however those ended.
func TestInitsLeaveNothing(t *testing.T) {
	p := plain(t, "/bin/cat")
	p.Init, p.CloneFlags = true, p.CloneFlags^unix.CLONE_NEWPID
	z := spawn(t, p)
	for round := range 10 {
		var clients, pids []int
		for id := range 110 {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			err = z.Send(&Request{ID: uint64(id + 1), FDs: pair[1:]})
			unix.Close(pair[1])
			if err != nil {
				t.Fatal(err)
			}
			r := recv(t, z)
			if r.Err() != nil {
				t.Fatalf("round %d: %v", round, r.Err())
			}
			clients, pids = append(clients, pair[0]), append(pids, r.PID)
		}
		for i, pid := range pids {
			if i%2 == 0 {
				unix.Kill(pid, unix.SIGKILL)
			}
			unix.Close(clients[i])
			exitStatus(t, pid)
		}
	}
	if kb := privateKB(t, z); kb > 1500 {
		t.Errorf("the zygote holds %d KiB of its own afterwards", kb)
	}
}

func privateKB(t *testing.T, z *Zygote) (kb int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(z.pid), "smaps_rollup"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Private") {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			kb += n
		}
	}
	return kb
}

func TestUserNamespace(t *testing.T) {
	p := plain(t, "/bin/sh", "-c", "id -u; readlink /proc/1/ns/user || cat /proc/self/uid_map")
	p.UserNS, p.UIDBase, p.UIDCount = true, 65534, 1
	out, r := start(t, spawn(t, p), Request{ID: 1})
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	exitStatus(t, r.PID)
	if !strings.HasPrefix(out, "65534\n") {
		t.Fatalf("output %q", out)
	}
}

func TestFailingStepIsNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Plan)
		step string
	}{
		{"missing program", func(p *Plan) { p.Path = "/nonexistent" }, "exec"},
		{"proc without a mount point", func(p *Plan) { p.Tmp = true }, "mount /tmp"},
		{"missing program under init", func(p *Plan) {
			p.Path, p.Init = "/nonexistent", true
			p.CloneFlags ^= unix.CLONE_NEWPID
		}, "exec"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plain(t, "/bin/true")
			c.edit(p)
			z := spawn(t, p)
			_, r := start(t, z, Request{ID: 3})
			if r.Step != c.step || !errors.Is(r.Err(), unix.ENOENT) {
				t.Fatalf("reply %+v (%v), want step %q and ENOENT", r, r.Err(), c.step)
			}
			if ws := exitStatus(t, r.PID); ws.ExitStatus() != 126 {
				t.Fatalf("exit %d, want 126", ws.ExitStatus())
			}
			// A failed start leaves the zygote as it was.
			if _, r = start(t, z, Request{ID: 4}); r.ID != 4 || r.Step != c.step {
				t.Fatalf("second reply %+v", r)
			}
			exitStatus(t, r.PID)
		})
	}
}

func TestSpawnFailureNamesTheStep(t *testing.T) {
	needRoot(t)
	p := plain(t, "/bin/true")
	p.Dir = "/nonexistent"
	_, err := Spawn(p)
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "change directory") {
		t.Fatalf("error %v", err)
	}
}

func TestPrivateMemory(t *testing.T) {
	z := spawn(t, plain(t, "/bin/true"))
	for id := uint64(1); id < 10; id++ {
		_, r := start(t, z, Request{ID: id})
		exitStatus(t, r.PID)
	}
	if kb := privateKB(t, z); kb > 200 {
		t.Errorf("the zygote holds %d KiB of its own, want at most 200", kb)
	}
}

// TestUndertake: what it closes is closed by a process that has exited, for which the kernel
// does not wait for a peer that takes nothing.
func TestUndertake(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // with the peer, which nobody accepts
	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(tcp, to); err != nil {
		t.Fatal(err)
	}
	for range 500 { // more than the two sides hold: their buffers end at 10 MiB
		_ = unix.Sendto(tcp, make([]byte, 64<<10), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	}
	if err := unix.SetsockoptLinger(tcp, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600}); err != nil {
		t.Fatal(err)
	}
	var pair [2]int
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	if err := Undertake([]int{pair[1], tcp}); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(pair[0], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("read %d, %v, want the end: somebody has it still", n, err)
	}
}

// TestZygoteHoldsItsOwn: of thousands of descriptors a zygote gets those that are its own, also where
// they lie above all others and where others are not close-on-exec, and nothing of it stays here.
func TestZygoteHoldsItsOwn(t *testing.T) {
	needRoot(t)
	held := func(pid int) (list []string) {
		t.Helper()
		names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, n.Name()))
			list = append(list, to)
		}
		slices.Sort(list)
		return list
	}
	spawn(t, plain(t, "/bin/true")) // what is made once
	want := held(spawn(t, plain(t, "/bin/true")).PID())
	for range 800 {
		fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // not close-on-exec
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	}
	before := len(held(os.Getpid()))
	p := plain(t, "/bin/true")
	z := spawn(t, p)
	got := held(z.PID())
	for _, list := range [][]string{got, want} {
		for i := range list { // sockets have numbers
			list[i], _, _ = strings.Cut(list[i], ":")
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("a zygote holds %d descriptors, %.200q, and %d where there are few, %q", len(got), got, len(want), want)
	}
	out, r := start(t, z, Request{ID: 1})
	if exitStatus(t, r.PID); out != "" || r.Err() != nil {
		t.Errorf("%q, %v", out, r.Err())
	}
	if after := len(held(os.Getpid())); after > before+3 { // its socket, the memory of its marks, the program
		t.Errorf("%d descriptors before a zygote, %d after", before, after)
	}
}

// BenchmarkSpawn shows what a zygote costs, by the descriptors that are open.
func BenchmarkSpawn(b *testing.B) {
	need.Root(b, "it starts zygotes")
	p := bare("/bin/true")
	one := func() {
		z, err := Spawn(p)
		if err != nil {
			b.Fatal(err)
		}
		z.Close()
		reap(z.pid)
	}
	one() // as in a broker, before there are many
	for _, n := range []int{0, 15000} {
		b.Run(fmt.Sprintf("descriptors=%d", n), func(b *testing.B) {
			for range n {
				fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					b.Fatal(err)
				}
				defer unix.Close(fd)
			}
			for b.Loop() {
				one()
			}
		})
	}
}

package sandbox

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// cloner tries to make a task by each call that could, with each of the flags
// that a launch or a C library uses, and writes what worked. What it makes only ends.
const cloner = `
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static char stack[4096] __attribute__((aligned(16))), line[64];
static long raw(long n, long a, long sp)
{
	long r;
	register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0;
	__asm__ volatile("syscall\n\ttest %%rax,%%rax\n\tjnz 1f\n\tmov $60,%%eax\n\txor %%edi,%%edi\n\tsyscall\n1:"
			 : "=a"(r) : "0"(n), "D"(a), "S"(sp), "d"(0), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
}
#define VM CLONE_VM
#define THREAD (VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define T(name, n, flags, sp) if (raw(n, flags, (long)(sp)) > 0) write(1, line, snprintf(line, sizeof line, "%s\n", name))
int main(void)
{
	char *top = stack + sizeof stack;
	unsigned long all = -1;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8);
	write(1, "ran\n", 4);
	T("thread", SYS_clone, THREAD, top);
	T("thread, high bits", SYS_clone, THREAD | 1l << 32, top);
	T("thread of glibc", SYS_clone, 0x3d0f00, top);
	T("vfork flags", SYS_clone, VM | CLONE_VFORK | SIGCHLD, top);
	T("vfork flags, no signal", SYS_clone, VM | CLONE_VFORK, top);
	T("memory", SYS_clone, VM | SIGCHLD, top);
	T("parent", SYS_clone, CLONE_PARENT | VM | CLONE_VFORK | SIGCHLD, top);
	T("init's", SYS_clone, VM | CLONE_NEWUTS | SIGCHLD, top);
	for (int ns = 0; ns < 16; ns++) {
		long f = CLONE_PARENT | VM | SIGCHLD | (ns & 1 ? CLONE_NEWNS : 0) | (ns & 2 ? CLONE_NEWPID : 0) | (ns & 4 ? CLONE_NEWIPC : 0);
		T("launch", SYS_clone, f | (ns & 8 ? CLONE_VFORK : CLONE_CHILD_CLEARTID), top);
		T("launch with its mark", SYS_clone, f | CLONE_PARENT_SETTID | (ns & 8 ? CLONE_VFORK : 0), top);
	}
	for (int sig = 0; sig < 65; sig++)
		if (sig != SIGKILL && sig != SIGSTOP) /* the end of such a child would be ours */
			T("fork", SYS_clone, sig, 0);
	T("fork(2)", SYS_fork, 0, 0);
	T("vfork(2)", SYS_vfork, 0, 0);
	T("clone3", SYS_clone3, 0, 0);
	if (syscall(SYS_unshare, CLONE_NEWPID) == 0)
		write(1, "pid namespace\n", 14);
	write(1, "end\n", 4);
	return 0;
}`

// TestLaunchFlagsArePowerless: the filter is inherited from the zygote, which
// makes threads and processes. None of that is left to a program whose own list
// makes neither, whatever its launch was like.
func TestLaunchFlagsArePowerless(t *testing.T) {
	needRoot(t)
	program := compiled(t, cloner)
	free, err := exec.Command(program).Output()
	if n := strings.Count(string(free), "\n"); err != nil || n < 70 || !strings.HasSuffix(string(free), "pid namespace\nend\n") {
		t.Fatalf("%d calls make a task without a sandbox (%v): what is stopped inside proves nothing\n%s", n, err, free)
	}
	for _, how := range []struct{ init, dynamic, tmp, host bool }{{}, {dynamic: true}, {init: true}, {init: true, dynamic: true}, {init: true, tmp: true}, {tmp: true}, {host: true}} {
		t.Run(fmt.Sprintf("%+v", how), func(t *testing.T) {
			p := Profile{Network: Network{Mode: "none"}, Syscalls: Syscalls{Allow: []string{"@strict"}, OnViolation: "errno"}, Init: how.init}
			if how.tmp { // its mounts are made ahead, and its clone is one without
				p.Files.Tmp = 1 << 20
			}
			c := Command{Service: "test", Path: program, Argv: []string{"cloner"}, Dir: "/", UID: 65534, GID: 65534, Dynamic: how.dynamic, HostPIDs: how.host}
			out, r, _ := once(t, start(t, p, c), zygote.Request{UID: LeaseBase + 9, GID: LeaseBase + 9})
			if out != "ran\nend\n" || r.Err() != nil {
				t.Errorf("made: %q (%v)", out, r.Err())
				for range 100 { // what it made are children of this process, for whose end their namespace waits
					_, _ = unix.Wait4(-1, nil, unix.WALL|unix.WNOHANG, nil)
				}
			}
		})
	}
}

// TestServicesAreChosenFirst: out of memory, a service is ended before its broker,
// whatever the broker was started with.
func TestServicesAreChosenFirst(t *testing.T) {
	needRoot(t)
	const file = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(file, before, 0) })
	for own, want := range map[string]string{"0": "100\n", "300": "400\n", "-500": "100\n", "950": "1000\n"} {
		if err := os.WriteFile(file, []byte(own), 0); err != nil {
			t.Logf("%s: %v", own, err) // lowering takes CAP_SYS_RESOURCE
			continue
		}
		for _, init := range []bool{false, true} {
			p := realistic()
			p.Init = init
			out, r, _ := once(t, start(t, p, shell("cat /proc/self/oom_score_adj; echo 0 2>/dev/null >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj")), zygote.Request{})
			if out != want+want || r.Err() != nil {
				t.Errorf("broker %s, init %t: the service has %q, want %q (%v)", own, init, out, want, r.Err())
			}
		}
		if now, err := os.ReadFile(file); string(now) != own+"\n" {
			t.Errorf("the broker's own is %q, was %s (%v)", now, own, err)
		}
	}
}

// TestTasksAreCounted: a connection has its own count under a leased uid, and
// the users' services have one together; an init is root's.
func TestTasksAreCounted(t *testing.T) {
	limit := func(tasks int64, edit func(*Profile, *Command)) int64 {
		p, c := realistic(), shell("")
		p.Resources[Tasks] = tasks
		edit(&p, &c)
		pl, err := planOf(t, p, c)
		if err != nil {
			t.Fatal(err)
		}
		return int64(pl.limits()[unix.RLIMIT_NPROC])
	}
	leased := func(_ *Profile, c *Command) { c.Dynamic = true }
	for _, c := range []struct {
		tasks, want int64
		edit        func(*Profile, *Command)
	}{
		{8, 8, leased},
		{8, 8, func(p *Profile, c *Command) { p.Init = true; leased(p, c) }},
		{0, -1, leased},
		{8, 640 + TaskSlack, func(_ *Profile, c *Command) { c.UserTasks = 640 }},
		{8, -1, func(*Profile, *Command) {}}, // its service knows no bound of sessions
	} {
		if got := limit(c.tasks, c.edit); got != c.want {
			t.Errorf("tasks %d: RLIMIT_NPROC %d, want %d", c.tasks, got, c.want)
		}
	}
}

// TestTasksHold: the kernel holds the count, for each leased uid on its own.
func TestTasksHold(t *testing.T) {
	needRoot(t)
	program := compiled(t, `#include <unistd.h>
int main(void){char n='0';for(pid_t p;n<'9'&&(p=fork())>=0;n++)if(p==0)for(;;)pause();return write(1,&n,1)!=1;}
`)
	for _, init := range []bool{false, true} {
		p := realistic()
		p.Init, p.Resources[Tasks] = init, 4
		c := Command{Service: "test", Path: program, Argv: []string{"forks"}, Dir: "/", Dynamic: true}
		z := start(t, p, c)
		first := uint32(LeaseBase + LeaseCount/2 + os.Getpid()%(LeaseCount/4)) // no broker's beside this test
		for uid := first; uid < first+2; uid++ {
			out, r, _ := once(t, z, zygote.Request{UID: uid, GID: uid})
			if r.Err() != nil || out != "3" {
				t.Errorf("init %t: %q children (%v), want 3 beside itself", init, out, r.Err())
			}
		}
	}
}

// TestTooFewDescriptors: sockets that are handed over need their places beside those of a start.
func TestTooFewDescriptors(t *testing.T) {
	p, c := realistic(), shell("")
	c.Stdio, c.Sockets = "listen_fds", 8
	for n, want := range map[int64]bool{minOpenFiles + 7: false, minOpenFiles + 8: true, 0: true} {
		p.Resources[OpenFiles] = n
		if _, err := NewPlan(p, c); (err == nil) != want {
			t.Errorf("open_files %d with 8 sockets: %v", n, err)
		}
	}
}

// TestNice: a service and all that it starts has its own share of the processors, also above
// the broker's where that may be given, cannot have more, and has its own place among what is killed.
func TestNice(t *testing.T) {
	needRoot(t)
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(own)))
	usual := min(max(n, 0)+oomAbove, 1000)
	for _, c := range []struct {
		nice, oom int
		init      bool
	}{{0, 0, false}, {7, usual + 1, false}, {19, 1000, true}, {-5, 0, false}, {-20, 0, true}} {
		p := realistic()
		p.Init = c.init
		command := shell(`set -- $(cat /proc/$$/stat); own=${19}; set -- $(sh -c 'cat /proc/$$/stat'); echo $own ${19} $(cat /proc/self/oom_score_adj); nice -n -1 true 2>&1`)
		command.Nice, command.OOMScore = c.nice, c.oom
		if hard, err := raise(unix.RLIMIT_NICE, uint64(20-min(c.nice, 0))); c.nice < 0 && hard < uint64(20-c.nice) {
			pl, bad := planOf(t, p, command)
			if bad != nil {
				t.Fatal(bad)
			}
			s, bad := Prepare(pl, Options{})
			if bad != nil {
				t.Fatal(bad)
			}
			z, bad := s.Spawn()
			if err != nil || bad == nil || !strings.Contains(bad.Error(), "set nice (below 0 it takes CAP_SYS_RESOURCE)") {
				t.Errorf("nice %d without CAP_SYS_RESOURCE: %v, %v (%v)", c.nice, z, bad, err)
			}
			_ = s.Close()
			continue
		}
		out, r, _ := once(t, start(t, p, command), zygote.Request{})
		want := fmt.Sprintf("%d %d %d", c.nice, c.nice, cmp.Or(c.oom, usual))
		if first, rest, _ := strings.Cut(out, "\n"); first != want || c.nice > -20 && !strings.Contains(rest, "ermission denied") || r.Err() != nil {
			t.Errorf("nice %d, oom_score %d: %q, want %q (%v)", c.nice, c.oom, out, want, r.Err())
		}
	}
}

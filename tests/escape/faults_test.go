package escape

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/sandbox/seccomp/launch"
	"casemate/sandbox/zygote"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// fault makes one system call of a service's zygote fail, or of what it has cloned for a connection.
type fault struct {
	step    string // of zygote.Steps
	service string // that takes the step
	call    int
	arg     int    // the argument that tells the call from others like it; -1: the first will do
	value   uint32 // of that
	after   int    // how many like it go on before
	child   bool   // a step of each connection; else one of entering
	errno   syscall.Errno
	says    syscall.Errno // what the record names; 0: errno
}

// stays makes a call succeed in place of failing, with 1 for an outcome: a capability that is there yet.
const stays = ^syscall.Errno(0)

// faults are, for each step, one fault at least. What a step is told of as another errno than that of its call
// is a check: it says that the outcome is not what it must be.
var faults = []fault{
	{"block signals", "all", unix.SYS_RT_SIGPROCMASK, -1, 0, 0, false, unix.EINVAL, 0},
	{"block signals", "all", unix.SYS_RT_SIGPROCMASK, -1, 0, 0, true, unix.EINVAL, 0},
	{"set parent-death signal", "all", unix.SYS_PRCTL, 0, unix.PR_SET_PDEATHSIG, 0, false, unix.EINVAL, 0},
	{"set parent-death signal", "all", unix.SYS_PRCTL, 0, unix.PR_SET_PDEATHSIG, 1, false, unix.EINVAL, 0}, // after the drop
	{"set parent-death signal", "all", unix.SYS_PRCTL, 0, unix.PR_SET_PDEATHSIG, 0, true, unix.EINVAL, 0},
	{"set parent-death signal", "all", hangUpCall, -1, 0, 0, true, unix.ENOMEM, 0},
	{"read plan", "all", unix.SYS_FSTAT, -1, 0, 0, false, unix.EIO, 0},
	{"setsid", "all", unix.SYS_SETSID, -1, 0, 0, false, unix.EPERM, 0},
	{"setsid", "all", unix.SYS_SETSID, -1, 0, 0, true, unix.EPERM, 0},
	{"make namespaces", "all", unix.SYS_UNSHARE, -1, 0, 0, false, unix.ENOSPC, 0},
	{"join mount namespace", "all", unix.SYS_SETNS, 1, unix.CLONE_NEWNS, 0, false, unix.EPERM, 0},
	{"join mount namespace", "all", unix.SYS_OPENAT, -1, 0, 1, false, unix.ENFILE, 0},   // what the maker needs
	{"join mount namespace", "all", unix.SYS_EVENTFD2, -1, 0, 0, false, unix.ENFILE, 0}, // the same
	{"join mount namespace", "all", unix.SYS_SETNS, 1, unix.CLONE_NEWNS, 0, true, unix.EPERM, 0},
	{"join mount namespace", "all", unix.SYS_DUP3, -1, 0, 0, true, unix.EMFILE, 0},
	{"move descriptors", "all", unix.SYS_DUP3, -1, 0, 0, false, unix.EMFILE, 0},
	{"change directory", "all", unix.SYS_CHDIR, -1, 0, 0, false, unix.EACCES, 0},
	{"change directory", "late", unix.SYS_CHDIR, -1, 0, 0, true, unix.EACCES, 0},
	{"set rlimit", "all", unix.SYS_PRLIMIT64, -1, 0, 0, false, unix.EPERM, 0},
	{"set rlimit", "all", unix.SYS_PRLIMIT64, -1, 0, 1, false, unix.EPERM, 0},
	{"set rlimit", "all", unix.SYS_PRLIMIT64, 1, unix.RLIMIT_CPU, 0, true, unix.EPERM, 0},
	{"set rlimit", "all", unix.SYS_PRLIMIT64, 1, unix.RLIMIT_NOFILE, 0, true, unix.EPERM, 0},
	{"set groups", "all", unix.SYS_SETGROUPS, -1, 0, 0, false, unix.EPERM, 0},
	{"set gid", "all", unix.SYS_SETRESGID, -1, 0, 0, false, unix.EPERM, 0},
	{"set gid", "dynamic", unix.SYS_SETRESGID, -1, 0, 0, true, unix.EAGAIN, 0},
	{"verify privileges", "all", unix.SYS_PRCTL, 0, unix.PR_CAPBSET_DROP, 0, false, unix.EPERM, unix.EPERM},
	{"drop bounding set", "all", unix.SYS_PRCTL, 0, unix.PR_CAP_AMBIENT, 0, false, unix.EINVAL, 0},
	{"set securebits", "all", unix.SYS_PRCTL, 0, unix.PR_SET_SECUREBITS, 0, false, unix.EPERM, 0},
	{"set capabilities", "all", unix.SYS_CAPSET, -1, 0, 0, false, unix.EPERM, 0},
	{"set capabilities", "all", unix.SYS_CAPSET, -1, 0, 0, true, unix.EPERM, 0},
	{"set no_new_privs", "all", unix.SYS_PRCTL, 0, unix.PR_SET_NO_NEW_PRIVS, 0, false, unix.EINVAL, 0},
	{"set no_new_privs", "all", unix.SYS_PRCTL, 0, unix.PR_SET_DUMPABLE, 0, false, unix.EINVAL, 0},
	{"verify privileges", "all", unix.SYS_PRCTL, 0, unix.PR_GET_NO_NEW_PRIVS, 0, false, unix.EINVAL, unix.EPERM},
	{"verify privileges", "all", unix.SYS_PRCTL, 0, unix.PR_CAPBSET_READ, 0, false, stays, unix.EPERM},
	{"verify privileges", "all", unix.SYS_GETUID, -1, 0, 0, true, unix.EPERM, unix.EPERM},
	{"install seccomp filter", "all", unix.SYS_SECCOMP, -1, 0, 0, false, unix.ENOMEM, 0},
	{"clone", "all", unix.SYS_CLONE, -1, 0, 0, false, unix.EAGAIN, 0},                               // one of its threads
	{"clone", "all", unix.SYS_CLONE, 0, unix.CLONE_VM | unix.CLONE_FILES, 0, false, unix.EAGAIN, 0}, // the maker
	{"mount /proc", "all", unix.SYS_MOUNT, 3, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY, 0, true, unix.ENOMEM, 0},
	{"mount /tmp", "userns", unix.SYS_MOUNT, 3, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, 0, true, unix.ENOSPC, 0},
	{"mount /dev/pts", "all", unix.SYS_MOUNT, 3, unix.MS_NOSUID | unix.MS_NOEXEC, 0, true, unix.ENODEV, 0},
	{"set stdio", "all", unix.SYS_DUP3, 1, 0, 0, true, unix.EBUSY, 0},
	{"set stdio", "all", unix.SYS_DUP3, 1, 1, 0, true, unix.EBADF, 0},
	{"set stdio", "fds", unix.SYS_FCNTL, -1, 0, 0, true, unix.EINVAL, 0},
	{"close descriptors", "all", unix.SYS_CLOSE_RANGE, -1, 0, 0, true, unix.EMFILE, 0},
	{"set uid", "all", unix.SYS_SETRESUID, -1, 0, 0, true, unix.EAGAIN, 0},
	{"restrict with landlock", "all", unix.SYS_LANDLOCK_RESTRICT_SELF, -1, 0, 0, true, unix.E2BIG, 0},
	{"install seal filter", "all", unix.SYS_SECCOMP, -1, 0, 0, true, unix.ENOMEM, 0},
	{"exec", "all", unix.SYS_EXECVEAT, -1, 0, 0, true, unix.ENOMEM, 0},
	{"enter user namespace", "userns", unix.SYS_UNSHARE, 0, unix.CLONE_NEWUSER, 0, false, unix.EUSERS, 0},
	{"raise oom_score_adj", "all", unix.SYS_OPENAT, -1, 0, 0, false, unix.EACCES, 0},
	{"set personality", "all", unix.SYS_PERSONALITY, -1, 0, 0, false, unix.EINVAL, 0},
	{"place the launch's code", "all", unix.SYS_MREMAP, -1, 0, 0, false, unix.EFAULT, 0},
	{"make /dev/log", "log", unix.SYS_BIND, -1, 0, 0, true, unix.EADDRINUSE, 0},
	{"set nice (below 0 it takes CAP_SYS_RESOURCE)", "all", unix.SYS_SETPRIORITY, -1, 0, 0, false, unix.EACCES, 0},
	{"start init", "init", unix.SYS_OPENAT, -1, 0, 1, false, unix.ENFILE, 0},
	{"start init", "init", unix.SYS_SETNS, 1, unix.CLONE_NEWPID, 0, false, unix.EPERM, 0},
	{"start init", "init", unix.SYS_UNSHARE, 0, unix.CLONE_NEWPID, 0, false, unix.ENOSPC, 0},
	{"take the relay's socket", "carried", unix.SYS_DUP3, 1, carriedFiles + launch.FDLog, 0, true, unix.EMFILE, 0},
	{"set up the loopback interface", "carried", unix.SYS_SOCKET, -1, 0, 0, true, unix.ENFILE, 0},
	{"mount state directory", "state", unix.SYS_MOVE_MOUNT, -1, 0, 0, true, unix.EPERM, 0},
}

// unfaulted are the steps that no call of a zygote's makes fail, with what else shows them.
var unfaulted = map[string]string{
	"none":                         "no step",
	"keep the processor to itself": "TestCoreIsAsked of tests/root makes it fail, entering and for a connection",
	"read request":                 "of a request that the broker never sends: TestRequestRefused of sandbox/zygote",
	"join cgroup":                  "its file is a cgroup's, which not every host has: TestCgroupRefused of sandbox/zygote",
}

// calls are those of the faults, by number, as testdata/faults.c takes them.
func calls() string {
	var out []string
	for _, f := range faults {
		out = append(out, fmt.Sprint(f.call))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

// copies are how many services there are of the kind "all", which take turns: one whose zygote has not started is
// not asked again for a while.
const copies = 8

// carriedFiles are the descriptors of the service that has a relay: the launch's own come behind them.
const carriedFiles = 64

// faultPolicy has a service with all that a launch does beside init, and others for what excludes something of it:
// those that have a port.
func faultPolicy(ports map[string]string, victim string) string {
	text := "policy { edition = 1 }\nlimit \"wide\" {\n  concurrent = 1\n  session = \"2m\"\n}\n"
	rest := func(service, profile string, more ...string) {
		if port := ports[service]; port != "" {
			text += serviceText(service, port, victim, profile, more...)
		}
	}
	for i := range copies {
		rest(fmt.Sprintf("all%d", i), "  base = profile.login\n  init = false\n  syscalls { seal = true }\n  resources { cpu_time = \"1m\" }", "nice = 3")
	}
	rest("late", "  base = profile.files", "dir = \"/tmp\"")
	rest("dynamic", "  base = profile.files")
	rest("fds", "  base = profile.files", "stdio = \"listen_fds\"")
	rest("userns", "  base = profile.files\n  user_namespace = true")
	rest("init", "  base = profile.files\n  init = true")
	rest("carried", fmt.Sprintf("  base = profile.files\n  widens = [\"network\"]\n  network { mode = \"private\" }\n  resources { open_files = %d }", carriedFiles), "stdio = \"relay\"")
	rest("log", logging("login", ""))
	rest("state", "  base = profile.files\n  widens = [\"files\"]\n  files { state = true }")
	head, tail, found := strings.Cut(text, "service \"dynamic\"")
	if !found {
		return text
	}
	return head + "service \"dynamic\"" + strings.Replace(tail, "user = \"nobody\"", "user = \"dynamic\"", 1)
}

// TestEveryStepFails makes each step of a zygote fail, when it enters its sandbox for a connection and when it starts the program:
// no program runs, one record names the step and the errno, and the service serves again with the one
// place that it has. A step without a fault is a fault of this test.
func TestEveryStepFails(t *testing.T) {
	rig.Root(t)
	for _, step := range zygote.Steps {
		if _, ok := unfaulted[step]; !ok && !slices.ContainsFunc(faults, func(f fault) bool { return f.step == step }) {
			t.Errorf("nothing makes the step %q fail", step)
		}
	}
	services := []string{"all", "late", "dynamic", "fds", "userns", "init", "carried"}
	if landlock.ABI() >= landlock.ABIScopes { // else no service has a /dev/log
		services = append(services, "log")
	}
	failAll(t, services...)
}

// TestMountOfStateFails is TestEveryStepFails for a service whose state directory is where the kernel maps ids.
func TestMountOfStateFails(t *testing.T) {
	rig.Root(t)
	need.IDMaps(t, "/var/lib")
	t.Cleanup(func() { _ = os.RemoveAll("/var/lib/casemate/state") })
	failAll(t, "state")
}

// failAll makes the steps fail for which the faults have these services.
func failAll(t *testing.T, services ...string) {
	t.Helper()
	victim, rule := compileVictim(t), filepath.Join(t.TempDir(), "rule")
	try(t, os.WriteFile(rule, nil, 0o600))
	ports := map[string]string{}
	for _, s := range services {
		if s != "all" {
			ports[s] = rig.Port(t)
			continue
		}
		for i := range copies {
			ports[fmt.Sprintf("all%d", i)] = rig.Port(t)
		}
	}
	b := rig.ServeWith(t, rig.Options{Under: []string{rig.Compile(t, "testdata/faults.c"), rule, calls()}, Files: map[string]string{"test.cm.hcl": faultPolicy(ports, victim)}})
	for s := range ports {
		served(t, b, s, ports[s])
	}
	before := atRest(t, b, ports, nil)
	for i, f := range faults {
		if !slices.Contains(services, f.service) {
			continue
		}
		if f.service == "all" {
			f.service = fmt.Sprintf("all%d", i%copies)
		}
		served(t, b, f.service, ports[f.service])
		name := fmt.Sprintf("%s of %s (call %d, entering %v)", f.step, f.service, f.call, !f.child)
		if !f.child {
			newZygote(t, b, f.service)
		}
		for tries := 1; !fails(t, b, f, name, rule, i+1, ports[f.service], tries < mostTries && f.child && f.step == "join mount namespace"); tries++ {
			served(t, b, f.service, ports[f.service])
		}
		arm(t, rule, i+1, fault{})
	}
	for s := range ports {
		served(t, b, s, ports[s])
	}
	atRest(t, b, ports, &before)
}

// mostTries is how often a launch is asked to join a mount namespace that was made ahead. One that finds none ready, since their maker
// has had no processor since, makes its own, and the call that is to fail is no call of that step.
const mostTries = 20

// fails arms a fault, makes a connection, and checks that this fails by it, with one record. Where the step may be passed over, it
// tells that it was.
func fails(t *testing.T, b *rig.Broker, f fault, name, rule string, n int, port string, mayPass bool) bool {
	t.Helper()
	others := func() int {
		all, err := b.Find("msg", "session", "service", f.service)
		try(t, err)
		return len(all)
	}
	arm(t, rule, n, f)
	failed, before := failures(t, b, f.service, f.step), others()
	answer, _ := rig.Exchange(port, "identity\n") // who is refused may be reset
	says := f.says
	if says == 0 {
		says = f.errno
	}
	var now []string
	err := rig.Until(20*time.Second, func() error {
		if now = failures(t, b, f.service, f.step)[len(failed):]; len(now) == 0 && (!mayPass || others() == before) {
			return errors.New("no record")
		}
		return nil
	})
	if mayPass && err == nil && len(now) == 0 {
		arm(t, rule, n, fault{})
		return false
	}
	if answer != "" {
		t.Errorf("%s: a program ran: %q", name, answer)
	}
	if err != nil || len(now) != 1 || !strings.Contains(now[0], f.step+": "+says.Error()) {
		all, _ := b.Find("service", f.service)
		t.Errorf("%s: the records say %q (%v), want one of %q; the last ones: %v", name, now, err, says.Error(), all[max(0, len(all)-6):])
	}
	return true
}

// atRest waits until no session runs and every service has a zygote, and gives what the broker has then. Where before is
// given, it waits for no more than that, and the worker that the first denied call may have started since, and a descriptor: of
// the supervisor, which is a child that no zygote has named, once the broker has looked for such.
func atRest(t *testing.T, b *rig.Broker, ports map[string]string, before *rig.Counters) (now rig.Counters) {
	t.Helper()
	const still = 300 * time.Millisecond // two processes are looked at one after the other, and what they have may be on its way
	var since time.Time
	var held error // what zygotes that leave meanwhile would hide
	if err := rig.Until(time.Minute, func() error {
		s, err := b.Status()
		if err != nil {
			return err
		}
		for _, service := range s.Services {
			if service.ZygotePID == 0 {
				_, _ = rig.Exchange(ports[service.Name], "limits\n")
				err = fmt.Errorf("%s has no zygote", service.Name)
			}
		}
		if err == nil && len(s.Sessions) > 0 {
			err = fmt.Errorf("%d sessions", len(s.Sessions))
		}
		if err == nil {
			last := now
			if now, err = b.Counters(); now.FDs != last.FDs || now.Children != last.Children || now.Mounts != last.Mounts || now.Cgroups != last.Cgroups {
				since = time.Now()
			}
			if err == nil && before == nil && time.Since(since) < still {
				err = fmt.Errorf("%+v, for %s", now, time.Since(since))
			}
		}
		if err == nil && before != nil && (now.FDs > before.FDs+1 || now.Children > before.Children+1 || now.Zombies > 0 || now.Mounts != before.Mounts || now.Cgroups > before.Cgroups) {
			err = fmt.Errorf("%+v, was %+v", now, *before)
			held = err
		}
		return err
	}); err != nil {
		t.Errorf("something is left: %v", errors.Join(held, err))
	}
	return now
}

// arm writes the rule that the supervisor goes by.
func arm(t *testing.T, rule string, n int, f fault) {
	t.Helper()
	who, times := 0, 1<<30 // a service that is looked at again has more than one zygote enter
	if f.child {
		who, times = 1, 1
	}
	if f.call == 0 {
		n, f.call, times = -n, -1, 0
	}
	text := fmt.Sprintf("%d %d %d %d %d %d %d %d\n", n, f.call, f.arg, f.value, f.after, times, int32(f.errno), who)
	file, err := os.OpenFile(rule, os.O_WRONLY, 0) // the supervisor has this one open, and reads it at once
	try(t, err)
	defer file.Close()
	_, err = file.WriteAt([]byte(text+strings.Repeat(" ", 100-len(text))), 0)
	try(t, err)
}

// served waits until the service's program has answered; during a backoff it does not.
func served(t *testing.T, b *rig.Broker, service, port string) {
	t.Helper()
	var answer string
	if err := rig.Until(30*time.Second, func() (err error) {
		if service == "fds" { // its client is descriptor 3
			return served3(b, port)
		}
		if answer, err = rig.Exchange(port, "identity\n"); err == nil && !strings.Contains(answer, "identity ok") {
			err = fmt.Errorf("it answered %q", answer)
		}
		return err
	}); err != nil {
		t.Fatalf("%s: %v", service, err)
	}
	if err := b.Idle(30 * time.Second); err != nil {
		t.Fatal(err)
	}
}

// served3 is for a program whose client is not on 0 and 1: that it has run, its record says.
func served3(b *rig.Broker, port string) error {
	before, err := b.Find("msg", "session", "service", "fds", "reason", "exit")
	if err != nil {
		return err
	}
	_, _ = rig.Exchange(port, "")
	_, err = b.Await(len(before)+1, 3*time.Second, "msg", "session", "service", "fds", "reason", "exit")
	return err
}

// newZygote ends a service's zygote, so that the next connection needs another.
func newZygote(t *testing.T, b *rig.Broker, service string) {
	t.Helper()
	pid := 0
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service(service)
		switch {
		case err != nil:
			return err
		case pid == 0 && s.ZygotePID > 0:
			pid = s.ZygotePID
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if s.ZygotePID > 0 {
			return fmt.Errorf("its zygote is %d", s.ZygotePID)
		}
		return nil
	}); err != nil {
		t.Fatalf("%s: %v", service, err)
	}
}

// failures are what the records of sessions say that never ran and failed in a step.
func failures(t *testing.T, b *rig.Broker, service, step string) (out []string) {
	t.Helper()
	records, err := b.Find("msg", "session", "service", service, "reason", "start-failed")
	try(t, err)
	for _, r := range records {
		if d := r.Str("detail"); strings.Contains(d, step+": ") {
			out = append(out, d)
		}
	}
	return out
}

package escape

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/zygote"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// held opens a connection whose program waits, and gives that one's process; the connection ends with the test.
func held(t *testing.T, b *rig.Broker, service, port string) (pid int) {
	t.Helper()
	had := pids(t, b, service)
	conn, err := rig.Dial(port)
	try(t, err)
	t.Cleanup(func() { conn.Close() })
	try(t, rig.Until(30*time.Second, func() error {
		for _, p := range pids(t, b, service) {
			if !slices.Contains(had, p) {
				pid = p
				return nil
			}
		}
		return errors.New("no session")
	}))
	return pid
}

// pids are the processes of a service's sessions.
func pids(t *testing.T, b *rig.Broker, service string) (out []int) {
	t.Helper()
	s, err := b.Status()
	try(t, err)
	for _, one := range s.Sessions {
		if one.Service == service {
			out = append(out, one.PID)
		}
	}
	return out
}

// sharing are profiles whose sessions have mounts of their own, and such as have none.
var sharing = []struct {
	name, profile string
	shared        bool
	caps          []string // of the zygote
}{
	{"shared-line", "  base = profile.line\n  init = false", true, []string{"CAP_SETUID", "CAP_SYS_ADMIN"}},
	{"shared-strict", "  base = profile.strict", true, []string{"CAP_SETUID", "CAP_SYS_ADMIN"}},
	{"own-tmp", "  base = profile.line\n  widens = [\"files\"]\n  files { tmp = \"1MiB\" }", false, []string{"CAP_SETUID", "CAP_SYS_CHROOT", "CAP_SYS_ADMIN"}},
	{"own-proc", "  base = profile.line\n  widens = [\"files\"]\n  files { proc = true }", false, []string{"CAP_SETUID", "CAP_SYS_CHROOT", "CAP_SYS_ADMIN"}},
	{"own-pty", "  base = profile.line\n  widens = [\"files\"]\n  files { pty = true }", false, []string{"CAP_SETUID", "CAP_SYS_CHROOT", "CAP_SYS_ADMIN"}},
}

// mounting are all calls that change mounts, or whose they are: a profile that lets all of them through leaves the kernel alone to
// refuse them.
const mounting = `["mount", "umount2", "pivot_root", "move_mount", "open_tree", "mount_setattr", "fsopen", "fsmount", "fsconfig", "fspick", "unshare", "setns", "chroot", "clone"]`

// TestSharedMounts: where a connection mounts nothing, its sessions are in the mount namespace of their zygote, and none changes
// it for another, whatever its filter lets through; who has the capability would (the control). Elsewhere each has its own.
func TestSharedMounts(t *testing.T) {
	rig.Root(t)
	victim, c, ports := compileVictim(t), plant(t), map[string]string{}
	text := policyHead
	for _, p := range sharing {
		ports[p.name] = rig.Port(t)
		text += serviceText(p.name, ports[p.name], victim, p.profile)
	}
	ports["open"] = rig.Port(t)
	text += serviceText("open", ports["open"], victim, "  base = profile.line\n  widens = [\"files\", \"syscalls\"]\n  init = false\n"+
		"  syscalls { allow = "+mounting+" }\n  files { write = [\""+filepath.Join(c.dir, "write")+"\"] }")
	b := rig.Serve(t, text)
	for _, p := range sharing {
		one, other := held(t, b, p.name, ports[p.name]), held(t, b, p.name, ports[p.name])
		s, err := b.Service(p.name)
		try(t, err)
		in := map[string]bool{namespace(t, one): true, namespace(t, other): true, namespace(t, s.ZygotePID): true}
		if want := map[bool]int{true: 1, false: 3}[p.shared]; len(in) != want {
			t.Errorf("%s: two sessions and the zygote are in %d mount namespaces, want %d", p.name, len(in), want)
		}
		status, err := rig.Status(s.ZygotePID)
		try(t, err)
		kept, err := strconv.ParseUint(status["CapPrm"], 16, 64)
		try(t, err)
		if got := zygote.CapNames(kept); !slices.Equal(got, p.caps) {
			t.Errorf("%s: its zygote has %v, want %v", p.name, got, p.caps)
		}
	}
	keepsMounts(t, b, ports["open"], c.values(victim, ports["open"]))
}

// keepsMounts makes every attempt on mounts in a session of the service "open", with another session and the zygote watched.
func keepsMounts(t *testing.T, b *rig.Broker, port string, values map[string]string) {
	t.Helper()
	other := held(t, b, "open", port)
	s, err := b.Service("open")
	try(t, err)
	before := mountsOf(t, other, s.ZygotePID)
	tried := 0
	for _, a := range slices.Concat(fileAttempts, namespaceAttempts()) {
		name, _, _ := strings.Cut(a.line, " ")
		if a.number != 12 && a.number != 25 && a.number != 32 && a.number != 33 || name == "list" {
			continue
		}
		tried++
		line := fill(t, a.line, values)
		// A user namespace is to be had where the filter lets it be; what is mounted in there, nobody else sees.
		if o := inside(t, port, line); a.number < 32 && !denied(a.want+"|EINVAL|ENOENT|EBADF", o) {
			t.Errorf("#%d %s: %s, want %s", a.number, line, o, a.want)
		}
	}
	if after := mountsOf(t, other, s.ZygotePID); tried < 20 || after != before {
		t.Errorf("%d attempts, and the mounts of others became\n%s\nfrom\n%s", tried, after, before)
	}
	mountWithin(t, other, filepath.Join(values["dir"], "write"))
	if after := mountsOf(t, other, s.ZygotePID); after == before {
		t.Error("a mount in their namespace is not seen, so that none was seen before proves nothing")
	}
}

// mountWithin mounts a tmpfs in the mount namespace of a process.
func mountWithin(t *testing.T, pid int, dir string) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: it is in that namespace
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = errors.Join(unix.Unshare(unix.CLONE_FS), unix.Setns(fd, unix.CLONE_NEWNS), unix.Mount("none", dir, "tmpfs", 0, ""))
		}
		done <- err
	}()
	try(t, <-done)
}

// mountsOf are the mounts of a session and a zygote, which are in the same namespace.
func mountsOf(t *testing.T, session, zygote int) string {
	t.Helper()
	a, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", session))
	try(t, err)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", zygote))
	try(t, err)
	if string(a) != string(b) {
		t.Errorf("a session's mounts are\n%s\nand its zygote's\n%s", a, b)
	}
	return string(a)
}

func namespace(t *testing.T, pid int) string {
	t.Helper()
	ns, err := rig.Namespace(pid, "mnt")
	try(t, err)
	return ns
}

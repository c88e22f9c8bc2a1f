package root

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// as connects to a unix socket as another user, on a thread that ends with that, and
// returns all that comes back; "" is a connection that was refused.
func as(t *testing.T, uid int, name string) string {
	t.Helper()
	got, failed := make(chan string, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the user is the thread's
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
			failed <- fmt.Errorf("setresuid: %w", e)
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
			err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}), unix.Connect(fd, &unix.SockaddrUnix{Name: name}))
		}
		if err != nil {
			failed <- err
			return
		}
		var all []byte
		for buf := make([]byte, 512); ; {
			n, err := unix.Read(fd, buf)
			switch {
			case errors.Is(err, unix.EINTR):
			case err != nil && !errors.Is(err, unix.ECONNRESET):
				failed <- err
				return
			case n <= 0:
				got <- string(all)
				return
			default:
				all = append(all, buf[:n]...)
			}
		}
	}()
	select {
	case text := <-got:
		return text
	case err := <-failed:
		t.Fatalf("uid %d at %s: %v", uid, name, err)
	}
	return ""
}

// TestAbstractSocketUsers: an abstract socket has no mode, so every user comes as far as the
// acl, and a rule by uid holds there, by the kernel's word and for each user alone.
func TestAbstractSocketUsers(t *testing.T) {
	rig.Root(t)
	const admitted, stranger, denied = 64011, 64012, 64013
	some, all := fmt.Sprintf("@casemate-some-%d", os.Getpid()), fmt.Sprintf("@casemate-all-%d", os.Getpid())
	program := rig.Compile(t, "testdata/rogue.c")
	text := head + fmt.Sprintf(`
acl "some" {
  allow "staff" { from = ["uid=%d"] }
}
acl "all" {
  deny { from = ["uid=%d"] }
  default = "allow"
}
`, admitted, denied) + service("some", "unix:"+some, []string{program, "once"}, "profile = profile.line", "acl = acl.some") +
		service("all", "unix:"+all, []string{program, "once"}, "profile = profile.line", "acl = acl.all", "limit = limit.one") +
		"limit \"one\" {\n  per_source {\n    rate = \"1/h\"\n    burst = 1\n  }\n}\n"
	b := rig.Serve(t, text)
	for _, c := range []struct {
		uid  int
		name string
		want string
	}{
		{admitted, some, "once\n"}, {stranger, some, ""}, {0, some, ""}, // root is a user like others
		{denied, all, ""}, {stranger, all, "once\n"}, {stranger, all, ""}, {admitted, all, "once\n"}, // each has a rate of its own
	} {
		if got := as(t, c.uid, c.name); got != c.want {
			t.Errorf("uid %d at %s got %q, want %q", c.uid, c.name, got, c.want)
		}
	}
	if _, err := b.Await(1, time.Minute, "msg", "decision", "service", "some", "verdict", "allow", "client", "unix", "client_uid", fmt.Sprint(admitted), "rule_name", "staff"); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(2, time.Minute, "msg", "decision", "service", "some", "verdict", "deny", "reason", "acl", "client", "unix"); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(1, time.Minute, "msg", "decision", "service", "all", "verdict", "deny", "reason", "source-rate", "client_uid", fmt.Sprint(stranger)); err != nil {
		t.Error(err)
	}
}

// TestAbstractNameIsTaken: whoever has an abstract name keeps it, and the service is refused with the reason.
func TestAbstractNameIsTaken(t *testing.T) {
	bin := rig.Root(t)
	name := fmt.Sprintf("@casemate-taken-%d", os.Getpid())
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	program := rig.Compile(t, "testdata/rogue.c")
	b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": head + service("once", "unix:"+name, []string{program, "once"}, "profile = profile.line", "acl = acl.anyone")}})
	if err == nil {
		b.Stop()
		t.Fatal("casemated serves a name that is another's")
	}
	if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("refused with %v", err)
	}
}

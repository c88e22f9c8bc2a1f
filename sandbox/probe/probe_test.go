package probe

import (
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHost(t *testing.T) {
	f := Host()
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(text)); f.Release != want {
		t.Errorf("release %q, want %q", f.Release, want)
	}
	if len(f.Seccomp) != len(Actions) || len(f.Namespaces) != len(NamespaceKinds) {
		t.Errorf("not everything was asked: %+v", f)
	}
	for name, a := range map[string]Answer{"mount api": f.MountAPI, "openat2": f.Openat2, "pidfd": f.PidFD, "close_range": f.CloseRange,
		"kill_process": f.Seccomp["kill_process"], "mnt": f.Namespaces["mnt"], "pid": f.Namespaces["pid"]} {
		// The project needs a kernel that has all of these.
		if a != Yes {
			t.Errorf("%s: %s", name, a)
		}
	}
}

// The answer about namespaces must agree with making one.
func TestNamespacesAgree(t *testing.T) {
	f := Host()
	if f.Admin != Yes {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs CAP_SYS_ADMIN")
		}
		t.Skip("needs CAP_SYS_ADMIN")
	}
	for kind, flag := range map[string]int{"mnt": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC, "cgroup": unix.CLONE_NEWCGROUP} {
		made := make(chan error)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the namespace
			made <- unix.Unshare(flag)
		}()
		if err := <-made; (err == nil) != (f.Namespaces[kind] == Yes) {
			t.Errorf("%s: %s, but unshare says %v", kind, f.Namespaces[kind], err)
		}
	}
}

func TestHostIsCachedAndCopied(t *testing.T) {
	a := Host()
	a.Seccomp["errno"], a.Namespaces["pid"] = Unknown, Unknown
	b := Host()
	if b.Seccomp["errno"] == Unknown || b.Namespaces["pid"] == Unknown {
		t.Error("a caller can change the cached facts")
	}
	if !reflect.DeepEqual(b, Host()) {
		t.Error("two calls differ")
	}
}

func TestProbesLeaveNothing(t *testing.T) {
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	before := count()
	look()
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestJudge(t *testing.T) {
	for errno, want := range map[unix.Errno]Answer{unix.ENOSYS: No, unix.EPERM: Unknown, unix.EINVAL: Yes, unix.EBADF: Yes, unix.EFAULT: Yes} {
		if got := judge(errno); got != want {
			t.Errorf("%v: %s, want %s", errno, got, want)
		}
	}
	if call(100000) != No {
		t.Error("a call that does not exist was found")
	}
	if all(Yes, Unknown) != Unknown || all(Unknown, No) != No || all(Yes, Yes) != Yes {
		t.Error("all")
	}
	if seccompAction(0x12340000) != No {
		t.Error("an action that does not exist was found")
	}
}

func TestLines(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Host().Lines() {
		if l.Name == "" || seen[l.Name] {
			t.Errorf("line %q is empty or double", l.Name)
		}
		seen[l.Name] = true
	}
	if got := (Facts{}).Lines()[0]; got.Answer != No {
		t.Errorf("zero facts: %+v", got)
	}
}

func BenchmarkHost(b *testing.B) {
	for b.Loop() {
		Host()
	}
}

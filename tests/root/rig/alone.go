package rig

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// insideEnv tells a test that it runs in the namespaces made for it.
const insideEnv = "CASEMATE_TEST_NAMESPACES"

// Alone runs the calling test again in a mount and a network namespace of its
// own, for so long at most, and reports whether this is that second run, where lo is up.
func Alone(t *testing.T, limit time.Duration) bool {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		loopbackUp(t)
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", fmt.Sprintf("-test.timeout=%s", limit))
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("in its namespaces:\n%s", out)
	if err != nil {
		t.Errorf("in its namespaces: %v", err)
	}
	return false
}

func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatalf("bring lo up: %v", err)
	}
}

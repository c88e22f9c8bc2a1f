package root

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// insideEnv tells the test that it runs in the namespaces made for it.
const insideEnv = "CASEMATE_TEST_NAMESPACES"

// alone runs the calling test again in a mount and a network namespace of its
// own and reports whether this is that second run, where lo is up.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		loopbackUp(t)
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=180s")
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

// cover bind-mounts a file with the text over path, in this mount namespace.
func cover(t *testing.T, path, text string) {
	t.Helper()
	src := t.TempDir() + "/file"
	write(t, src, text, 0o644)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: there is nothing to cover", err)
	}
	if err := unix.Mount(src, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("cover %s: %v", path, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// privately puts an empty file system over a folder of the host, in this mount
// namespace.
func privately(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mount("casemate-test", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		t.Fatalf("tmpfs on %s: %v", path, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// ownEtc puts a copy of /etc over it, in this mount namespace, so that a test
// may have users and configuration files without the host noticing.
func ownEtc(t *testing.T) {
	t.Helper()
	dir := filepath.Join(rig.PublicDir(t), "etc")
	must(t, "cp", "-a", "/etc", dir)
	if err := unix.Mount(dir, "/etc", "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("cover /etc: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/etc", unix.MNT_DETACH) })
}

// add appends a line to a file.
func add(t *testing.T, path, line string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
}

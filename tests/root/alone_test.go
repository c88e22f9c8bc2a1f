package root

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// alone runs the calling test again in namespaces of its own, and reports whether this is that second run.
func alone(t *testing.T) bool { return rig.Alone(t, 3*time.Minute) }

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
	ownCopy(t, "/etc")
}

// ownCopy does that with any folder.
func ownCopy(t *testing.T, path string) {
	t.Helper()
	dir := filepath.Join(rig.PublicDir(t), "copy")
	must(t, "cp", "-a", path, dir)
	if err := unix.Mount(dir, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("cover %s: %v", path, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
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

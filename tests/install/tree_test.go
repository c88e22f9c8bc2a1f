// Package install tries what a host gets: make install, and the Debian package in the root of a
// host of its own.
package install

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// product is the repository with its binaries and manual pages made.
func product(t *testing.T) (top string) {
	t.Helper()
	rig.Root(t)
	top = rig.Top(t)
	run(t, top, nil, "make", "-s", "pages")
	return top
}

// run is a command that must succeed; it returns what it printed.
func run(t *testing.T, dir string, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// write makes a file and the directories above it.
func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tree is everything below root, each path with its type and permissions.
func tree(t *testing.T, root string) map[string]fs.FileMode {
	t.Helper()
	all := map[string]fs.FileMode{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[strings.TrimPrefix(path, root)] = info.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// host makes the root of a small host: busybox, users, an empty database of dpkg, and a systemctl
// that writes down what it is told. dirs are the directories that every host has.
func host(t *testing.T) (root string) {
	t.Helper()
	busybox := need.Programs(t, "busybox")[0]
	root = rig.PublicDir(t)
	write(t, filepath.Join(root, "bin/busybox"), read(t, busybox), 0o755)
	for _, applet := range []string{"sh", "rm", "cat", "mount", "umount", "pivot_root", "mkdir"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "bin/systemctl"), "#!/bin/sh\necho \"$*\" >>/systemctl.calls\n", 0o755)
	write(t, filepath.Join(root, "systemctl.calls"), "", 0o644)
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\nnogroup:x:65534:\n", 0o644)
	for _, dir := range []string{
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log", "run/systemd/system", "proc", "sys", "dev", "tmp", "old", "usr/bin",
		"usr/sbin", "usr/lib", "usr/libexec", "usr/share/man", "etc/systemd/system/multi-user.target.wants",
	} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "var/lib/dpkg/status"), "", 0o644)
	write(t, filepath.Join(root, "var/lib/dpkg/available"), "", 0o644)
	return root
}

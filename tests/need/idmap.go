package need

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// IDMaps leaves out a test of mounts with mapped ids where the file system of dir takes none on this kernel: tmpfs
// before Linux 6.3. It asks with a user namespace of its own.
func IDMaps(t testing.TB, dir string) {
	t.Helper()
	Root(t, "it maps the ids of a mount")
	holder := exec.Command("sleep", "60")
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}}
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: one, GidMappings: one}
	if err := holder.Start(); err != nil {
		Kernel(t, "no user namespaces: %v", err)
	}
	defer func() {
		_ = holder.Process.Kill()
		_ = holder.Wait() // its status is that of the signal
	}()
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/user", holder.Process.Pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ns)
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns)}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		Kernel(t, "the file system of %s takes no mapped ids: %v", dir, err)
	}
}

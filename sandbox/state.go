package sandbox

import (
	"fmt"
	"path"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/rootfs"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// StateDir has the state directory of each service, under its name. Root alone gets past it: what a
// service makes of modes reaches nobody. A variable for tests.
var StateDir = "/var/lib/casemate"

const (
	// StateInside is where a service finds its own, and STATE_DIRECTORY of its environment.
	StateInside = "/state"
	// StateID owns all that is in them on the disk, whatever the uid of the session that made it. No process has it.
	StateID = LeaseBase + LeaseCount
)

// openState opens the service's state directory, which is made where there is none, and
// proves that its file system and this kernel can show it to a session.
func (s *Sandbox) openState(writable []hostpath.ID) error {
	up, err := hostpath.Make(StateDir)
	if err != nil {
		return err
	}
	defer up.Close()
	apart := func(f *hostpath.File) error {
		return rootfs.Apart([]rootfs.Entry{{Kind: rootfs.Write, Path: f.Real}}, []*hostpath.File{f}, writable)
	}
	if err := apart(up); err != nil { // before anything is changed where a service may have led it
		return err
	}
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", up.FD), 0o700); err != nil {
		return fmt.Errorf("chmod %s: %w", StateDir, err)
	}
	f, err := hostpath.Make(path.Join(StateDir, s.name))
	if err != nil {
		return err
	}
	s.state, s.fds = f.FD, append(s.fds, f.FD)
	if !f.IsDir() || f.Stat.Uid != 0 && f.Stat.Uid != StateID {
		return fmt.Errorf("%s is not a directory of root's or of uid %d's: move it away", f.Real, StateID)
	}
	if err := apart(f); err != nil {
		return err
	}
	if err := unix.Fchownat(f.FD, "", StateID, StateID, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("chown %s: %w", f.Real, err)
	}
	fd, err := s.State(LeaseBase, LeaseBase)
	unix.Close(fd)
	return err
}

// State makes a mount of the state directory for one session, which shows all in it as the files of
// that leased user, or of the service's own; the caller closes it. -1 is a service without.
func (s *Sandbox) State(uid, gid uint32) (fd int, err error) {
	if s.state < 0 {
		return -1, nil
	}
	if !s.Start.Dynamic {
		uid, gid = s.Start.UID, s.Start.GID
	}
	user, err := zygote.Mapped(StateID, uid, gid)
	if err != nil {
		return -1, err
	}
	defer unix.Close(user)
	if fd, err = unix.OpenTree(s.state, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
		return -1, fmt.Errorf("clone the state directory: %w", err)
	}
	attr := unix.MountAttr{Attr_set: rootfs.Attrs[rootfs.Write] | unix.MOUNT_ATTR_IDMAP, Propagation: unix.MS_PRIVATE, Userns_fd: uint64(user)}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("map the ids of the state directory: %w: it takes Linux 5.14 and a file system that can (ext4, xfs, btrfs; tmpfs since 6.3): give %s one of these", err, StateDir)
	}
	return fd, nil
}

package landlock

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Access says what a rule allows below its path: rights of the kernel's.
type Access uint64

// The kinds of access. Creating device nodes is never among them, and ioctl on
// devices in Terminal and Control alone. On a file only what applies to files is granted.
const (
	// Read allows reading files and listing directories.
	Read Access = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// Exec is Read and executing files.
	Exec = Read | unix.LANDLOCK_ACCESS_FS_EXECUTE
	// Write is Read, and writing, truncating, making, removing and moving
	// (within and between the trees that have it), and connecting to unix
	// sockets by path where the kernel can tell (ABI 9).
	Write = Read | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
	// Device allows opening one device node to read and write.
	Device Access = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	// Control is Device and ioctl.
	Control = Device | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// Terminal allows listing a directory, and opening, reading, writing and
	// ioctl of what is in it, which should be terminals: a directory that has or
	// will have a devpts mounted below it. Nothing can be made there.
	Terminal = Control | unix.LANDLOCK_ACCESS_FS_READ_DIR
)

// fileRights are the rights that a rule on something other than a directory may
// carry; the kernel refuses the others there.
const fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
	unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV | unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX

// Rule allows Access to the tree at Path, or to the one file there. Links are
// followed; the rule holds for what was there at that moment. Rules for the same
// path add up.
//
// A file system mounted later on a path is covered by rules on the
// directories above it, never by one on the directory it hides.
type Rule struct {
	Path   string
	Access Access
}

// Net is what is left of the network. Connecting and binding are two rights:
// what is said of one says nothing about the other.
type Net struct {
	// Connect are the remote TCP ports to connect to, Bind the local ones to bind. A 0 leaves
	// the right unrestricted.
	Connect, Bind []uint16
	// UDP leaves UDP alone, as every kernel before ABI 10 does.
	UDP bool
}

// Ruleset makes a ruleset that handles everything a kernel of that ABI, from 1 on, can and
// allows only what the rules and net leave; no signals to, and no abstract unix sockets
// of, processes outside. Its descriptor is
// close-on-exec, and good for any number of children; the caller closes it.
//
// What the ABI does not know is not restricted: the caller says first whether
// that is good enough.
//
// The paths are resolved in the caller's root, which is the finished tree of a
// sandbox: whoever swaps a name there gains a rule on something else in that
// tree, whose mounts allow no more than its profile does. On an error there is
// no partial result.
func Ruleset(abi int, rules []Rule, net Net) (int, error) {
	attr := handled(abi, net)
	fd, err := create(&attr)
	if err != nil {
		return -1, fmt.Errorf("landlock: create ruleset: %w", err)
	}
	err = addPorts(fd, net, attr.Handled_access_net)
	for _, r := range rules {
		if bad := r.add(fd, attr.Handled_access_fs); bad != nil {
			err = errors.Join(err, fmt.Errorf("landlock: %s: %w", r.Path, bad))
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// handled says what the ruleset takes under control.
func handled(abi int, net Net) unix.LandlockRulesetAttr {
	attr := known(abi)
	if slices.Contains(net.Connect, 0) {
		attr.Handled_access_net &^= unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if slices.Contains(net.Bind, 0) {
		attr.Handled_access_net &^= unix.LANDLOCK_ACCESS_NET_BIND_TCP
	}
	if net.UDP {
		attr.Handled_access_net &^= unix.LANDLOCK_ACCESS_NET_BIND_UDP | unix.LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP
	}
	return attr
}

func (r Rule) add(ruleset int, handled uint64) error {
	fd, err := unix.Openat2(unix.AT_FDCWD, r.Path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	rights := uint64(r.Access)
	switch kind := st.Mode & unix.S_IFMT; {
	case (r.Access == Device || r.Access == Control) && kind != unix.S_IFCHR:
		return errors.New("not a character device")
	case r.Access == Terminal && kind != unix.S_IFDIR:
		return errors.New("not a directory")
	case kind != unix.S_IFDIR:
		rights &= fileRights
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights & handled, Parent_fd: int32(fd)}
	return os.NewSyscallError("add rule", addRule(ruleset, unix.LANDLOCK_RULE_PATH_BENEATH, &attr))
}

func addPorts(ruleset int, net Net, handled uint64) error {
	for right, ports := range map[uint64][]uint16{unix.LANDLOCK_ACCESS_NET_CONNECT_TCP: net.Connect, unix.LANDLOCK_ACCESS_NET_BIND_TCP: net.Bind} {
		for _, port := range ports {
			if handled&right == 0 {
				break
			}
			if err := addRule(ruleset, rulePort, &portAttr{access: right, port: uint64(port)}); err != nil {
				return fmt.Errorf("landlock: tcp port %d: %w", port, err)
			}
		}
	}
	return nil
}

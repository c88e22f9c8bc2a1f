package probe

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"casemate/sandbox/cgroup"
	"casemate/sandbox/landlock"

	"golang.org/x/sys/unix"
)

// Actions are the filter actions that are asked about (linux/seccomp.h).
var Actions = []struct {
	Name   string
	Action uint32
}{
	{"kill_process", unix.SECCOMP_RET_KILL_PROCESS},
	{"errno", unix.SECCOMP_RET_ERRNO},
	{"log", unix.SECCOMP_RET_LOG},
	{"user_notif", unix.SECCOMP_RET_USER_NOTIF},
}

// NamespaceKinds are the names of /proc/self/ns that are asked about.
var NamespaceKinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}

func look() Facts {
	f := Facts{
		Release:        release(),
		Admin:          admin(),
		LandlockABI:    landlock.ABI(),
		LandlockErrata: landlock.Errata(),
		Seccomp:        map[string]Answer{},
		Namespaces:     map[string]Answer{},
		MountAPI:       all(call(unix.SYS_FSOPEN, 0), call(unix.SYS_OPEN_TREE, bad, 0, bad), call(unix.SYS_MOVE_MOUNT, bad, 0, bad, 0, bad), call(unix.SYS_MOUNT_SETATTR, bad, 0, bad)),
		Openat2:        call(unix.SYS_OPENAT2, bad),
		PidFD:          call(unix.SYS_PIDFD_OPEN, bad),
		CloseRange:     call(unix.SYS_CLOSE_RANGE, bad, 0),
	}
	for _, a := range Actions {
		f.Seccomp[a.Name] = seccompAction(a.Action)
	}
	for _, k := range NamespaceKinds {
		f.Namespaces[k] = namespace(k)
	}
	f.Hierarchy, f.Cgroup, f.CgroupKill = control()
	return f
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// admin looks at the effective set of the calling thread.
func admin() Answer {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return Unknown
	}
	return answer(data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0)
}

// bad is an argument no call accepts: as a descriptor, a pid, flags, or the
// start of a range that ends at 0.
const bad = ^uintptr(0)

// call makes a system call that cannot succeed. Every error but two comes
// from the call itself: ENOSYS is a kernel without it, EPERM may be a filter.
func call(nr uintptr, args ...uintptr) Answer {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return judge(errno)
}

func judge(errno unix.Errno) Answer {
	switch errno {
	case unix.ENOSYS:
		return No
	case unix.EPERM:
		return Unknown
	}
	return Yes
}

// all is Yes when every part is, No when one is missing.
func all(parts ...Answer) Answer {
	result := Yes
	for _, p := range parts {
		if p == No {
			return No
		}
		if p == Unknown {
			result = Unknown
		}
	}
	return result
}

func seccompAction(action uint32) Answer {
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	runtime.KeepAlive(&action)
	switch errno {
	case 0:
		return Yes
	case unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL: // EINVAL: before Linux 4.14
		return No
	}
	return Unknown
}

// namespace wants the kind built in and allowed (namespaces(7)).
func namespace(kind string) Answer {
	if _, err := os.Stat("/proc/self/ns"); err != nil {
		return Unknown
	}
	if _, err := os.Readlink(filepath.Join("/proc/self/ns", kind)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return No
		}
		return Unknown
	}
	limit, err := os.ReadFile("/proc/sys/user/max_" + kind + "_namespaces")
	if err != nil {
		return Unknown
	}
	return answer(strings.TrimSpace(string(limit)) != "0")
}

func control() (h cgroup.Hierarchy, mounted, kill Answer) {
	h, err := cgroup.Find()
	switch {
	case errors.Is(err, cgroup.ErrNone):
		return h, No, No
	case err != nil:
		return h, Unknown, Unknown
	}
	// The root has no cgroup.kill. Any group below shows whether groups do;
	// without one only making one would tell, and a probe changes nothing.
	groups, err := filepath.Glob(filepath.Join(h.Path, "*", "cgroup.procs"))
	if err != nil || len(groups) == 0 {
		return h, Yes, Unknown
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(groups[0]), "cgroup.kill"))
	return h, Yes, answer(err == nil)
}

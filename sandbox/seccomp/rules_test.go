package seccomp

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestConditionalRules pins which arguments the groups let through.
func TestConditionalRules(t *testing.T) {
	const creat, tmpfile = unix.O_CREAT, unix.O_TMPFILE
	cases := []struct {
		group string
		call  string
		args  [6]uint64
		want  bool
	}{
		{"@file-read", "openat", [6]uint64{2: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_PATH}, true},
		{"@file-read", "openat", [6]uint64{2: unix.O_WRONLY}, true}, // the mounts and Landlock say what may be written
		{"@file-read", "openat", [6]uint64{2: unix.O_RDWR}, true},
		{"@file-read", "openat", [6]uint64{2: creat}, false},
		{"@file-read", "openat", [6]uint64{2: unix.O_TRUNC}, false},
		{"@file-read", "openat", [6]uint64{2: tmpfile}, false},
		{"@file-read", "openat", [6]uint64{2: unix.O_WRONLY | unix.O_TRUNC | 1<<32}, false},
		{"@file-read", "open", [6]uint64{1: unix.O_RDONLY}, true},
		{"@file-read", "open", [6]uint64{1: unix.O_TRUNC}, false},
		{"@file-read", "open", [6]uint64{1: tmpfile}, false},
		{"@file-read", "openat2", [6]uint64{}, false},
		{"@loader", "openat", [6]uint64{2: tmpfile}, false},
		{"@file-write", "openat", [6]uint64{2: unix.O_WRONLY | creat, 3: 0o666}, true},
		{"@file-write", "openat", [6]uint64{2: unix.O_RDWR | tmpfile, 3: 0o600}, true},
		{"@file-write", "openat", [6]uint64{2: unix.O_WRONLY | creat, 3: 0o4755}, false},
		{"@file-write", "openat", [6]uint64{2: unix.O_RDWR | tmpfile, 3: 0o2755}, false},
		{"@file-write", "openat", [6]uint64{2: unix.O_WRONLY, 3: 0o6777}, true}, // no file is made: the register holds anything
		{"@file-write", "open", [6]uint64{1: unix.O_WRONLY | creat, 2: 0o4755}, false},
		{"@file-write", "creat", [6]uint64{1: 0o2755}, false},
		{"@file-write", "chmod", [6]uint64{1: 0o1777}, true},
		{"@file-write", "chmod", [6]uint64{1: 0o4755}, false},
		{"@file-write", "fchmodat", [6]uint64{2: 0o2755 | 1<<40}, false},
		{"@file-write", "fchmodat2", [6]uint64{2: 0o4755}, false},
		{"@file-write", "fchmodat2", [6]uint64{2: 0o755}, true},
		{"@file-write", "mknod", [6]uint64{1: unix.S_IFIFO | 0o600}, true},
		{"@file-write", "mknod", [6]uint64{1: unix.S_IFCHR | 0o600}, false},
		{"@file-write", "mknodat", [6]uint64{2: unix.S_IFBLK | 0o600}, false},
		{"@file-write", "mknodat", [6]uint64{2: unix.S_IFREG | 0o4755}, false},
		{"@file-write", "renameat2", [6]uint64{4: unix.RENAME_NOREPLACE}, true},
		{"@file-write", "renameat2", [6]uint64{4: unix.RENAME_EXCHANGE}, false},
		{"@file-write", "renameat2", [6]uint64{4: unix.RENAME_WHITEOUT}, false},
		{"@pty", "openat", [6]uint64{2: unix.O_RDWR | unix.O_NOCTTY}, true},
		{"@pty", "openat", [6]uint64{2: unix.O_RDWR | creat}, false},
		{"@pty", "openat", [6]uint64{2: unix.O_RDWR | tmpfile}, false},
		{"@pty", "open", [6]uint64{1: unix.O_RDWR | tmpfile}, false},
		{"@memory", "mmap", [6]uint64{2: unix.PROT_READ | unix.PROT_WRITE}, true},
		{"@memory", "mmap", [6]uint64{2: unix.PROT_READ | unix.PROT_EXEC}, false},
		{"@loader", "mmap", [6]uint64{2: unix.PROT_READ | unix.PROT_EXEC}, true},
		{"@loader", "mprotect", [6]uint64{2: unix.PROT_READ | unix.PROT_EXEC}, false},
		{"@process", "clone", [6]uint64{0: uint64(unix.SIGCHLD)}, true},
		{"@process", "clone", [6]uint64{0: unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, false},
		{"@process", "clone", [6]uint64{0: unix.CLONE_PARENT | uint64(unix.SIGCHLD)}, false},
		{"@threads", "clone", [6]uint64{0: uint64(unix.SIGCHLD)}, false},
		{"@process-basic", "prlimit64", [6]uint64{0: 0}, true},
		{"@process-basic", "prlimit64", [6]uint64{0: 1}, false},
		{"@process-basic", "prctl", [6]uint64{0: unix.PR_SET_DUMPABLE, 1: 0}, true},
		{"@process-basic", "prctl", [6]uint64{0: unix.PR_SET_DUMPABLE, 1: 1}, false},
		{"@process-basic", "prctl", [6]uint64{0: unix.PR_SET_SECCOMP, 1: 2}, false},
		{"@process-basic", "prctl", [6]uint64{0: unix.PR_SET_PDEATHSIG, 1: uint64(unix.SIGKILL)}, true},
		{"@process-basic", "prctl", [6]uint64{0: unix.PR_SET_PDEATHSIG | 1<<32, 1: 1 << 32}, false},
		{"@process-basic", "prctl", [6]uint64{0: unix.PR_SET_PDEATHSIG, 1: uint64(unix.SIGTERM)}, false},
		{"@process-basic", "personality", [6]uint64{0: 0xffffffff}, true},
		{"@process-basic", "personality", [6]uint64{0: 0x40000}, false}, // ADDR_NO_RANDOMIZE
		{"@sysv-ipc", "shmat", [6]uint64{2: unix.SHM_RDONLY}, true},
		{"@sysv-ipc", "shmat", [6]uint64{2: 0o100000}, false}, // SHM_EXEC
		{"@ipc", "socketpair", [6]uint64{0: unix.AF_UNIX}, true},
		{"@ipc", "socketpair", [6]uint64{0: unix.AF_TIPC}, false},
		{"@stdio", "fcntl", [6]uint64{1: unix.F_DUPFD_CLOEXEC}, true},
		{"@stdio", "fcntl", [6]uint64{1: unix.F_SETOWN}, false},
		{"@stdio", "fcntl", [6]uint64{1: unix.F_SETSIG}, false},
		{"@stdio", "ioctl", [6]uint64{1: unix.TCGETS}, true},
		{"@stdio", "ioctl", [6]uint64{1: unix.TCSETS}, false},
		{"@socket-client", "socket", [6]uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, unix.IPPROTO_TCP}, true},
		{"@socket-client", "socket", [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, false},
		{"@socket-client", "socket", [6]uint64{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6}, false},
		{"@socket-client", "socket", [6]uint64{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, false},
		{"@socket-client", "socket", [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, 0}, false},
		{"@socket-client", "socket", [6]uint64{unix.AF_ALG, unix.SOCK_SEQPACKET, 0}, false},
		{"@socket-io", "sendto", [6]uint64{0, 1 << 40, 5, unix.MSG_NOSIGNAL, 0, 0}, true},
		{"@socket-io", "setsockopt", [6]uint64{0, unix.SOL_TCP, unix.TCP_NODELAY}, true},
	}
	for _, c := range cases {
		nr, ok := Number(c.call)
		if slices.Contains(elsewhere, c.call) {
			continue
		}
		if !ok {
			t.Fatalf("unknown call %s", c.call)
		}
		vm := compile(t, Filter{Rules: GroupRules(c.group), OnViolation: Errno})
		if got := run(t, vm, data{nr: uint32(nr), arch: archHere, args: c.args}) == retAllow; got != c.want {
			t.Errorf("%s: %s%#x allowed: %v, want %v", c.group, c.call, c.args, got, c.want)
		}
	}
}

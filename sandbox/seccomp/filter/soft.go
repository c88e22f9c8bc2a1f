package filter

import (
	"slices"

	"golang.org/x/sys/unix"
)

// softCalls are the calls that answer ENOSYS rather than a violation when they
// are not allowed, or not with these arguments; clone3 answers it always: a C library, a language runtime or a common tool tries them
// first and does without them when the kernel is too old, but takes EPERM for a real
// answer (or dies, with "kill"). Nothing that only an attacker would try is
// here, so that such a try stays a violation.
var softCalls = []int{
	// Threads and processes: glibc, musl and Go try these before clone, kill and wait4.
	unix.SYS_CLONE3,                                                       // never allowed: its flags are behind a pointer
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_GETFD, // Go's os package, glibc posix_spawn
	unix.SYS_RSEQ,                                                  // glibc 2.35 registers it at start
	unix.SYS_MEMBARRIER,                                            // runtimes that ask what there is
	unix.SYS_FUTEX_WAITV, unix.SYS_FUTEX_WAKE, unix.SYS_FUTEX_WAIT, // the second futex interface
	unix.SYS_FUTEX_REQUEUE,                                     //
	unix.SYS_CLOSE_RANGE,                                       // glibc closefrom, posix_spawn
	unix.SYS_SET_MEMPOLICY_HOME_NODE, unix.SYS_PROCESS_MADVISE, // allocators
	unix.SYS_PROCESS_MRELEASE, unix.SYS_MLOCK2, unix.SYS_MEMFD_SECRET, //
	unix.SYS_PKEY_ALLOC, unix.SYS_PKEY_FREE, unix.SYS_PKEY_MPROTECT, unix.SYS_MSEAL, // ld.so and hardened allocators; a caller copes without
	unix.SYS_MAP_SHADOW_STACK, // glibc 2.39 with shadow stacks
	// Files: each has an older form that the profiles name.
	unix.SYS_STATX, unix.SYS_OPENAT2, unix.SYS_FACCESSAT2, unix.SYS_FCHMODAT2, unix.SYS_RENAMEAT2,
	unix.SYS_COPY_FILE_RANGE, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_EPOLL_PWAIT2, unix.SYS_CACHESTAT,
	unix.SYS_SETXATTRAT, unix.SYS_GETXATTRAT, unix.SYS_LISTXATTRAT, unix.SYS_REMOVEXATTRAT,
	unix.SYS_FILE_GETATTR, unix.SYS_FILE_SETATTR, unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT,
	// Interfaces that a program asks for and does without.
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF, // xz, and services that confine themselves
	unix.SYS_LSM_GET_SELF_ATTR, unix.SYS_LSM_LIST_MODULES, // libselinux, libapparmor
}

// answers are calls of which some arguments have an answer of their own, in kill
// profiles too, where no rule of the filter allows any such call: common programs try
// them, can do without, and die of another answer. The stub gives it, so that a
// profile with rules of its own for the call has it as well.
var answers = []struct {
	rule  Rule
	errno unix.Errno
}{
	// glibc asks nscd for every user name, and syslog(3) its daemon: both take any error for
	// an answer. Other families stay violations.
	{unixSocket(unix.SOCK_STREAM), unix.ENOSYS}, {unixSocket(unix.SOCK_DGRAM), unix.ENOSYS},
	// libaudit, and with it PAM, login and sshd, takes this for a kernel without audit, and
	// gives up over EPERM. Nothing is opened; other protocols of netlink stay violations.
	{Rule{unix.SYS_SOCKET, []Arg{{Index: 0, Value: unix.AF_NETLINK}, {Index: 2, Value: unix.NETLINK_AUDIT}}}, unix.EPROTONOSUPPORT},
}

// UnixSocket is a call that makes a unix socket.
var UnixSocket = Rule{unix.SYS_SOCKET, []Arg{{Index: 0, Value: unix.AF_UNIX}}}

func unixSocket(kind uint32) Rule {
	return Rule{unix.SYS_SOCKET, []Arg{{Index: 0, Value: unix.AF_UNIX}, {Index: 1, Mask: 0xf, Value: kind}}} // without SOCK_NONBLOCK and SOCK_CLOEXEC
}

// Soft reports whether a call answers ENOSYS where it is not allowed.
func Soft(call int) bool { return slices.Contains(softCalls, call) }

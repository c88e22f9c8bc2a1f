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
var softCalls = append(slices.Clone(wanted), probes...)

// probes are those that are made in the ordinary life of common programs, by a C library, a runtime
// or a tool that has another way: nobody asks for them, and to name them would cost every session of theirs.
var probes = []int{
	// Threads and processes: glibc, musl and Go try these before clone, kill and wait4.
	unix.SYS_CLONE3,                                 // never allowed: its flags are behind a pointer
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, // Go's os package, glibc posix_spawn
	unix.SYS_RSEQ,                                                                   // glibc 2.35 registers it at start
	unix.SYS_MEMBARRIER,                                                             // runtimes that ask what there is
	unix.SYS_CLOSE_RANGE,                                                            // glibc closefrom, posix_spawn, Python
	unix.SYS_PKEY_ALLOC, unix.SYS_PKEY_FREE, unix.SYS_PKEY_MPROTECT, unix.SYS_MSEAL, // V8, ld.so and hardened allocators
	unix.SYS_MAP_SHADOW_STACK, // glibc 2.39 with shadow stacks
	// Files: each has an older form that the profiles name, and the C library or a common tool takes it.
	unix.SYS_STATX, unix.SYS_OPENAT2, unix.SYS_FACCESSAT2, unix.SYS_FCHMODAT2, unix.SYS_RENAMEAT2,
	unix.SYS_COPY_FILE_RANGE, unix.SYS_EPOLL_PWAIT2,
	unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF, // xz, and services that confine themselves
	unix.SYS_LSM_GET_SELF_ATTR, unix.SYS_LSM_LIST_MODULES, // libselinux, libapparmor
}

// wanted are those that a program makes because it is written to: it may have another way, but no
// library goes it unasked. They are named (Answer).
var wanted = []int{
	unix.SYS_PIDFD_GETFD,
	unix.SYS_FUTEX_WAITV, unix.SYS_FUTEX_WAKE, unix.SYS_FUTEX_WAIT, unix.SYS_FUTEX_REQUEUE, // the second futex interface
	unix.SYS_SET_MEMPOLICY_HOME_NODE, unix.SYS_PROCESS_MADVISE, // allocators
	unix.SYS_PROCESS_MRELEASE, unix.SYS_MLOCK2, unix.SYS_MEMFD_SECRET,
	unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_CACHESTAT,
	unix.SYS_SETXATTRAT, unix.SYS_GETXATTRAT, unix.SYS_LISTXATTRAT, unix.SYS_REMOVEXATTRAT,
	unix.SYS_FILE_GETATTR, unix.SYS_FILE_SETATTR, unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
}

// answers are calls of which some arguments have an answer of their own, in kill
// profiles too, where no rule of the filter allows any such call: common programs try
// them, can do without, and die of another answer. The stub gives it, so that a
// profile with rules of its own for the call has it as well.
var answers = []struct {
	rule   Rule
	answer uint32
	probe  []Rule // what libraries try unasked, among those: it has the answer, and no name
}{
	// glibc asks nscd for every user name, and syslog(3) its daemon: both take any error for
	// an answer. Their sockets are these to the bit; so are Go's stream sockets. Other families stay violations.
	{unixSocket(unix.SOCK_STREAM), retNamed, exactSocket(unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK)},
	{unixSocket(unix.SOCK_DGRAM), retNamed, exactSocket(unix.SOCK_DGRAM | unix.SOCK_CLOEXEC)},
	// libaudit, and with it PAM, login and sshd, takes this for a kernel without audit, and
	// gives up over EPERM. Nothing is opened; other protocols of netlink stay violations.
	{Rule{unix.SYS_SOCKET, []Arg{{Index: 0, Value: unix.AF_NETLINK}, {Index: 2, Value: unix.NETLINK_AUDIT}}}, retErrno | uint32(unix.EPROTONOSUPPORT), nil},
}

// UnixSocket is a call that makes a unix socket.
var UnixSocket = Rule{unix.SYS_SOCKET, []Arg{{Index: 0, Value: unix.AF_UNIX}}}

func unixSocket(kind uint32) Rule {
	return Rule{unix.SYS_SOCKET, []Arg{{Index: 0, Value: unix.AF_UNIX}, {Index: 1, Mask: 0xf, Value: kind}}} // without SOCK_NONBLOCK and SOCK_CLOEXEC
}

func exactSocket(kind uint32) []Rule {
	return []Rule{{unix.SYS_SOCKET, []Arg{{Index: 0, Value: unix.AF_UNIX}, {Index: 1, Value: kind}, {Index: 2, Value: 0}}}}
}

// Soft reports whether a call answers ENOSYS where it is not allowed.
func Soft(call int) bool { return slices.Contains(softCalls, call) }

// Answer is what a call fails with of which a filter's listener was told.
func Answer(call int, args [6]uint64) unix.Errno {
	if Soft(call) {
		return unix.ENOSYS
	}
	exact := Rule{Call: call}
	for i, v := range args {
		exact.Args = append(exact.Args, Arg{Index: uint(i), Value: uint32(v)})
	}
	for _, a := range answers {
		if a.answer == retNamed && Allows([]Rule{a.rule}, exact) {
			return unix.ENOSYS
		}
	}
	return unix.EPERM
}

// answer is that to a soft call that is not allowed.
func answer(call int) uint32 {
	if slices.Contains(wanted, call) {
		return retNamed
	}
	return retErrno | uint32(unix.ENOSYS)
}

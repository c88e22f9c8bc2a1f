package seccomp

// softCalls are the calls that answer ENOSYS rather than a violation when they
// are not allowed, or not with these arguments; clone3 answers it always: a C library, a language runtime or a common tool tries them
// first and does without them when the kernel is too old, but takes EPERM for a real
// answer (or dies, with "kill"). Nothing that only an attacker would try is
// here, so that such a try stays a violation.
var softCalls = []string{
	// Threads and processes: glibc, musl and Go try these before clone, kill and wait4.
	"clone3",                                         // never allowed: its flags are behind a pointer
	"pidfd_open", "pidfd_send_signal", "pidfd_getfd", // Go's os package, glibc posix_spawn
	"rseq",                                    // glibc 2.35 registers it at start
	"membarrier",                              // runtimes that ask what there is
	"futex_waitv", "futex_wake", "futex_wait", // the second futex interface
	"futex_requeue",                              //
	"close_range",                                // glibc closefrom, posix_spawn
	"set_mempolicy_home_node", "process_madvise", // allocators
	"process_mrelease", "mlock2", "memfd_secret", //
	"pkey_alloc", "pkey_free", "pkey_mprotect", "mseal", // ld.so and hardened allocators; a caller copes without
	"map_shadow_stack", // glibc 2.39 with shadow stacks
	// Files: each has an older form that the profiles name.
	"statx", "openat2", "faccessat2", "fchmodat2", "renameat2",
	"copy_file_range", "preadv2", "pwritev2", "epoll_pwait2", "cachestat",
	"setxattrat", "getxattrat", "listxattrat", "removexattrat",
	"file_getattr", "file_setattr", "statmount", "listmount",
	// Interfaces that a program asks for and does without.
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", // xz, and services that confine themselves
	"lsm_get_self_attr", "lsm_list_modules", // libselinux, libapparmor
}

// answers are calls of which some arguments have an answer of their own, in kill
// profiles too, where no rule of the filter allows any such call: common programs try
// them, can do without, and die of another answer. The stub gives it, so that a
// profile with rules of its own for the call has it as well.
var answers = []struct {
	rule  Rule
	errno uint32
}{
	// glibc asks nscd for every user name, and syslog(3) its daemon: both take any error for
	// an answer. Other families stay violations.
	{UnixSocket, errnoENOSYS},
	// libaudit, and with it PAM, login and sshd, takes this for a kernel without audit, and
	// gives up over EPERM. Nothing is opened; other protocols of netlink stay violations.
	{Rule{Name: "socket", Args: []Arg{{Index: 0, Value: afNetlink}, {Index: 2, Value: netlinkAudit}}}, errnoEPROTONOSUPPORT},
}

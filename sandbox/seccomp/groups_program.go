package seccomp

// PROT_WRITE and PROT_EXEC of mmap(2). The filter allows pages that are written
// or executed, never both, and no way from one to the other.
const (
	protWrite = 0x2
	protExec  = 0x4
)

// Commands and options used by the groups below (linux/prctl.h, asm/prctl.h, asm-generic/mman-common.h).
const (
	prSetPdeathsig  = 1
	prGetPdeathsig  = 2
	prGetDumpable   = 3
	prSetDumpable   = 4
	prGetKeepcaps   = 7
	prSetName       = 15
	prGetName       = 16
	prCapbsetRead   = 23
	prGetSecurebits = 27
	prGetTHPDisable = 42
	prSetNoNewPrivs = 38
	prGetNoNewPrivs = 39
	prSetVMA        = 0x53564d41

	sigKill = 9

	madvNormal, madvRandom, madvSequential, madvWillneed, madvDontneed  = 0, 1, 2, 3, 4
	madvFree, madvHugepage, madvNohugepage, madvDontdump, madvDodump    = 8, 14, 15, 16, 17
	madvWipeonfork, madvKeeponfork, madvCold, madvPageout, madvCollapse = 18, 19, 20, 21, 25
	madvPopulateRead, madvPopulateWrite                                 = 22, 23
	madvGuardInstall, madvGuardRemove                                   = 102, 103

	archSetFS        = 0x1002
	archGetFS        = 0x1003
	archCETStatus    = 0x3001
	archShstkEnable  = 0x5001
	archShstkLock    = 0x5003
	archShstkStatus  = 0x5005
	personalityQuery = 0xffffffff
	readImpliesExec  = 0x0400000
	shmExec          = 0o100000
)

// The flags with which C libraries and Go call clone(2): each exact value, so
// that no other flag, and no namespace, can be asked for (cloneThreadGo is of each architecture).
const (
	cloneThreadGlibc = 0x3d0f00  // VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID
	cloneThreadMusl  = 0x7d0f00  // the same and DETACHED, which the kernel ignores
	cloneFork        = 0x000011  // SIGCHLD
	cloneForkGlibc   = 0x1200011 // CHILD_SETTID|CHILD_CLEARTID|SIGCHLD
	cloneForkMusl    = 0x1000011 // CHILD_SETTID|SIGCHLD
	cloneSpawn       = 0x004111  // VM|VFORK|SIGCHLD: posix_spawn, vfork, Go's os/exec
	cloneSpawnPidfd  = 0x005111  // the same and PIDFD: Go's os/exec where there are pidfds
	cloneNewUser     = 0x10000000
)

var programGroups = map[string]group{
	"@process-basic": {
		doc:      "what a process asks about itself, and exit; dropping what it does not have",
		includes: []string{"@identity"}, // to what it is already: the kernel allows no more without a capability
		calls: []string{
			"exit", "exit_group", "restart_syscall",
			"getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid",
			"getresuid", "getresgid", "getgroups", "getpgrp", "getpgid", "getsid",
			"getrlimit", "getrusage", "times", "uname", "sysinfo", "umask", "getcpu",
			"getrandom", // answers even before /dev exists; programs that cannot have it die
		},
		rules: [][]Rule{
			is("prlimit64", 0, 0), // pid 0: its own limits only, which it can but lower
			// What names, asks, or gives something up. No option that opens a process to others (PTRACER, MM), outlives
			// an exec or its parent (KEEPCAPS, CHILD_SUBREAPER), or changes how the kernel guards it (SPECULATION_CTRL, TSC).
			is("prctl", 0, prSetName, prGetName, prGetPdeathsig, prGetDumpable, prGetKeepcaps, prCapbsetRead, prGetSecurebits,
				prSetNoNewPrivs, prGetNoNewPrivs, prGetTHPDisable),
			all("prctl", Arg{Index: 0, Value: prSetPdeathsig}, Arg{Index: 1, Value: sigKill}), // as the launch set it: 0 would outlive the broker
			all("prctl", Arg{Index: 0, Value: prSetDumpable}, Arg{Index: 1, Value: 0}),        // off, never on again
			is("personality", 0, personalityQuery),                                            // asks; sets nothing
		},
	},
	"@memory": {
		doc: "memory that is not executable",
		calls: []string{
			"brk", "munmap", "mremap",
			"mlock", "munlock", // bounded by RLIMIT_MEMLOCK
			"membarrier",
		},
		rules: [][]Rule{
			without("mmap", 2, protExec),
			without("mprotect", 2, protExec),
			// What allocators, runtimes and stacks of threads say about memory. Not what shares pages by their content
			// with others (MERGEABLE), punches holes into files (REMOVE), hides memory from a child, or breaks it (HWPOISON).
			packed("madvise", nil, 2, madvNormal, madvRandom, madvSequential, madvWillneed, madvDontneed, madvFree, madvHugepage, madvNohugepage,
				madvDontdump, madvDodump, madvWipeonfork, madvKeeponfork, madvCold, madvPageout, madvPopulateRead, madvPopulateWrite,
				madvCollapse, madvGuardInstall, madvGuardRemove),
			// PR_SET_VMA_ANON_NAME names an anonymous mapping: Go, glibc 2.41, bionic
			all("prctl", Arg{Index: 0, Value: prSetVMA}, Arg{Index: 1, Value: 0}),
		},
	},
	"@loader": {
		doc:      "how a C program starts, static or with ld.so",
		includes: []string{"@memory"},
		calls: []string{
			"set_tid_address", "set_robust_list", "rseq",
			"read", "pread64", "close", "fstat", "newfstatat", "stat",
			"access", "faccessat", "readlink", "readlinkat", // ld.so.preload, /proc/self/exe
		},
		rules: [][]Rule{
			without("mmap", 2, protWrite), // executable segments: from files, as never writable pages
			is("arch_prctl", 0, archSetFS, archGetFS, archCETStatus, archShstkEnable, archShstkLock, archShstkStatus),
			openThere,
		},
	},
	"@signal": {
		doc: "handlers and masks; signals to its own threads",
		calls: []string{
			"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigpending",
			"rt_sigtimedwait", "sigaltstack", "pause",
			"tgkill", // abort(3), pthread_kill(3), Go's preemption; pids cannot be compared here, the pid namespace bounds it
		},
	},
	"@time": {
		doc: "clocks (reading), sleeping, and the one alarm of a process",
		calls: []string{
			"time", "gettimeofday", "clock_gettime", "clock_getres", "nanosleep", "clock_nanosleep",
			"alarm", "getitimer", "setitimer",
		},
	},
	"@timers": {
		doc: "timers as many as it likes: POSIX timers (timeout(1)) and timerfd",
		calls: []string{
			"timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete",
			"timerfd_create", "timerfd_settime", "timerfd_gettime",
		},
	},
	"@signalfd": {
		doc:   "signals as something to read",
		calls: []string{"signalfd", "signalfd4"},
	},
	"@threads": {
		doc: "threads of glibc, musl and Go; no new process",
		calls: []string{
			"futex", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue",
			"set_robust_list", "get_robust_list", "set_tid_address", "rseq",
			"sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
			"sched_get_priority_max", "sched_get_priority_min", "getpriority",
		},
		rules: [][]Rule{
			is("clone", 0, cloneThreadGlibc, cloneThreadMusl, cloneThreadGo),
		},
	},
	"@event": {
		doc: "epoll and eventfd",
		calls: []string{
			"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
			"epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2",
		},
	},
	"@go": {
		doc:      "what a static Go program needs beside its files",
		includes: []string{"@process-basic", "@memory", "@signal", "@time", "@threads", "@event", "@stdio"},
		calls:    []string{"readlinkat"}, // os.Executable, at start
		rules: [][]Rule{
			is("arch_prctl", 0, archSetFS),
			openThere, // /sys/kernel/mm/transparent_hugepage/hpage_pmd_size, at start
		},
	},
	"@landlock": {
		doc:   "a process that confines itself further; it can only lose by it",
		calls: []string{"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"},
	},
	"@process": {
		doc: "new processes and programs, and waiting for them",
		calls: []string{
			"fork", "vfork", "execve", "wait4", "waitid", "kill",
			"setpgid", "setsid", "setrlimit", "setpriority", "capget",
			"pidfd_open", "pidfd_send_signal", // what kill and waitid allow, without the race
			"close_range",
		},
		rules: [][]Rule{
			is("clone", 0, cloneFork, cloneForkGlibc, cloneForkMusl, cloneSpawn, cloneSpawnPidfd),
		},
	},
	"@jit": {
		doc:   "memory made executable: for runtimes that write machine code. Ends the protection against injected code",
		calls: []string{"mmap", "mprotect"},
	},
	"@identity": {
		doc: "changes of user and group: with no capability only among the ids it has",
		calls: []string{
			"setuid", "setgid", "setgroups", "setreuid", "setregid", "setresuid", "setresgid",
			"setfsuid", "setfsgid", // also how C libraries ask which one is set
		},
	},
	"@ipc": {
		doc:   "between its own processes: socket pairs",
		rules: [][]Rule{is("socketpair", 0, afUnix)},
	},
	"@sysv-ipc": {
		doc: "shared memory, semaphores and queues of System V. They belong to no process, so only the service's memory (cgroup) bounds them",
		calls: []string{
			"shmget", "shmdt", "shmctl", "semget", "semop", "semctl", "semtimedop",
			"msgget", "msgsnd", "msgrcv", "msgctl",
		},
		rules: [][]Rule{without("shmat", 2, shmExec)},
	},
	"@mqueue": {
		doc:   "POSIX message queues",
		calls: []string{"mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr"},
	},
}

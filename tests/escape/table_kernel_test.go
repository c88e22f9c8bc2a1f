package escape

// processAttempts are about other processes, identity and memory.
var processAttempts = []attempt{
	{19, "ptrace {sleeper}", nobodyIs, asRoot, ""},
	{19, "traceme", shut, asNobody, ""},
	{20, "vm-read {sleeper} 0", nobodyIs, asRoot, ""},
	{20, "vm-write {sleeper}", nobodyIs, asRoot, ""},
	{20, "pidfd-steal {sleeper}", nobodyIs, asRoot, ""},
	{20, "kcmp {sleeper}", nobodyIs, asRoot, ""},
	{21, "kill {sleeper}", nobodyIs, asNobody, ""},
	{21, "tgkill {sleeper}", nobodyIs, asNobody, ""},
	{21, "sigqueue {sleeper}", nobodyIs, asNobody, ""},
	{21, "pidfd-signal {sleeper}", nobodyIs, asNobody, ""},
	{21, "setown {sleeper}", nobodyIs + "|EACCES", asNobody, ""},
	{21, "kill-all", "ESRCH|EPERM|ENOSYS|killed", uncontrolled, ""},
	{22, "list-pids", "ESRCH|ENOENT|EACCES", asNobody, ""},
	{22, "open-read /proc/{sleeper}/environ", unreal, asRoot, ""},
	{22, "open-read /proc/{sleeper}/maps", unreal, asRoot, ""},
	{22, "open-write /proc/{sleeper}/fd/2", unreal, asRoot, ""}, // what it says would be another's
	{22, "open-read /proc/kallsyms", unreal, asNobody, ""},
	{22, "open-read /proc/net/tcp", unreal, asNobody, ""},
	{22, "open-read /proc/version", unreal, asNobody, ""},
	{22, "open-read /proc/sysvipc/shm", unreal, asNobody, ""},
	{22, "open-read /proc/keys", unreal, asNobody, ""},
	{22, "open-read /proc/kmsg", unreal, asRoot, "open-write /dev/kmsg"},
	{22, "open-read /proc/cmdline", unreal, asNobody, ""},
	{23, "self-mem", "EROFS|ENOENT|EACCES|EPERM", asNobody, ""},
	{23, "open-write /proc/self/oom_score_adj", readonly + "|ENOENT", asNobody, ""},
	{23, "open-write /proc/self/uid_map", readonly + "|ENOENT", asNobody, ""},
	{23, "open-write /proc/self/timerslack_ns", readonly + "|ENOENT", asNobody, ""},
	{26, "forks 500", "EAGAIN", asNobody, "forks 60"},
	{26, "threads 500", "EAGAIN", asNobody, "threads 60"},
	{26, "raw-threads 500", shut, asNobody, "raw-threads 60"},
	{26, "vforks 20", shut, asNobody, ""},
	{26, "shm-hoard", shut, asNobody, ""},
	{26, "sem-hoard", shut, asNobody, ""},
	{26, "msg-hoard", shut, asNobody, ""},
	{26, "mqueue", shut, asNobody, ""},
	{26, "watches", shut, asNobody, ""},
	{27, "eat 512", "ENOMEM", asNobody, ""},
	{36, "map-wx", shut, asNobody, ""},
	{36, "map-x-shared", shut, asNobody, ""},
	{36, "protect-x", shut, asNobody, ""},
	{36, "protect-x-high", shut + "|EINVAL", uncontrolled, ""}, // a long to the kernel, which refuses the high bits itself
	{36, "memfd-x", shut, asNobody, ""},
	{36, "shm-x", shut, asNobody, ""},
	{37, "implied-x", shut, asNobody, ""},
	{37, "no-random", shut, asNobody, ""},
	{37, "linux32", shut, asNobody, ""},
	{38, "setuid", shut, asRoot, ""},
	{38, "setgid", shut, asRoot, ""},
	{38, "setresuid", shut, asRoot, ""},
	{38, "setresgid", shut, asRoot, ""},
	{38, "setreuid", shut, asRoot, ""},
	{38, "setfsuid", shut, asRoot, ""},
	{38, "neighbour", shut, asRoot, ""},
	{38, "setgroups", shut, asRoot, ""},
	{39, "capset", shut, asRoot, ""},
	{39, "ambient", shut, uncontrolled, ""}, // needs an inheritable capability first
	{39, "securebits", shut, asRoot, ""},
	{39, "keepcaps", shut, asRoot, ""},
	{31, "untie 0", shut, asNobody, ""},
	{31, "untie 15", shut, asNobody, ""},                          // a signal that it may ignore
	{31, "untie 0x100000000", shut + "|EINVAL", uncontrolled, ""}, // a long to the kernel, which knows no such signal
	{39, "subreaper", shut, asNobody, ""},
	{39, "ptracer", shut + "|EINVAL", uncontrolled, ""}, // not in every kernel
	{39, "dumpable", shut, asNobody, ""},
	{65, "fifo", shut, asRoot, ""},
	{65, "deadline", shut, asRoot, ""},
	{65, "ioprio", shut, asRoot, ""},
	{65, "affinity", shut, asNobody, ""},
	{65, "mlockall", shut, asRoot, ""},
	{65, "nice-other {sleeper}", nobodyIs + "|EACCES", asNobody, ""},
	{65, "nice", shut, asRoot, ""},
	{65, "rlimit-raise", shut, uncontrolled, ""}, // needs CAP_SYS_RESOURCE, which a test host may lack
	{65, "rlimit-other {sleeper}", nobodyIs + "|EACCES", asNobody, ""},
	{67, "forked", shut, asRoot, ""},
	{67, "threaded", shut, asRoot, ""},
}

// kernelAttempts are about the kernel's own interfaces; those of one architecture are in kernelHere. Those that would stop
// or change a host where they work have no control.
var kernelAttempts = []attempt{
	{42, "add-key", shut, asNobody, ""},
	{42, "request-key", shut, asNobody, ""},
	{42, "keyctl", shut, asNobody, ""},
	{43, "tiocsti", shut, asNobody, ""},
	{43, "tiocsti-high", shut, asNobody, ""},
	{43, "tioclinux", shut, asNobody, ""},
	{43, "tiocsetd", shut, asNobody, ""},
	{44, "uring-setup", shut, asNobody, ""},
	{44, "uring-enter", shut, asNobody, ""},
	{44, "uring-register", shut, asNobody, ""},
	{45, "bpf", shut, asRoot, ""},
	{45, "perf", shut, asRoot, ""},
	{45, "userfaultfd", shut, asRoot, ""},
	{45, "fanotify", shut, asRoot, ""},
	{45, "name-to-handle", shut, asNobody, ""},
	{45, "open-by-handle", shut, asRoot, ""},
	{45, "syslog", shut, asRoot, ""},
	{45, "lsm-attr", shut, asNobody, ""},
	{45, "quotactl", shut, asNobody, ""},
	{45, "kexec-load", shut, uncontrolled, ""},
	{45, "kexec-file", shut, uncontrolled, ""},
	{45, "init-module", shut, uncontrolled, ""},
	{45, "finit-module", shut, uncontrolled, ""},
	{45, "delete-module", shut, uncontrolled, ""},
	{45, "acct", shut, uncontrolled, ""},
	{45, "swapon", shut, uncontrolled, ""},
	{45, "reboot", shut, uncontrolled, ""},
	{64, "settimeofday", shut, uncontrolled, ""},
	{64, "clock-settime", shut, uncontrolled, ""},
	{64, "adjtimex", shut, uncontrolled, ""},
	{64, "clock-adjtime", shut, uncontrolled, ""},
	{64, "sethostname escaped", shut, asRoot, ""},
	{64, "setdomainname escaped", shut, asRoot, ""},
}

// networkAttempts are about sockets: new ones, and the client's own.
var networkAttempts = []attempt{
	{51, "vsock", noSocket, asNobody, ""},
	{52, "alg", noSocket, uncontrolled, ""}, // not in every kernel
	{53, "netlink", noSocket, asNobody, ""},
	{54, "tcp 127.0.0.1 {tcp}", unreachable, asNobody, ""},
	{54, "tcp6 ::1 {tcp}", unreachable, asNobody, ""},
	{54, "tcp 169.254.169.254 80", unreachable, uncontrolled, ""}, // not ours to ask
	{54, "udp 127.0.0.1 {udp}", unreachable, asNobody, ""},
	{55, "reaim 127.0.0.1 {tcp}", shut, asNobody, ""},
	{55, "disconnect", shut, asNobody, ""},
	{56, "relisten", shut, asNobody, ""},
	{56, "rebind 127.0.0.1", shut, asNobody, ""},
	{56, "accept", shut, asNobody, ""},
	{57, "ifconf", shut, asNobody, ""},
	{57, "ifaddr", shut, asNobody, ""},
	{57, "ifaddr-high", shut, asNobody, ""},
	{57, "ifflags", shut, asNobody, ""},
	{57, "ifethtool", shut, asNobody, ""},
	{58, "options", shut + "|ENOPROTOOPT", asRoot, ""},
	{58, "peer-pidfd", shut, uncontrolled, ""},        // of a unix socket's peer
	{58, "option 0x100000001 15", shut, asNobody, ""}, // SO_REUSEPORT behind high bits
	{59, "mptcp 127.0.0.1 {tcp}", unreachable, asNobody, ""},
	{59, "fastopen 127.0.0.1 {tcp}", unreachable, asNobody, ""},
	{59, "fastopen 127.0.0.1 {tcp} sendmsg", unreachable, asNobody, ""},
	{59, "fastopen 127.0.0.1 {tcp} sendmmsg", unreachable, asNobody, ""},
	{59, "udp-self 127.0.0.1 {udp}", shut + "|EISCONN|EPIPE|ok", uncontrolled, ""}, // a stream ignores the address; the canary is the witness
	{60, "listen 127.0.0.1 {port}", unreachable + "|EADDRINUSE|EADDRNOTAVAIL", asNobody, ""},
	{61, "unix-abstract {abstract}", noSocket + "|ECONNREFUSED", asNobody, ""},
	{62, "unix-path {dir}/read/sock", noSocket + "|ENOENT", asNobody, ""},
	{62, "unix-path {control}", noSocket + "|ENOENT", asRoot, ""},
}

// What may answer for a socket of a family, and for a connection, that a
// no-network profile does not grant.
const (
	noSocket    = "EPERM|EACCES|EAFNOSUPPORT|ENOSYS"
	unreachable = noSocket + "|ENETUNREACH"
)

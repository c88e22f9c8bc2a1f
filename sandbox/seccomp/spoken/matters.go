package spoken

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// matters are the arguments that tell calls apart, by the call's name: those by which filters
// decide, and those that name what is asked for. A descriptor or a buffer is none of them.
var matters = map[string][]argument{
	"socket":     {{0, of(families)}, {1, socketType}, {2, protocol}},
	"socketpair": {{0, of(families)}, {1, socketType}, {2, protocol}},
	"setsockopt": {{1, of(levels)}, {2, option}},
	"getsockopt": {{1, of(levels)}, {2, option}},
	"connect":    {unknown("address")},
	"bind":       {unknown("address")},
	"sendto":     {{3, bits(sendFlags, "0")}, {4, address}},
	"sendmsg":    {{2, bits(sendFlags, "0")}, unknown("address")},
	"sendmmsg":   {{3, bits(sendFlags, "0")}, unknown("address")},
	"ioctl":      {{1, of(requests)}},
	"prctl":      {{0, of(prctls)}, {1, hex}},
	"arch_prctl": {{0, of(archPrctls)}},
	"fcntl":      {{1, of(fcntls)}},

	"clone":   {{0, cloneFlags}},
	"unshare": {{0, bits(namespaces, "0")}},
	"setns":   {{1, bits(namespaces, "any")}},
	"mount":   {{3, bits(mountFlags, "0")}},
	"umount2": {{1, hex}},

	"setuid": {{0, id}}, "setgid": {{0, id}}, "setfsuid": {{0, id}}, "setfsgid": {{0, id}},
	"setreuid": {{0, id}, {1, id}}, "setregid": {{0, id}, {1, id}},
	"setresuid": {{0, id}, {1, id}, {2, id}}, "setresgid": {{0, id}, {1, id}, {2, id}},
	"setgroups": {{0, func(_ *Call, v uint64) string { return fmt.Sprintf("%d groups", int32(v)) }}},
	"chown":     {{1, id}, {2, id}}, "lchown": {{1, id}, {2, id}}, "fchown": {{1, id}, {2, id}}, "fchownat": {{2, id}, {3, id}},
	"chmod": {{1, octal}}, "fchmod": {{1, octal}}, "fchmodat": {{2, octal}}, "fchmodat2": {{2, octal}},
	"mkdir": {{1, octal}}, "mkdirat": {{2, octal}}, "mknod": {{1, octal}}, "mknodat": {{2, octal}},
	"open": {{1, bits(openFlags, "O_RDONLY")}}, "openat": {{2, bits(openFlags, "O_RDONLY")}},

	"kill": {{1, signal}}, "tkill": {{1, signal}}, "tgkill": {{2, signal}},
	"rt_sigqueueinfo": {{1, signal}}, "rt_tgsigqueueinfo": {{2, signal}},
	"mmap":     {{2, bits(protections, "PROT_NONE")}, {3, bits(mapFlags, "0")}},
	"mprotect": {{2, bits(protections, "PROT_NONE")}}, "pkey_mprotect": {{2, bits(protections, "PROT_NONE")}},
	"mremap": {{3, hex}}, "madvise": {{2, id}}, "shmget": {{1, length}},
	"ptrace":      {{0, of(ptraces)}},
	"personality": {{0, hex}},
	"prlimit64":   {{1, of(limits)}}, "setrlimit": {{0, of(limits)}}, "getrlimit": {{0, of(limits)}},
	"bpf": {{0, id}}, "keyctl": {{0, id}}, "futex": {{1, id}}, "memfd_create": {{1, hex}}, "epoll_create1": {{0, hex}},
	"sched_setscheduler": {{1, of(schedulers)}},
	"setpriority":        {{0, id}, {2, id}},
	"syslog":             {{0, id}},
}

func socketType(_ *Call, v uint64) string {
	return of(socketTypes)(nil, v&0xf) + or(bits([]bit{{unix.SOCK_NONBLOCK, "SOCK_NONBLOCK"}, {unix.SOCK_CLOEXEC, "SOCK_CLOEXEC"}}, " ")(nil, v&^0xf))
}

// or appends flags, " " being none.
func or(flags string) string {
	if flags == " " {
		return ""
	}
	return "|" + flags
}

func protocol(c *Call, v uint64) string {
	switch uint32(c.Args[0]) {
	case unix.AF_INET, unix.AF_INET6:
		return of(protocols)(nil, v)
	case unix.AF_NETLINK:
		return of(netlinks)(nil, v)
	}
	return id(nil, v)
}

func option(c *Call, v uint64) string {
	switch uint32(c.Args[1]) {
	case unix.SOL_SOCKET:
		return of(socketOptions)(nil, v)
	case unix.SOL_TCP:
		return of(tcpOptions)(nil, v)
	}
	return id(nil, v)
}

// address is that of sendto, which may have none.
func address(_ *Call, v uint64) string {
	if v == 0 {
		return "no address"
	}
	return "address unknown"
}

func signal(_ *Call, v uint64) string {
	if name := unix.SignalName(unix.Signal(uint32(v))); name != "" {
		return name
	}
	return id(nil, v)
}

// cloneFlags says the flags and the signal at the child's end, which is their lowest byte.
func cloneFlags(_ *Call, v uint64) string {
	flags := bits(clones, " ")(nil, v&^0xff)
	end := ""
	if v&0xff != 0 {
		end = signal(nil, v&0xff)
	}
	switch {
	case flags == " " && end == "":
		return "0"
	case flags == " ":
		return end
	case end == "":
		return flags
	}
	return flags + "|" + end
}

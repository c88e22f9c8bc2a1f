package advise

import "slices"

// Capability is the capability (capabilities(7)) that the kernel asks for where it lets a call do what it is
// for, "" where it asks for none. It asks for none of them in every case: setuid(2) to what the process is
// already, kill(2) of its own, and chmod(2) of its own file need nothing.
func Capability(call string) string { return capabilities[call] }

// Always tells whether the kernel lets nobody make a call without that capability, whatever its arguments,
// but who has a user namespace of its own.
func Always(call string) bool {
	return slices.Contains([]string{"chroot", "setgroups", "sethostname", "setdomainname", "vhangup", "mount", "umount2", "move_mount", "mount_setattr",
		"fsopen", "fsmount", "fspick", "pivot_root", "setns"}, call)
}

var capabilities = func() map[string]string {
	m := map[string]string{"chroot": "CAP_SYS_CHROOT", "kill": "CAP_KILL", "bind": "CAP_NET_BIND_SERVICE", "bpf": "CAP_BPF", "perf_event_open": "CAP_PERFMON",
		"reboot": "CAP_SYS_BOOT", "acct": "CAP_SYS_PACCT", "syslog": "CAP_SYSLOG", "open_by_handle_at": "CAP_DAC_READ_SEARCH", "vhangup": "CAP_SYS_TTY_CONFIG"}
	for capability, names := range map[string][]string{
		"CAP_SETUID":     {"setuid", "setreuid", "setresuid", "setfsuid"},
		"CAP_SETGID":     {"setgid", "setregid", "setresgid", "setgroups", "setfsgid"},
		"CAP_CHOWN":      {"chown", "fchown", "lchown", "fchownat"},
		"CAP_FOWNER":     {"chmod", "fchmod", "fchmodat", "utimensat"},
		"CAP_SYS_TIME":   {"settimeofday", "clock_settime", "adjtimex", "clock_adjtime"},
		"CAP_SYS_MODULE": {"init_module", "finit_module", "delete_module"},
		"CAP_SYS_RAWIO":  {"iopl", "ioperm"},
		"CAP_SYS_ADMIN": {"mount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsmount", "fspick", "pivot_root", "setns", "sethostname",
			"setdomainname", "swapon", "swapoff", "quotactl", "quotactl_fd", "lookup_dcookie"},
	} {
		for _, n := range names {
			m[n] = capability
		}
	}
	return m
}()

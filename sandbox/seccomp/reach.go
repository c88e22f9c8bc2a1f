package seccomp

import (
	"slices"
)

// reaching are the calls with which a process gets at the network through a
// socket it was given, or a new one, and the rules under which they do not. A socket
// keeps the network namespace in which it was made, so a namespace of its own does
// not hold a service back that was handed an accepted socket.
var reaching = map[string]func(Rule) bool{
	"connect": never, "bind": never, "listen": never, "accept": never, "accept4": never,
	"sendmsg": never, "sendmmsg": never, // the address is behind a pointer
	"io_uring_setup": never, "io_uring_enter": never, "io_uring_register": never, // do all of these unseen
	"socket":     socketIsUnix,
	"socketpair": socketIsUnix,
	"sendto":     func(r Rule) bool { return fixed(r, 5, 0) },
	"ioctl":      func(r Rule) bool { return ioctlIsNotSocket(r) },
	"setsockopt": setsockoptIsHarmless,
}

func never(Rule) bool { return false }

// Reach lists the rules that let a process reach the network beyond the socket
// it was given and the peer at its other end, as "connect" or "ioctl(1=0x8912)",
// leaving out what the groups named in but have. A profile without network must have none.
func Reach(rules []Rule, but ...string) []string {
	var granted []Rule
	for _, g := range but {
		granted = append(granted, GroupRules(g)...)
	}
	var out []string
	for _, r := range rules {
		harmless, ok := reaching[r.Name]
		if ok && !harmless(r) && !slices.ContainsFunc(granted, func(g Rule) bool { return g.covers(r) }) {
			out = append(out, r.String())
		}
	}
	return out
}

// UnixSocket is a call that makes a unix socket.
var UnixSocket = Rule{Name: "socket", Args: []Arg{{Index: 0, Value: afUnix}}}

// Allows reports whether the rules let some call through that the given one describes.
func Allows(rules []Rule, call Rule) bool { return slices.ContainsFunc(rules, call.overlaps) }

// Aims reports whether the rules let a process choose the peer of a socket that it has.
func Aims(rules []Rule) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool {
		switch r.Name {
		case "connect", "sendmsg", "sendmmsg", "io_uring_setup":
			return true
		}
		return r.Name == "sendto" && !fixed(r, 5, 0)
	})
}

// Unlisted lists the rules that connect or bind past a list of TCP ports, which
// Landlock holds for plain TCP alone: an MPTCP or SMC socket speaks TCP unseen.
func Unlisted(rules []Rule) []string {
	var out []string
	for _, r := range rules {
		if r.Name == "socket" && !listed(r) || slices.Contains([]string{"io_uring_setup", "io_uring_enter", "io_uring_register"}, r.Name) {
			out = append(out, r.String())
		}
	}
	return out
}

// listed holds for sockets of no network, of plain TCP, and of UDP, of which a list of TCP ports says nothing.
func listed(r Rule) bool {
	proto, ok := value(r, 2)
	inet := fixed(r, 0, afInet) || fixed(r, 0, afInet6)
	return socketIsUnix(r) || fixed(r, 0, afNetlink) || inet && ok && slices.Contains([]uint32{0, protoTCP, protoUDP}, proto)
}

// value gives what a rule asks of all 32 bits of an argument.
func value(r Rule, index uint) (uint32, bool) {
	i := slices.IndexFunc(r.Args, func(a Arg) bool { return a.Index == index && a.mask() == ^uint32(0) })
	if i < 0 {
		return 0, false
	}
	return r.Args[i].Value, true
}

func fixed(r Rule, index uint, want uint32) bool {
	v, ok := value(r, index)
	return ok && v == want
}

func socketIsUnix(r Rule) bool { return fixed(r, 0, afUnix) }

// ioctlIsNotSocket holds for requests outside the types 0x89 (SIOC*) and 0x8b (wireless).
func ioctlIsNotSocket(r Rule) bool {
	v, ok := value(r, 1)
	return ok && v>>8&0xff != 0x89 && v>>8&0xff != 0x8b
}

// setsockoptIsHarmless holds for the options that the groups without network name.
func setsockoptIsHarmless(r Rule) bool {
	l, okLevel := value(r, 1)
	o, okOption := value(r, 2)
	if !okLevel || !okOption {
		return false
	}
	return slices.ContainsFunc(groups["@socket-io"].rules, func(rules []Rule) bool {
		return slices.ContainsFunc(rules, func(s Rule) bool {
			return s.Name == "setsockopt" && fixed(s, 1, l) && fixed(s, 2, o)
		})
	}) || l == solSocket && o == soPasscred
}

// perilous are calls that no group has, with what they are good for. A profile
// may name them, and says why.
var perilous = func() map[string]string {
	out := map[string]string{}
	for why, names := range map[string][]string{
		"reads and changes other processes": {"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp",
			"process_madvise", "process_mrelease", "move_pages", "migrate_pages"},
		"changes what is mounted, or the root": {"mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
			"open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "swapon", "swapoff", "quotactl", "quotactl_fd"},
		"makes or joins namespaces":                     {"unshare", "setns"},
		"opens files past the directory tree":           {"open_by_handle_at", "name_to_handle_at", "lookup_dcookie"},
		"loads code into the kernel":                    {"bpf", "init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load"},
		"watches the whole system":                      {"perf_event_open", "fanotify_init", "fanotify_mark", "syslog", "acct"},
		"has been the way into the kernel many times":   {"userfaultfd", "keyctl", "add_key", "request_key", "vmsplice", "remap_file_pages"},
		"does calls that the filter does not see":       {"io_uring_setup", "io_uring_enter", "io_uring_register"},
		"changes the machine":                           {"reboot", "sethostname", "setdomainname", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "vhangup", "nfsservctl"},
		"reaches the hardware or changes the processor": {"iopl", "ioperm", "modify_ldt"},
		"changes how the system is secured":             {"lsm_set_self_attr", "capset", "uselib", "_sysctl"},
	} {
		for _, n := range names {
			out[n] = why
		}
	}
	return out
}()

// perils are calls that groups have by their arguments, with what other arguments
// are good for.
var perils = []struct {
	rule Rule
	why  string
}{
	{Rule{"prctl", []Arg{{Index: 0, Value: prSetPdeathsig}, {Index: 1, Value: 0}}}, "lets it outlive the broker"},
	{Rule{"clone", []Arg{{Index: 0, Mask: cloneNewUser, Value: cloneNewUser}}}, "makes or joins namespaces"},
}

// Perilous says what a rule that no group has is good for, and "" for the
// others. It is for warnings: a profile may have such a rule.
func Perilous(r Rule) string {
	if why := perilous[r.Name]; why != "" {
		return why
	}
	for _, p := range perils {
		if p.rule.overlaps(r) {
			return p.why
		}
	}
	return ""
}

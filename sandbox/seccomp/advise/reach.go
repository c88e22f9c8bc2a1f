package advise

import (
	"slices"

	"casemate/sandbox/seccomp"

	"golang.org/x/sys/unix"
)

// reaching are the calls with which a process gets at the network through a
// socket it was given, or a new one, and the rules under which they do not. A socket
// keeps the network namespace in which it was made, so a namespace of its own does
// not hold a service back that was handed an accepted socket.
var reaching = map[string]func(seccomp.Rule) bool{
	"connect": never, "bind": never, "listen": never, "accept": never, "accept4": never,
	"sendmsg": never, "sendmmsg": never, // the address is behind a pointer
	"io_uring_setup": never, "io_uring_enter": never, "io_uring_register": never, // do all of these unseen
	"socket":     socketIsUnix,
	"socketpair": socketIsUnix,
	"sendto":     func(r seccomp.Rule) bool { return r.Fixed(5, 0) },
	"ioctl":      func(r seccomp.Rule) bool { return ioctlIsNotSocket(r) },
	"setsockopt": setsockoptIsHarmless,
}

func never(seccomp.Rule) bool { return false }

// Reach lists the rules that let a process reach the network beyond the socket
// it was given and the peer at its other end, as "connect" or "ioctl(1=0x8912)",
// leaving out what the groups named in but have. A profile without network must have none.
func Reach(rules []seccomp.Rule, but ...string) []string {
	var granted []seccomp.Rule
	for _, g := range but {
		granted = append(granted, seccomp.GroupRules(g)...)
	}
	var out []string
	for _, r := range rules {
		harmless, ok := reaching[r.Name]
		if ok && !harmless(r) && !seccomp.Cover(granted, r) {
			out = append(out, r.String())
		}
	}
	return out
}

// Internet tells whether the rules let a process make TCP or UDP sockets of its own.
func Internet(rules []seccomp.Rule) bool {
	return TCP(rules) || makes(rules, unix.SOCK_DGRAM)
}

// TCP tells whether the rules let a process make TCP sockets of its own.
func TCP(rules []seccomp.Rule) bool { return makes(rules, unix.SOCK_STREAM) }

func makes(rules []seccomp.Rule, kind uint32) bool {
	for _, family := range []uint32{unix.AF_INET, unix.AF_INET6} {
		made := seccomp.Rule{Name: "socket", Args: []seccomp.Arg{{Index: 0, Value: family}, {Index: 1, Value: kind}, {Index: 2}}}
		if seccomp.Allows(rules, made) {
			return true
		}
	}
	return false
}

// Unlisted lists the rules that connect or bind past a list of TCP ports, which
// Landlock holds for plain TCP alone: an MPTCP or SMC socket speaks TCP unseen.
func Unlisted(rules []seccomp.Rule) []string {
	var out []string
	for _, r := range rules {
		if r.Name == "socket" && !listed(r) || slices.Contains([]string{"io_uring_setup", "io_uring_enter", "io_uring_register"}, r.Name) {
			out = append(out, r.String())
		}
	}
	return out
}

// listed holds for sockets of no network, of plain TCP, and of UDP, of which a list of TCP ports says nothing.
func listed(r seccomp.Rule) bool {
	proto, ok := r.Exact(2)
	inet := r.Fixed(0, unix.AF_INET) || r.Fixed(0, unix.AF_INET6)
	return socketIsUnix(r) || r.Fixed(0, unix.AF_NETLINK) || inet && ok && slices.Contains([]uint32{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP}, proto)
}

func socketIsUnix(r seccomp.Rule) bool { return r.Fixed(0, unix.AF_UNIX) }

// ioctlIsNotSocket holds for requests outside the types 0x89 (SIOC*) and 0x8b (wireless).
func ioctlIsNotSocket(r seccomp.Rule) bool {
	v, ok := r.Exact(1)
	return ok && v>>8&0xff != 0x89 && v>>8&0xff != 0x8b
}

// setsockoptIsHarmless holds for the options that the groups without network name.
func setsockoptIsHarmless(r seccomp.Rule) bool {
	l, okLevel := r.Exact(1)
	o, okOption := r.Exact(2)
	if !okLevel || !okOption {
		return false
	}
	return slices.ContainsFunc(seccomp.GroupRules("@socket-io"), func(s seccomp.Rule) bool {
		return s.Name == "setsockopt" && s.Fixed(1, l) && s.Fixed(2, o)
	}) || l == unix.SOL_SOCKET && o == unix.SO_PASSCRED
}

package seccomp

import (
	"slices"
)

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
		return r.Name == "sendto" && !r.Fixed(5, 0)
	})
}

// Exact gives what a rule asks of all 32 bits of an argument.
func (r Rule) Exact(index uint) (uint32, bool) {
	i := slices.IndexFunc(r.Args, func(a Arg) bool { return a.Index == index && a.mask() == ^uint32(0) })
	if i < 0 {
		return 0, false
	}
	return r.Args[i].Value, true
}

// Fixed reports whether the rule asks for this value of an argument.
func (r Rule) Fixed(index uint, want uint32) bool {
	v, ok := r.Exact(index)
	return ok && v == want
}

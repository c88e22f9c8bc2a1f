package advise

import (
	"casemate/sandbox/seccomp"

	"golang.org/x/sys/unix"
)

// unfiltering are the calls that take a socket's filter off, put another in its place, or keep others from doing so
// (socket(7)), and what makes calls unseen.
var unfiltering = []seccomp.Rule{
	option(unix.SO_ATTACH_FILTER), option(unix.SO_DETACH_FILTER), option(unix.SO_ATTACH_BPF), option(unix.SO_LOCK_FILTER),
	{Name: "io_uring_setup"}, {Name: "io_uring_enter"}, {Name: "io_uring_register"},
}

func option(name uint32) seccomp.Rule {
	return seccomp.Rule{Name: "setsockopt", Args: []seccomp.Arg{{Index: 1, Value: unix.SOL_SOCKET}, {Index: 2, Value: name}}}
}

// Unfilter lists the rules under which a process can change the filter of a socket that it has, or see that nobody else
// does. Without one, what the filter drops never comes to it.
func Unfilter(rules []seccomp.Rule) []string {
	var out []string
	for _, r := range rules {
		for _, call := range unfiltering {
			if seccomp.Allows([]seccomp.Rule{r}, call) {
				out = append(out, r.String())
				break
			}
		}
	}
	return out
}

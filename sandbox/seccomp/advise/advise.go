// Package advise says of lists of system calls what the compiler tells a person:
// what they come to, what is dangerous in them, how they reach the network, and
// what a name that is not known was meant to be. What runs as root does not link it.
package advise

import (
	"slices"
	"strings"

	"casemate/sandbox/seccomp"
)

// Places are the calls that say where memory is to lie, and OwnPlaces is why a program that
// executes once (launch.Once) is refused one that its filter allows.
var Places = []string{"mmap", "mremap", "shmat"}

// OwnPlaces is said of Places.
const OwnPlaces = "so that it may have memory at addresses of its own below 4 GiB, as Go's runtime does: for a Go program rather base = profile.go"

// Expand gives the names that the lists allow with any arguments, sorted. It is
// for showing and comparing lists. What a group allows with certain arguments only is
// not in it; a filter is made from seccomp.Resolve.
func Expand(allow, deny []string) ([]string, error) {
	rules, err := seccomp.Resolve(allow, deny)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, r := range rules {
		if len(r.Args) == 0 {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// libcNames maps what people write (the C library's name) to what the kernel has.
var libcNames = map[string]string{
	"_exit": "exit_group", "fstatat": "newfstatat", "fstatat64": "newfstatat", "sigaction": "rt_sigaction",
	"sigprocmask": "rt_sigprocmask", "sigsuspend": "rt_sigsuspend", "sigreturn": "rt_sigreturn",
	"pread": "pread64", "pwrite": "pwrite64", "waitpid": "wait4", "wait": "wait4", "wait3": "wait4",
	"send": "sendto", "recv": "recvfrom", "getrlimit64": "prlimit64", "prlimit": "prlimit64",
	"posix_fadvise": "fadvise64", "fadvise": "fadvise64", "umount": "umount2", "eventfd": "eventfd2",
	"readdir": "getdents64", "mmap2": "mmap", "llseek": "lseek", "_llseek": "lseek", "ugetrlimit": "getrlimit",
	"sigpending": "rt_sigpending", "sigtimedwait": "rt_sigtimedwait", "sigqueue": "rt_sigqueueinfo",
}

// Meant gives what somebody may have meant by a name that is not known: "" says to
// choose the nearest among known.
func Meant(e *seccomp.UnknownError) (name string, known []string) {
	if e.Kind == "group" {
		return "", seccomp.Groups()
	}
	if n, ok := libcNames[e.Name]; ok {
		return n, nil
	}
	names := seccomp.Names()
	if slices.Contains(seccomp.Groups(), "@"+e.Name) {
		return "@" + e.Name, nil
	}
	if i := slices.IndexFunc(names, func(n string) bool { return len(e.Name) > 3 && strings.HasPrefix(n, e.Name) }); i >= 0 {
		return names[i], nil
	}
	return "", names
}

package launch

import (
	"slices"

	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

// Facts says of a shape all but its programs.
func Facts(of program.Shape) (program.Filter, error) {
	s, err := read(of)
	if err != nil {
		return program.Filter{}, err
	}
	return s.facts(), nil
}

// Compile says all of a shape.
func Compile(of program.Shape) program.Filter {
	var f program.Filter
	s, err := read(of)
	if err == nil {
		f = s.facts()
		err = s.compile(&f)
	}
	if err != nil {
		return program.Filter{Error: "compile seccomp filter: " + err.Error()}
	}
	return f
}

func (s *shape) facts() program.Filter {
	f := program.Filter{IPC: s.makesIPC(), Queues: s.makes(unix.SYS_MQ_OPEN), Code: filter.Allows(s.rules, makesCode),
		Watches: s.makes(unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_FANOTIFY_MARK)}
	s.missing(&f)
	return f
}

// makesCode is the call without which no program has memory that it writes and then executes.
var makesCode = call(unix.SYS_MPROTECT, masked(2, unix.PROT_EXEC, unix.PROT_EXEC))

// again are the ways to a second exec under Filter.Once: the call itself, code where the gate was (a
// stack that has become executable, the kernel's own), the registers of a traced process.
var again = append([]filter.Rule{call(unix.SYS_EXECVE), call(unix.SYS_EXECVEAT), makesCode, call(unix.SYS_PKEY_MPROTECT, makesCode.Args...),
	call(unix.SYS_PTRACE)}, vdso...)

// Once reports whether a program with these rules alone, in a bounded address space
// (program.Shape.Bounded), cannot execute another, nor itself again: its filter lets it neither
// execute nor place memory at will, whatever files are
// shown to it. A program with an executable stack is refused under such a profile.
func Once(rules []filter.Rule) bool {
	asks := call(unix.SYS_PERSONALITY, eq(0, ^uint32(0))) // any other could set READ_IMPLIES_EXEC
	return !slices.ContainsFunc(rules, func(r filter.Rule) bool {
		return r.Call == unix.SYS_PERSONALITY && !asks.Covers(r) || slices.ContainsFunc(again, r.Overlaps)
	})
}

func (s *shape) once() bool { return s.Bounded && Once(s.rules) }

// heldPorts: a new socket of a service without network is in an empty
// namespace, but the client's is in the broker's, and connect(2) re-aims it.
func (s *shape) heldPorts() string {
	connects := !s.AnyConnect && s.lets(unix.SYS_CONNECT)
	switch {
	case s.Private: // its client is no internet socket, and all others are in a namespace of its own
	case !s.Host && connects:
		return "keeps the client's socket from other addresses: take connect out of its system calls"
	case connects:
		return `keeps it to the ports of connect: write connect = ["any"]`
	case s.Host && !s.AnyBind && s.lets(unix.SYS_BIND):
		return `keeps it to the ports of bind: write bind = ["any"]`
	}
	return ""
}

// heldScopes: abstract unix sockets belong to a network namespace, which is the
// broker's for what it hands over, and one for all sessions of a service.
func (s *shape) heldScopes() string {
	if !s.aims() || s.Private {
		return ""
	}
	own := s.lets(unix.SYS_SOCKETPAIR) || filter.Allows(s.rules, filter.UnixSocket)
	switch {
	case s.UnixDatagrams:
		return "keeps a unix datagram socket from abstract addresses of the host: listen on another network"
	case own && s.Host:
		return "keeps it from abstract unix sockets of the host: take unix sockets out of its system calls"
	case own && s.lets(unix.SYS_BIND):
		return "keeps its sessions from each other's abstract unix sockets: take bind out of its system calls"
	}
	return ""
}

// lets reports whether the filter lets the call through with any arguments at all.
func (s *shape) lets(nr int) bool {
	return filter.Allows(s.rules, call(nr)) || filter.Allows(s.rules, call(unix.SYS_IO_URING_SETUP))
}

// aims reports whether the filter lets it choose the peer of a socket that it has.
func (s *shape) aims() bool {
	return s.lets(unix.SYS_CONNECT) || s.lets(unix.SYS_SENDMSG) || s.lets(unix.SYS_SENDMMSG) ||
		slices.ContainsFunc(s.rules, func(r filter.Rule) bool { return r.Call == unix.SYS_SENDTO && !call(r.Call, eq(5, 0)).Covers(r) })
}

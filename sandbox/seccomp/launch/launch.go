// Package launch says what the filter of a sandbox's shape allows: the profile's own calls,
// those that take the place of what is handed over, and those of the launch. It runs in an
// unprivileged process: casemate-filter compiles, casemate foresees.
package launch

import (
	"fmt"
	"maps"
	"slices"

	"casemate/sandbox/landlock"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

func eq(i uint, v uint32) filter.Arg { return filter.Arg{Index: i, Value: v} }

func masked(i uint, mask, v uint32) filter.Arg { return filter.Arg{Index: i, Mask: mask, Value: v} }

func call(nr int, args ...filter.Arg) filter.Rule { return filter.Rule{Call: nr, Args: args} }

// Descriptor numbers of the zygote, from the first that no service can have on.
const (
	FDCtl = iota
	FDLandlock
	FDExec
	FDPidNS
	FDLog
	FDMntNS
	FDWake
)

// InitFlags are the clone(2) flags of an init.
const InitFlags = unix.CLONE_VM | unix.CLONE_NEWUTS | uint32(unix.SIGCHLD)

// shape is a program.Shape with its rules read.
type shape struct {
	program.Shape
	rules []filter.Rule // the profile's own; the launch calls come on top
	log   bool          // it gets the /dev/log that it wants
	// high is the first descriptor number of the launch, and uid whom it becomes: blanks, but in tests.
	high, uid uint32
}

// read reads what rules there are.
func read(s program.Shape) (*shape, error) {
	words, err := unpack(s.Rules)
	if err != nil {
		return nil, err
	}
	rules, err := filter.Decode(words)
	if err != nil {
		return nil, err
	}
	sh := &shape{Shape: s, rules: rules, high: program.Blank, uid: program.Blank + program.FDCount}
	sh.log = s.Log && s.ABI >= landlock.ABIScopes
	if len(s.Names) > 0 {
		named, err := seccomp.Resolve(s.Names, s.Deny)
		if err != nil {
			return nil, err
		}
		more, err := seccomp.Numbered(named)
		if err != nil {
			return nil, err
		}
		sh.rules = append(sh.rules, more...)
	}
	sh.rules = append(sh.rules, sh.listenRules()...)
	return sh, sh.check()
}

// listenRules are what the way its sockets are handed over makes necessary: taking
// connections and datagrams from a listening socket, and answering to an address where the
// profile's network grants that.
func (s *shape) listenRules() (rules []filter.Rule) {
	if !s.Listens {
		return nil
	}
	calls := map[string]int{"accept": unix.SYS_ACCEPT, "accept4": unix.SYS_ACCEPT4, "getsockname": unix.SYS_GETSOCKNAME,
		"recvfrom": unix.SYS_RECVFROM, "recvmsg": unix.SYS_RECVMSG}
	if s.Sends {
		calls["sendto"], calls["sendmsg"] = unix.SYS_SENDTO, unix.SYS_SENDMSG
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		if !slices.Contains(s.Deny, name) {
			rules = append(rules, call(calls[name]))
		}
	}
	return rules
}

// ipcObjects are the calls that make System V objects and message queues.
var ipcObjects = []int{unix.SYS_SHMGET, unix.SYS_SEMGET, unix.SYS_MSGGET, unix.SYS_MQ_OPEN}

// makesIPC reports whether the filter lets the service make objects of its ipc
// namespace. Without them a namespace for each connection would separate
// nothing, and cost a twentieth of a start: the service's own one is enough.
func (s *shape) makesIPC() bool { return s.makes(ipcObjects...) }

// makes reports whether the filter lets the service perform one of the calls.
func (s *shape) makes(calls ...int) bool {
	return slices.ContainsFunc(s.rules, func(r filter.Rule) bool { return slices.Contains(calls, r.Call) })
}

// launchRules are the calls between the filter's installation and exec. The
// service inherits them, so each is pinned by its arguments as far as a filter
// can, to descriptor numbers it cannot make or to values that are powerless
// without the capabilities it does not have.
func (s *shape) launchRules() []filter.Rule {
	ctl, flags := s.high+FDCtl, s.CloneFlags
	if s.makesIPC() {
		flags |= unix.CLONE_NEWIPC
	}
	rules := []filter.Rule{
		call(unix.SYS_RECVMSG, eq(0, ctl)), call(unix.SYS_SENDMSG, eq(0, ctl)), call(unix.SYS_EXIT_GROUP), call(unix.SYS_CLOSE), call(unix.SYS_GETPID),
		call(unix.SYS_CLONE, eq(0, flags)),
		call(unix.SYS_SETSID), call(unix.SYS_DUP3), call(unix.SYS_FCNTL, eq(1, unix.F_SETFD)), call(unix.SYS_CLOSE_RANGE),
		call(unix.SYS_SETRESUID, s.ids()...), call(unix.SYS_CAPSET), call(unix.SYS_GETUID), call(unix.SYS_CAPGET),
		call(unix.SYS_PRCTL, eq(0, unix.PR_SET_PDEATHSIG), eq(1, uint32(unix.SIGKILL))), hangUp,
		call(unix.SYS_RT_SIGPROCMASK), s.execRule(),
		// Where the kernel has no Landlock, it has no such call either.
		call(unix.SYS_LANDLOCK_RESTRICT_SELF, eq(0, s.high+FDLandlock), eq(1, 0)),
	}
	for _, m := range []struct {
		does  bool
		flags uint32
	}{
		{s.Proc, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY},
		{s.Scratch, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC}, {s.Pty, unix.MS_NOSUID | unix.MS_NOEXEC},
	} {
		if m.does {
			rules = append(rules, call(unix.SYS_MOUNT, eq(3, m.flags)))
		}
	}
	if s.Ahead { // into one, and to tell who makes them
		rules = append(rules, call(unix.SYS_CLONE, eq(0, flags&^unix.CLONE_NEWNS)), call(unix.SYS_SETNS, eq(0, s.high+FDMntNS), eq(1, unix.CLONE_NEWNS)),
			call(unix.SYS_WRITE, eq(0, s.high+FDWake)))
	}
	if s.State {
		rules = append(rules, call(unix.SYS_MOVE_MOUNT, eq(2, 0), eq(4, unix.MOVE_MOUNT_F_EMPTY_PATH)))
	}
	rules = append(rules, s.socketRules()...)
	if s.Chdir {
		rules = append(rules, call(unix.SYS_CHDIR))
	}
	if s.Leases != nil {
		rules = append(rules, call(unix.SYS_SETRESGID, s.ids()...))
	}
	if s.CPU {
		rules = append(rules, call(unix.SYS_PRLIMIT64, eq(0, 0), eq(1, unix.RLIMIT_CPU)))
	}
	if s.Caps {
		rules = append(rules, call(unix.SYS_PRCTL, eq(0, unix.PR_CAP_AMBIENT), eq(1, unix.PR_CAP_AMBIENT_RAISE)))
	}
	if s.OwnCore {
		rules = append(rules, call(unix.SYS_PRCTL, eq(0, unix.PR_SCHED_CORE), eq(1, unix.PR_SCHED_CORE_CREATE), eq(2, 0), eq(3, unix.PR_SCHED_CORE_SCOPE_THREAD_GROUP)))
	}
	if s.Init {
		rules = append(rules, s.initRules()...)
	}
	if s.Seal {
		rules = append(rules, call(unix.SYS_SECCOMP, eq(0, unix.SECCOMP_SET_MODE_FILTER), eq(1, 0)))
	}
	return rules
}

// socketRules are the launch's calls on sockets.
func (s *shape) socketRules() (rules []filter.Rule) {
	if s.log {
		rules = append(rules, call(unix.SYS_BIND, eq(0, s.high+FDLog)))
	}
	if s.Relay {
		rules = append(rules, call(unix.SYS_RECVMSG, eq(0, s.high+FDLog)))
	}
	if s.log || s.Relay || s.Ahead {
		rules = append(rules, call(unix.SYS_PRLIMIT64, eq(0, 0), eq(1, unix.RLIMIT_NOFILE)))
	}
	if s.Private { // what is left of it is a udp socket of the session's own network, which has but a loopback
		rules = append(rules, call(unix.SYS_SOCKET, eq(0, unix.AF_INET), eq(1, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), eq(2, 0)),
			call(unix.SYS_IOCTL, eq(1, unix.SIOCSIFFLAGS)))
	}
	return rules
}

// execRule allows the exec of the launch: of the program's descriptor, or of the path of a
// script. With an absolute path execveat(2) ignores the descriptor: what holds the service
// to one exec is Filter.Once, where its profile can have that; elsewhere Landlock and the
// mounts say what may be executed.
func (s *shape) execRule() filter.Rule {
	return call(unix.SYS_EXECVEAT, eq(0, s.high+FDExec), masked(4, ^uint32(unix.AT_EMPTY_PATH), 0))
}

// initRules are the calls that park an init, and its own.
func (s *shape) initRules() []filter.Rule {
	return []filter.Rule{
		call(unix.SYS_SETNS, eq(0, s.high+FDPidNS), eq(1, unix.CLONE_NEWPID)), call(unix.SYS_UNSHARE, eq(0, unix.CLONE_NEWPID)),
		call(unix.SYS_PIPE2, eq(1, unix.O_CLOEXEC)), call(unix.SYS_CLONE, eq(0, InitFlags)), call(unix.SYS_WAIT4, eq(2, 0)),
		call(unix.SYS_PIDFD_OPEN, eq(0, 2), eq(1, 0)), call(unix.SYS_PPOLL, eq(1, 1)),
	}
}

// logRules are what syslog(3) and logger(1) do with /dev/log. A connect reaches what
// Landlock and the tree leave: paths that are shown. No socket of the service's has an
// address of its own, abstract ones would be reached within its own network namespace.
var logRules = []filter.Rule{
	call(unix.SYS_SOCKET, eq(0, unix.AF_UNIX), masked(1, sockTypeMask, unix.SOCK_DGRAM), eq(2, 0)),
	call(unix.SYS_CONNECT), call(unix.SYS_SENDMSG),
}

// sockTypeMask leaves SOCK_NONBLOCK and SOCK_CLOEXEC aside (linux/net.h).
const sockTypeMask = 0xf

// ids pins setresuid and setresgid to the service's own id or the lease range.
func (s *shape) ids() []filter.Arg {
	var args []filter.Arg
	for i := range uint(3) {
		if s.Leases != nil {
			args = append(args, masked(i, s.Leases[1], s.Leases[0]))
		} else {
			args = append(args, eq(i, s.uid))
		}
	}
	return args
}

// filters are the one that the zygote installs, and what is left of it under a seal.
func (s *shape) filters() (whole filter.Filter, left []filter.Rule) {
	rules := s.rules
	if s.log {
		rules = slices.Concat(rules, logRules)
	}
	launch := s.launchRules()
	whole = filter.Filter{Ahead: ahead(launch, rules), Rules: append(launch, rules...), OnViolation: s.OnViolation, Once: s.once(), Init: s.Init && !s.HostPIDs}
	// Under a seal: the unmasking of signals and the exec itself.
	return whole, append(rules[:len(rules):len(rules)], call(unix.SYS_RT_SIGPROCMASK), call(unix.SYS_EXIT_GROUP), s.execRule())
}

// Plain gives what a service of a Shape may call, the launch's own calls included unless a seal takes them, and a program
// that answers so (filter.Plain), for who asks it and installs none.
func Plain(of program.Shape) (rules []filter.Rule, text []byte, err error) {
	s, err := read(of)
	if err != nil {
		return nil, nil, err
	}
	whole, left := s.filters()
	if s.Seal {
		whole.Rules, whole.Ahead = left, nil
	}
	text, err = whole.Plain()
	return whole.Rules, text, err
}

// compile makes the programs of s.
func (s *shape) compile(f *program.Filter) (err error) {
	whole, left := s.filters()
	if f.Program, err = whole.Compile(); err != nil {
		return err
	}
	if s.Seal {
		if f.Seal, err = filter.Seal(s.launchRules(), left, whole.Ahead, s.OnViolation); err != nil {
			return fmt.Errorf("seal: %w", err)
		}
	}
	return nil
}

// check refuses rules with a number that a blank has: it would be filled in.
func (s *shape) check() error {
	taken := func(a filter.Arg) bool { return blank(a.Value) || blank(a.Mask) }
	for _, r := range s.rules {
		if slices.ContainsFunc(r.Args, taken) {
			return fmt.Errorf("a rule of call %d compares with one of the %d numbers from %#x on, which casemate needs itself", r.Call, program.FDCount+1, program.Blank)
		}
	}
	return nil
}

func blank(n uint32) bool { return n >= program.Blank && n <= program.Blank+program.FDCount }

// ahead are those of the launch's rules that compare a blank with what one of the service's rules compares with a
// value: filled in it could be the same, and libseccomp would have made one comparison of both.
func ahead(launch, rules []filter.Rule) (ahead []filter.Rule) {
	for _, r := range launch {
		compares := func(a filter.Arg) bool {
			return slices.ContainsFunc(r.Args, func(b filter.Arg) bool { return a.Index == b.Index && blank(b.Value) })
		}
		if slices.ContainsFunc(rules, func(o filter.Rule) bool { return o.Call == r.Call && slices.ContainsFunc(o.Args, compares) }) {
			ahead = append(ahead, r)
		}
	}
	return ahead
}

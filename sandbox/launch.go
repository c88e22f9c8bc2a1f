package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// HelperRules are the rules of some of filter.Helpers, by their groups.
func HelperRules(groups ...string) []filter.Rule {
	var rules []filter.Rule
	for _, g := range groups {
		more, err := filter.Decode(filter.Helpers[g])
		if err != nil || len(more) == 0 {
			panic(fmt.Sprintf("the rules of the helpers' %s: %v", g, err)) // constants, and tested
		}
		rules = append(rules, more...)
	}
	return rules
}

// AnswerRules let a helper read the listeners of filters and answer, but with no descriptor (seccomp_unotify(2)),
// and look whether a file is there.
func AnswerRules() []filter.Rule {
	rules := []filter.Rule{call(unix.SYS_NEWFSTATAT)}
	for _, request := range []uint32{unix.SECCOMP_IOCTL_NOTIF_RECV, unix.SECCOMP_IOCTL_NOTIF_SEND, unix.SECCOMP_IOCTL_NOTIF_ID_VALID} {
		rules = append(rules, call(unix.SYS_IOCTL, eq(1, request)))
	}
	return rules
}

// profileRules are the profile's own rules, and what the way its sockets are
// handed over makes necessary: taking connections and datagrams from a listening
// socket, and answering to an address where the profile's network grants that.
func profileRules(p Profile, c Command) []filter.Rule {
	rules := slices.Clone(p.Syscalls.Rules)
	if !c.Listens {
		return rules
	}
	calls := map[string]int{"accept": unix.SYS_ACCEPT, "accept4": unix.SYS_ACCEPT4, "getsockname": unix.SYS_GETSOCKNAME,
		"recvfrom": unix.SYS_RECVFROM, "recvmsg": unix.SYS_RECVMSG}
	if p.Network.Mode != NetworkNone {
		calls["sendto"], calls["sendmsg"] = unix.SYS_SENDTO, unix.SYS_SENDMSG
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) { // in one order, so that equal filters are known again
		if !slices.Contains(p.Syscalls.Deny, name) {
			rules = append(rules, call(calls[name]))
		}
	}
	return rules
}

// namespaces are those that each zygote makes for its sessions: without
// capabilities nobody inside can change them, and a fresh network namespace costs
// more than starting the program. A service without a zygote has none.
func (pl *Plan) namespaces() uint32 {
	f := uint32(unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP)
	if pl.Profile.Network.Mode != NetworkHost {
		f |= unix.CLONE_NEWNET
	}
	return f
}

// cloneFlags are the namespaces of each connection. The zygote's are enough for the
// rest, the ipc namespace too where nothing can be made in it.
func (pl *Plan) cloneFlags() uint32 {
	f := uint32(unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|unix.SIGCHLD) | unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_NEWNS
	if pl.makesIPC() {
		f |= unix.CLONE_NEWIPC
	}
	if !pl.Profile.Init && !pl.Command.HostPIDs {
		f |= unix.CLONE_NEWPID
	}
	return f
}

// ipcObjects are the calls that make System V objects and message queues.
var ipcObjects = []int{unix.SYS_SHMGET, unix.SYS_SEMGET, unix.SYS_MSGGET, unix.SYS_MQ_OPEN}

// makesIPC reports whether the filter lets the service make objects of its ipc
// namespace. Without them a namespace for each connection would separate
// nothing, and cost a twentieth of a start: the service's own one is enough.
func (pl *Plan) makesIPC() bool {
	return pl.makes(ipcObjects...)
}

// makes reports whether the filter lets the service perform one of the calls.
func (pl *Plan) makes(calls ...int) bool {
	return slices.ContainsFunc(pl.rules, func(r filter.Rule) bool { return slices.Contains(calls, r.Call) })
}

// zygoteCaps are what the launches need: namespaces and mounts, and the ids.
func (pl *Plan) zygoteCaps() uint64 {
	caps, _ := zygote.CapMask("CAP_SYS_ADMIN", "CAP_SETUID")
	if pl.Command.Dynamic {
		g, _ := zygote.CapMask("CAP_SETGID")
		caps |= g
	}
	return caps
}

func eq(i uint, v uint32) filter.Arg { return filter.Arg{Index: i, Value: v} }

func masked(i uint, mask, v uint32) filter.Arg { return filter.Arg{Index: i, Mask: mask, Value: v} }

func call(nr int, args ...filter.Arg) filter.Rule { return filter.Rule{Call: nr, Args: args} }

// launchRules are the calls between the filter's installation and exec. The
// service inherits them, so each is pinned by its arguments as far as a filter
// can, to descriptor numbers it cannot make or to values that are powerless
// without the capabilities it does not have.
func (pl *Plan) launchRules(execByFD, landlocked bool) []filter.Rule {
	ctl := pl.files + zygote.FDCtl
	rules := []filter.Rule{
		call(unix.SYS_RECVMSG, eq(0, ctl)), call(unix.SYS_SENDMSG, eq(0, ctl)), call(unix.SYS_EXIT_GROUP), call(unix.SYS_CLOSE), call(unix.SYS_GETPID),
		call(unix.SYS_CLONE, eq(0, pl.cloneFlags())),
		call(unix.SYS_SETSID), call(unix.SYS_DUP3), call(unix.SYS_FCNTL, eq(1, unix.F_SETFD)), call(unix.SYS_CLOSE_RANGE),
		call(unix.SYS_SETRESUID, pl.ids()...), call(unix.SYS_CAPSET), call(unix.SYS_GETUID), call(unix.SYS_CAPGET),
		call(unix.SYS_PRCTL, eq(0, unix.PR_SET_PDEATHSIG), eq(1, uint32(unix.SIGKILL))), call(unix.SYS_POLL),
		call(unix.SYS_RT_SIGPROCMASK),
	}
	if pl.Profile.Files.ownProc() {
		rules = append(rules, call(unix.SYS_MOUNT, eq(3, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY)))
	}
	if pl.Profile.Files.Scratch() > 0 {
		rules = append(rules, call(unix.SYS_MOUNT, eq(3, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)))
	}
	if pl.Profile.Files.Pty {
		rules = append(rules, call(unix.SYS_MOUNT, eq(3, unix.MS_NOSUID|unix.MS_NOEXEC)))
	}
	if pl.Command.Log {
		rules = append(rules, call(unix.SYS_BIND, eq(0, pl.files+zygote.FDLog)), call(unix.SYS_PRLIMIT64, eq(0, 0), eq(1, unix.RLIMIT_NOFILE)))
	}
	if pl.chdirLate() {
		rules = append(rules, call(unix.SYS_CHDIR))
	}
	if pl.Command.Dynamic {
		rules = append(rules, call(unix.SYS_SETRESGID, pl.ids()...))
	}
	if pl.Profile.Resources[CPUTime] > 0 {
		rules = append(rules, call(unix.SYS_PRLIMIT64, eq(0, 0), eq(1, unix.RLIMIT_CPU)))
	}
	if landlocked {
		rules = append(rules, call(unix.SYS_LANDLOCK_RESTRICT_SELF, eq(0, pl.files+zygote.FDLandlock), eq(1, 0)))
	}
	return append(append(rules, pl.execRule(execByFD)), pl.optionalLaunchRules()...)
}

// execRule allows the exec of the launch, of the program's descriptor where it has
// one. With an absolute path execveat(2) ignores the descriptor: what holds the service
// to one exec is Filter.Once, where its profile can have that; elsewhere Landlock and the
// mounts say what may be executed.
func (pl *Plan) execRule(byFD bool) filter.Rule {
	if byFD {
		return call(unix.SYS_EXECVEAT, eq(0, pl.files+zygote.FDExec), eq(4, unix.AT_EMPTY_PATH))
	}
	return call(unix.SYS_EXECVE)
}

func (pl *Plan) optionalLaunchRules() []filter.Rule {
	var rules []filter.Rule
	if pl.caps != 0 {
		rules = append(rules, call(unix.SYS_PRCTL, eq(0, unix.PR_CAP_AMBIENT), eq(1, unix.PR_CAP_AMBIENT_RAISE)))
	}
	if pl.Profile.Init {
		rules = append(rules, pl.initRules()...)
	}
	if pl.Profile.Syscalls.Seal {
		rules = append(rules, call(unix.SYS_SECCOMP, eq(0, unix.SECCOMP_SET_MODE_FILTER), eq(1, 0)))
	}
	return rules
}

// initRules are the calls that park an init, and its own.
func (pl *Plan) initRules() []filter.Rule {
	return []filter.Rule{
		call(unix.SYS_SETNS, eq(0, pl.files+zygote.FDPidNS), eq(1, unix.CLONE_NEWPID)), call(unix.SYS_UNSHARE, eq(0, unix.CLONE_NEWPID)),
		call(unix.SYS_PIPE2, eq(1, unix.O_CLOEXEC)), call(unix.SYS_CLONE, eq(0, zygote.InitFlags)), call(unix.SYS_WAIT4, eq(2, unix.WALL)),
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
func (pl *Plan) ids() []filter.Arg {
	var args []filter.Arg
	for i := range uint(3) {
		if pl.Command.Dynamic {
			args = append(args, masked(i, ^uint32(LeaseCount-1), LeaseBase))
		} else {
			args = append(args, eq(i, pl.Command.UID))
		}
	}
	return args
}

// filter compiles the program that the zygote installs, and the seal.
func (pl *Plan) filter(execByFD, landlocked bool) (program, seal []byte, err error) {
	rules := pl.rules
	if pl.Command.Log {
		rules = slices.Concat(rules, logRules)
	}
	if program, err = pl.compile(rules, execByFD, landlocked); err != nil {
		return nil, nil, fmt.Errorf("compile seccomp filter: %w", err)
	}
	if pl.Profile.Syscalls.Seal {
		// What is left after it: the unmasking of signals and the exec itself.
		left := append(rules[:len(rules):len(rules)], call(unix.SYS_RT_SIGPROCMASK), call(unix.SYS_EXIT_GROUP), pl.execRule(execByFD))
		if seal, err = filter.Seal(pl.launchRules(execByFD, landlocked), left, pl.Profile.Syscalls.OnViolation); err != nil {
			return nil, nil, fmt.Errorf("compile seal filter: %w", err)
		}
	}
	return program, seal, nil
}

// blank is the first of the numbers that stand in a program for those which differ between
// services of one profile, until they are filled in: no descriptor, no uid, no flag is as high.
const blank = 0x7a5e0000

// compile gives the program of the launch's rules and the service's.
func (pl *Plan) compile(rules []filter.Rule, execByFD, landlocked bool) ([]byte, error) {
	of := func(pl *Plan) filter.Filter {
		return filter.Filter{Rules: append(pl.launchRules(execByFD, landlocked), rules...), OnViolation: pl.Profile.Syscalls.OnViolation, Once: pl.Profile.ExecsOnce()}
	}
	form := *pl
	form.files, form.Command.UID = blank, blank+zygote.FDCount
	f := of(&form)
	// Where the profile compares such an argument too, one of its values could be the same; and where it
	// has such a number itself, that would be filled in.
	isBlank := func(n uint32) bool { return n >= blank && n <= form.Command.UID }
	taken := func(a filter.Arg) bool { return isBlank(a.Value) || isBlank(a.Mask) }
	if slices.ContainsFunc(rules, func(r filter.Rule) bool { return slices.ContainsFunc(r.Args, taken) }) {
		return compile(of(pl))
	}
	own := len(f.Rules) - len(rules)
	for _, r := range f.Rules[:own] {
		compares := func(a filter.Arg) bool { // what is a blank in r
			return slices.ContainsFunc(r.Args, func(b filter.Arg) bool { return a.Index == b.Index && taken(b) })
		}
		if slices.ContainsFunc(rules, func(o filter.Rule) bool { return o.Call == r.Call && slices.ContainsFunc(o.Args, compares) }) {
			return compile(of(pl))
		}
	}
	prog, err := compile(f)
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(fmt.Appendln(slices.Clone(prog), pl.files, pl.Command.UID))
	var values []uint32
	for i := range uint32(zygote.FDCount) {
		values = append(values, pl.files+i)
	}
	return filled.get(key, func() ([]byte, error) { return filter.Fill(prog, blank, append(values, pl.Command.UID)...) })
}

// programs remembers what was compiled, and filled what was filled in: hundreds of services
// share a few profiles, and one compilation takes milliseconds and a megabyte for a while.
// They are memories of pure functions, so they need no owner.
var programs, filled memory

// memory has each program made once, and those that differ side by side.
type memory struct {
	sync.Mutex
	known map[[sha256.Size]byte]func() ([]byte, error)
}

// maxPrograms bounds a memory (about 5 KiB each); beyond it all are forgotten.
const maxPrograms = 64

func (m *memory) get(key [sha256.Size]byte, work func() ([]byte, error)) ([]byte, error) {
	m.Lock()
	made := m.known[key]
	if made == nil {
		made = sync.OnceValues(work)
		if m.known == nil || len(m.known) >= maxPrograms {
			m.known = map[[sha256.Size]byte]func() ([]byte, error){}
		}
		m.known[key] = made
	}
	m.Unlock()
	prog, err := made()
	if err != nil { // there were no descriptors, or no memory: not for ever
		m.Lock()
		delete(m.known, key)
		m.Unlock()
	}
	return prog, err
}

func compile(f filter.Filter) ([]byte, error) {
	text := fmt.Appendln(nil, f.OnViolation, f.Once)
	for _, words := range filter.Encode(f.Rules) {
		text = binary.NativeEndian.AppendUint32(text, uint32(len(words)))
		text, _ = binary.Append(text, binary.NativeEndian, words) // numbers are always encoded
	}
	return programs.get(sha256.Sum256(text), f.Compile)
}

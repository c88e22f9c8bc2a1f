package sandbox

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"casemate/sandbox/seccomp"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// Filter turns the lists into rules, normalized.
func (s *Syscalls) Filter() ([]seccomp.Rule, error) {
	rules, err := seccomp.Resolve(s.Allow, s.Deny)
	if err != nil {
		return nil, err
	}
	for _, r := range s.Rules {
		rules = append(rules, r.Filter()...)
	}
	return seccomp.Normalize(rules)
}

// Filter turns the rule into one for each of its values.
func (r *SyscallRule) Filter() []seccomp.Rule {
	rules := make([]seccomp.Rule, len(r.Values))
	for i, v := range r.Values {
		rules[i] = call(r.Name, masked(r.Arg, r.Mask, v))
	}
	return rules
}

// profileRules are the profile's own rules, and what the way its sockets are
// handed over makes necessary: taking connections and datagrams from a listening
// socket, and answering to an address where the profile's network grants that.
func profileRules(p Profile, c Command) ([]seccomp.Rule, error) {
	rules, err := p.Syscalls.Filter()
	if err != nil || !c.Listens {
		return rules, err
	}
	names := []string{"accept", "accept4", "getsockname", "recvfrom", "recvmsg"}
	if p.Network.Mode != NetworkNone {
		names = append(names, "sendto", "sendmsg")
	}
	for _, n := range names {
		if !slices.Contains(p.Syscalls.Deny, n) {
			rules = append(rules, seccomp.Rule{Name: n})
		}
	}
	return rules, nil
}

// cloneFlags are the namespaces of each connection. The network, uts and cgroup
// namespaces are the service's: without capabilities nobody inside can change
// them, and a fresh network namespace costs more than starting the program. So
// is the ipc namespace where nothing can be made in it.
func (pl *Plan) cloneFlags() uint32 {
	f := uint32(unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|unix.SIGCHLD) | unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_NEWNS
	if pl.makesIPC() {
		f |= unix.CLONE_NEWIPC
	}
	if !pl.Profile.Init {
		f |= unix.CLONE_NEWPID
	}
	return f
}

// ipcObjects are the calls that make System V objects and message queues.
var ipcObjects = []string{"shmget", "semget", "msgget", "mq_open"}

// makesIPC reports whether the filter lets the service make objects of its ipc
// namespace. Without them a namespace for each connection would separate
// nothing, and cost a twentieth of a start: the service's own one is enough.
func (pl *Plan) makesIPC() bool {
	return pl.makes(ipcObjects...)
}

// makes reports whether the filter lets the service perform one of the calls.
func (pl *Plan) makes(calls ...string) bool {
	return slices.ContainsFunc(pl.rules, func(r seccomp.Rule) bool { return slices.Contains(calls, r.Name) })
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

func eq(i uint, v uint32) seccomp.Arg { return seccomp.Arg{Index: i, Value: v} }

func masked(i uint, mask, v uint32) seccomp.Arg { return seccomp.Arg{Index: i, Mask: mask, Value: v} }

func call(name string, args ...seccomp.Arg) seccomp.Rule { return seccomp.Rule{Name: name, Args: args} }

// launchRules are the calls between the filter's installation and exec. The
// service inherits them, so each is pinned by its arguments as far as a filter
// can, to descriptor numbers it cannot make or to values that are powerless
// without the capabilities it does not have.
func (pl *Plan) launchRules(execByFD, landlocked bool) []seccomp.Rule {
	ctl := pl.files + zygote.FDCtl
	rules := []seccomp.Rule{
		call("recvmsg", eq(0, ctl)), call("write", eq(0, ctl)), call("exit_group"), call("close"), call("getpid"),
		call("clone", eq(0, pl.cloneFlags())),
		call("setsid"), call("dup3"), call("fcntl", eq(1, unix.F_SETFD)), call("close_range"),
		call("setresuid", pl.ids()...), call("capset"), call("getuid"), call("capget"),
		call("prctl", eq(0, unix.PR_SET_PDEATHSIG), eq(1, uint32(unix.SIGKILL))), call("poll"),
		call("rt_sigprocmask"),
	}
	if pl.Profile.Files.ownProc() {
		rules = append(rules, call("mount", eq(3, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY)))
	}
	if pl.Profile.Files.Scratch() > 0 {
		rules = append(rules, call("mount", eq(3, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)))
	}
	if pl.Profile.Files.Pty {
		rules = append(rules, call("mount", eq(3, unix.MS_NOSUID|unix.MS_NOEXEC)))
	}
	if pl.chdirLate() {
		rules = append(rules, call("chdir"))
	}
	if pl.Command.Dynamic {
		rules = append(rules, call("setresgid", pl.ids()...))
	}
	if pl.Profile.Resources[CPUTime] > 0 {
		rules = append(rules, call("prlimit64", eq(0, 0), eq(1, unix.RLIMIT_CPU)))
	}
	if landlocked {
		rules = append(rules, call("landlock_restrict_self", eq(0, pl.files+zygote.FDLandlock), eq(1, 0)))
	}
	return append(append(rules, pl.execRule(execByFD)), pl.optionalLaunchRules()...)
}

// execRule allows the exec of the launch, of the program's descriptor where it has
// one. With an absolute path execveat(2) ignores the descriptor: what holds the service
// to one exec is Filter.Once, where its profile can have that; elsewhere Landlock and the
// mounts say what may be executed.
func (pl *Plan) execRule(byFD bool) seccomp.Rule {
	if byFD {
		return call("execveat", eq(0, pl.files+zygote.FDExec), eq(4, unix.AT_EMPTY_PATH))
	}
	return call("execve")
}

func (pl *Plan) optionalLaunchRules() []seccomp.Rule {
	var rules []seccomp.Rule
	if pl.caps != 0 {
		rules = append(rules, call("prctl", eq(0, unix.PR_CAP_AMBIENT), eq(1, unix.PR_CAP_AMBIENT_RAISE)))
	}
	if pl.Profile.Init {
		rules = append(rules, pl.initRules()...)
	}
	if pl.Profile.Syscalls.Seal {
		rules = append(rules, call("seccomp", eq(0, unix.SECCOMP_SET_MODE_FILTER), eq(1, 0)))
	}
	return rules
}

// initRules are the calls that park an init, and its own.
func (pl *Plan) initRules() []seccomp.Rule {
	return []seccomp.Rule{
		call("setns", eq(0, pl.files+zygote.FDPidNS), eq(1, unix.CLONE_NEWPID)), call("unshare", eq(0, unix.CLONE_NEWPID)),
		call("pipe2", eq(1, unix.O_CLOEXEC)), call("clone", eq(0, zygote.InitFlags)), call("wait4", eq(2, unix.WALL)),
		call("pidfd_open", eq(0, 2), eq(1, 0)), call("ppoll", eq(1, 1)),
	}
}

// ids pins setresuid and setresgid to the service's own id or the lease range.
func (pl *Plan) ids() []seccomp.Arg {
	var args []seccomp.Arg
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
func (pl *Plan) filter(execByFD, landlocked bool) (filter, seal []byte, err error) {
	action := pl.Profile.Syscalls.OnViolation
	once := pl.Profile.ExecsOnce()
	filter, err = compile(seccomp.Filter{Rules: append(pl.launchRules(execByFD, landlocked), pl.rules...), OnViolation: action, Once: once})
	if err != nil {
		return nil, nil, fmt.Errorf("compile seccomp filter: %w", err)
	}
	if pl.Profile.Syscalls.Seal {
		// What is left after it: the unmasking of signals and the exec itself.
		seal, err = compile(seccomp.Filter{Rules: append(pl.sealRules(execByFD), pl.rules...), OnViolation: action, Once: once})
		if err != nil {
			return nil, nil, fmt.Errorf("compile seal filter: %w", err)
		}
	}
	return filter, seal, nil
}

// programs remembers what was compiled: hundreds of services share a few
// profiles, and one compilation takes milliseconds and a megabyte for a while.
// It is a memory of a pure function, so it needs no owner.
var programs struct {
	sync.Mutex
	known map[[sha256.Size]byte][]byte
}

// maxPrograms bounds programs (about 5 KiB each); beyond it all are forgotten.
const maxPrograms = 64

func compile(f seccomp.Filter) ([]byte, error) {
	h := sha256.New()
	fmt.Fprintln(h, f.OnViolation, f.Once)
	for _, r := range f.Rules {
		fmt.Fprintln(h, r)
	}
	key := [sha256.Size]byte(h.Sum(nil))
	programs.Lock()
	defer programs.Unlock()
	if p, ok := programs.known[key]; ok {
		return p, nil
	}
	p, err := f.Compile()
	if err != nil {
		return nil, err
	}
	if programs.known == nil || len(programs.known) >= maxPrograms {
		programs.known = map[[sha256.Size]byte][]byte{}
	}
	programs.known[key] = p
	return p, nil
}

func (pl *Plan) sealRules(execByFD bool) []seccomp.Rule {
	return []seccomp.Rule{{Name: "rt_sigprocmask"}, {Name: "exit_group"}, pl.execRule(execByFD)}
}

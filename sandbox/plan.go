package sandbox

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"casemate/sandbox/landlock"
	"casemate/sandbox/rootfs"
	"casemate/sandbox/seccomp/program"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// Plan is a profile and a command resolved into what each layer enforces. It is
// pure: the same on any machine, nothing opened, nothing checked on this host.
type Plan struct {
	Profile Profile
	Command Command
	// Filter is what its Shape comes to. Who asks for more than that sets it.
	Filter program.Filter

	tree     rootfs.Tree
	landlock []landlock.Rule
	caps     uint64
	files    uint32 // RLIMIT_NOFILE, and the first descriptor number of the launch calls
}

// defaultOpenFiles is RLIMIT_NOFILE where a profile names none.
const defaultOpenFiles = 1024

// Where the per-connection mounts go. Landlock does not see the directory hidden
// under a mount point, so /tmp and /dev/shm lie below a parent that carries their rule.
const (
	privateDir = "/private"
	privateTmp = "/private/tmp"
)

// NewPlan resolves p for c. An error names the attribute at fault.
func NewPlan(p Profile, c Command) (*Plan, error) {
	if err := c.check(p); err != nil {
		return nil, err
	}
	pl := &Plan{Profile: p, Command: c, files: defaultOpenFiles}
	if n := p.Resources[OpenFiles]; n > 0 {
		pl.files = uint32(n)
	}
	var err error
	if pl.caps, err = zygote.CapMask(p.Capabilities...); err != nil {
		return nil, fmt.Errorf("capabilities: %w", err)
	}
	pl.countProcesses()
	pl.layTree()
	return pl, nil
}

func (c *Command) check(p Profile) error {
	switch {
	case !path.IsAbs(c.Path) || path.Clean(c.Path) != c.Path:
		return fmt.Errorf("command %q: the program must be an absolute clean path", c.Path)
	case len(c.Argv) == 0:
		return errors.New("command: no argv")
	case p.UserNamespace && p.Init:
		return errors.New("init: not available in a user namespace: write init = false, and the program is process 1")
	case p.UserNamespace && p.Files.Proc:
		return errors.New("user_namespace: a /proc cannot be mounted inside a user namespace: leave files.proc out")
	case p.Files.State && !c.Dynamic && c.UID == 0: // it takes CAP_SETFCAP, which casemated gives up
		return errors.New("files.state: nothing is mapped to root: run the service as another user")
	case p.UserNamespace && !c.Dynamic && c.UID == 0:
		return errors.New("user_namespace: root is not mapped: run the service as another user")
	case p.UserNamespace && !c.Dynamic && c.UID != c.GID:
		return fmt.Errorf("user_namespace: uid %d and gid %d differ: one range maps both, use a user whose ids are equal or \"dynamic\"", c.UID, c.GID)
	}
	stdio, err := c.Stdio.zygote()
	if n := int64(minOpenFiles + c.Sockets); stdio == zygote.StdioFDs && p.Resources[OpenFiles] > 0 && p.Resources[OpenFiles] < n {
		return fmt.Errorf("open_files: %d is too small for %d sockets that are handed over: write at least %d", p.Resources[OpenFiles], c.Sockets, n)
	}
	return err
}

// environment is the fixed part with what the stdio mode adds (sd_listen_fds(3)).
func (c *Command) environment(p *Profile) []string {
	env := slices.Clone(c.Env)
	if p.Files.State {
		env = append(env, "STATE_DIRECTORY="+StateInside)
	}
	if name, ok := c.Stdio.Variable(); ok {
		return append(env, name+"=3")
	}
	if c.Stdio == StdioFDs {
		pid := "1" // the service is PID 1 of its namespace, or 2 behind init
		if p.Init {
			pid = "2"
		}
		env = append(env, "LISTEN_PID="+pid) // how many there are, each start says
	}
	return env
}

// limits are the rlimits of each process.
func (pl *Plan) limits() [16]uint64 {
	// What is not as the profile has it: a default, and what counts by user.
	r := pl.Profile.Resources
	r[OpenFiles], r[Tasks] = int64(pl.files), pl.tasks()
	out := ownLimits
	if !pl.Filter.Queues {
		out[unix.RLIMIT_MSGQUEUE] = 0
	}
	for i, row := range ResourceRows {
		if n := uint64(r[i]); n > 0 && !row.Group {
			out[row.Rlimit] = n
		}
	}
	return out
}

const unlimited = ^uint64(0)

// ownLimits are the rlimits where the profile says nothing, by resource: a kernel's
// own, whatever casemated was started with.
var ownLimits = [16]uint64{
	unix.RLIMIT_CPU: unlimited, unix.RLIMIT_FSIZE: unlimited, unix.RLIMIT_DATA: unlimited, unix.RLIMIT_STACK: 8 << 20,
	// A core would hold what clients sent. 1 is no file, and nothing for a program that core_pattern
	// names, which 0 would not keep away (core(5)).
	unix.RLIMIT_CORE: 1,
	unix.RLIMIT_RSS:  unlimited, unix.RLIMIT_NPROC: unlimited, unix.RLIMIT_NOFILE: defaultOpenFiles,
	unix.RLIMIT_MEMLOCK: 8 << 20, unix.RLIMIT_AS: unlimited, unix.RLIMIT_LOCKS: unlimited,
	unix.RLIMIT_SIGPENDING: 4096, unix.RLIMIT_MSGQUEUE: 800 << 10, unix.RLIMIT_NICE: 0, unix.RLIMIT_RTPRIO: 0,
	unix.RLIMIT_RTTIME: unlimited,
}

// TaskSlack is what a fixed user may have beside its services: other processes
// of the host count too, and must not keep a client out.
const TaskSlack = 64

// tasks is RLIMIT_NPROC. An init is root's, so it takes none of the service's.
func (pl *Plan) tasks() int64 {
	c, own := &pl.Command, pl.Profile.Resources[Tasks]
	switch {
	case own == 0 || c.Dynamic:
		return own
	case c.UserTasks == 0:
		return 0
	}
	return c.UserTasks + TaskSlack
}

// countProcesses bounds the tasks of the whole service where its profile leaves
// that open and has a cgroup anyway: its sessions, and the zygote's own threads.
// It counts root too, inits with it, and nobody else's processes.
func (pl *Plan) countProcesses() {
	r := &pl.Profile.Resources
	if r[Memory] == 0 || r[Processes] > 0 || r[Tasks] == 0 || pl.Command.Sessions == 0 {
		return
	}
	each := r[Tasks]
	if pl.Profile.Init {
		each++
	}
	r[Processes] = pl.Command.Sessions*each + starts
}

// layTree lists what exists inside and what Landlock grants there. Reading is
// granted at the root: the tree holds nothing that is not meant to be read, and a
// /proc mounted later hides the directory that would carry a rule of its own.
func (pl *Plan) layTree() {
	f, c := pl.Profile.Files, pl.Command
	pl.grant("/", landlock.Read)
	for _, p := range f.Read {
		pl.bind(rootfs.ReadOnly, p, landlock.Read)
	}
	for _, p := range append(slices.Clone(f.Exec), c.Path) {
		pl.bind(rootfs.Exec, p, landlock.Exec)
	}
	for _, p := range f.Write {
		pl.bind(rootfs.Write, p, landlock.Write)
	}
	for _, d := range f.Dev {
		pl.bind(rootfs.Device, "/dev/"+d, landlock.Device)
	}
	for _, p := range f.Devices {
		pl.bind(rootfs.Device, p, landlock.Control)
	}
	if f.Scratch() > 0 {
		pl.add(rootfs.Entry{Kind: rootfs.Dir, Path: privateTmp, Mode: 0o1777})
		pl.grant(privateDir, landlock.Write)
	}
	if f.State {
		pl.add(rootfs.Entry{Kind: rootfs.Dir, Path: zygote.StatePath})
		pl.link(StateInside, zygote.StatePath)
		pl.grant(privateDir, landlock.Write)
	}
	if f.Tmp > 0 {
		pl.link("/tmp", privateTmp)
	}
	if f.Shm > 0 {
		pl.link("/dev/shm", privateTmp)
	}
	if f.Log {
		pl.link("/dev/log", zygote.LogPath)
	}
	if f.Proc {
		kind := rootfs.Dir
		if f.HostProc {
			kind = rootfs.Proc
		}
		pl.add(rootfs.Entry{Kind: kind, Path: "/proc"})
		pl.link("/dev/fd", "/proc/self/fd")
		for fd, name := range []string{"stdin", "stdout", "stderr"} {
			pl.link("/dev/"+name, fmt.Sprintf("/proc/self/fd/%d", fd))
		}
	}
	if f.Pty {
		pl.add(rootfs.Entry{Kind: rootfs.Dir, Path: "/dev/pts"})
		pl.link("/dev/ptmx", "pts/ptmx")
		pl.add(rootfs.Entry{Kind: rootfs.Device, Path: "/dev/tty"}) // the terminal of whoever opens it
		pl.grant("/dev", landlock.Terminal)
	}
	if c.Dir != "" && c.Dir != "/" && !pl.chdirLate() && !pl.covered(c.Dir) {
		pl.add(rootfs.Entry{Kind: rootfs.Dir, Path: c.Dir})
	}
}

// covered reports whether dir is inside some entry already.
func (pl *Plan) covered(dir string) bool {
	return slices.ContainsFunc(pl.tree.Entries, func(e rootfs.Entry) bool {
		return e.Path == dir || strings.HasPrefix(dir, e.Path+"/") || strings.HasPrefix(e.Path, dir+"/")
	})
}

func (pl *Plan) add(e rootfs.Entry) {
	if !slices.ContainsFunc(pl.tree.Entries, func(o rootfs.Entry) bool { return o.Path == e.Path }) {
		pl.tree.Entries = append(pl.tree.Entries, e)
	}
}

func (pl *Plan) link(p, to string) {
	pl.add(rootfs.Entry{Kind: rootfs.Symlink, Path: p, Text: to})
}

func (pl *Plan) bind(kind rootfs.Kind, p string, access landlock.Access) {
	// What one bind shows of the host below it is not what another place of the host has there.
	pl.add(rootfs.Entry{Kind: kind, Path: p, Pin: len(pl.Profile.Files.Map) > 0})
	pl.grant(p, access)
}

func (pl *Plan) grant(p string, access landlock.Access) {
	pl.landlock = append(pl.landlock, landlock.Rule{Path: p, Access: access})
}

// chdirLate reports whether the working directory exists only once /tmp or the state directory is mounted.
func (pl *Plan) chdirLate() bool {
	in := func(top string) bool { return strings.HasPrefix(pl.Command.Dir+"/", top+"/") }
	return pl.Profile.Files.Tmp > 0 && in("/tmp") || pl.Profile.Files.State && in(StateInside)
}

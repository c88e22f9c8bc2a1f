package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"casemate/sandbox/cgroup"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/landlock"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// Options are the broker's part of a sandbox.
type Options struct {
	// Listen says that somebody answers the calls that are denied (zygote.Plan.Listen).
	Listen bool
	// Writable are the directories that any service of the policy may write,
	// beside this one's own: nothing is resolved through them.
	Writable []hostpath.ID
	// Trees are those of others that are prepared at the same time; nil for none.
	Trees *Trees
}

// Sandbox is a prepared Plan: namespaces, ruleset, filter and program held by
// descriptors. Nothing of it is resolved by name again. It costs no process.
type Sandbox struct {
	plan   *Plan // until Prepare is done: it is large, and nothing of it is needed again
	name   string
	tree   *tree
	limit  cgroup.Limits // of the service as a whole
	group  string        // its cgroup directory, "" for none
	state  int           // its state directory, -1 for none
	fds    []int
	losses []string

	// Events are memory.events and pids.events of its control group, for package events; -1 is none.
	Events [2]int
	// Start is what Spawn hands to the zygote, but for blanks in its filter. Its descriptors are the sandbox's.
	Start zygote.Plan
}

// Prepare resolves everything of a plan that this host has to give. It needs root
// and runs on no path of a connection. An error names the layer that cannot be
// enforced; layers in best_effort are left out instead and listed by Losses.
func Prepare(given *Plan, o Options) (_ *Sandbox, err error) {
	own := *given // what this host cannot give is taken out of a copy: a Plan stays what it was
	pl := &own
	s := &Sandbox{plan: pl, name: pl.Command.Service, Events: [2]int{-1, -1}, state: -1}
	defer func() {
		if err != nil {
			s.Close()
			err = fmt.Errorf("prepare sandbox: %w", OnKernel(err))
		}
		s.plan = nil
	}()
	if err := s.fitDescriptors(); err != nil {
		return nil, err
	}
	group, err := s.limits()
	if err != nil {
		return nil, err
	}
	if err := s.enter(o); err != nil {
		return nil, err
	}
	s.Start = pl.zygotePlan()
	if s.Start.State {
		if err := s.openState(o.Writable); err != nil {
			return nil, fmt.Errorf("files.state: %w", err)
		}
	}
	s.Start.Mnt = int32(s.tree.mnt)
	s.Start.CgroupProcs, s.Start.Landlock = int32(group), int32(s.tree.ruleset)
	if s.group == "" {
		s.substitute()
	}
	if err := fitLimits(s.Start.Rlimits[:]); err != nil {
		return nil, err
	}
	if s.Start.OOMScoreAdj, err = raised(pl.Command.OOMScore); err != nil {
		return nil, err
	}
	s.Start.Kept, _ = pl.Profile.Processor.Controls() // what it lacks, the filter's compiler has been told
	s.Start.Exec = -1
	if s.tree.byFD {
		s.Start.Exec = int32(s.tree.program)
	}
	s.Start.Listen = o.Listen
	return s, nil
}

// starts is how many starts of one service may be under way at once: while one
// waits for its exec, the other processor can begin the next.
const starts = 3

// zygotePlan is the part that needs nothing of this host.
func (pl *Plan) zygotePlan() zygote.Plan {
	c, p := pl.Command, pl.Profile
	stdio, _ := c.Stdio.zygote() // NewPlan has checked it
	z := zygote.Plan{
		Numbers: zygote.Numbers{
			High: pl.files, CloneFlags: pl.cloneFlags(), Namespaces: pl.namespaces(), Stdio: stdio, Outputs: c.Outputs, Umask: c.Umask,
			UID: c.UID, GID: c.GID, Nice: int32(c.Nice), Caps: pl.caps, ZygoteCaps: pl.zygoteCaps(), Rlimits: pl.limits(),
			Dynamic: c.Dynamic, Proc: p.Files.ownProc(), Tmp: p.Files.Scratch() > 0, Pty: p.Files.Pty, Init: p.Init, Leave: c.Leave, ChdirLate: pl.chdirs(), Slots: pl.slots(),
			Log: c.Log, State: p.Files.State, UserNS: p.UserNamespace,
		},
		Filter: pl.Filter.Program, Seal: pl.Filter.Seal, Groups: c.Groups, Path: c.Path, Dir: c.Dir, Argv: c.Argv, Env: c.environment(&p), UIDBase: c.UID, UIDCount: 1,
	}
	z.Keeps = p.Files.Scratch() > 0 && !pl.Filter.Watches && pl.caps == 0 && (c.Dynamic || c.UID != 0)
	if pl.Filter.IPC {
		z.CloneFlags |= unix.CLONE_NEWIPC
	}
	if stdio != zygote.StdioFDs {
		z.Workers = starts
	}
	if c.Dynamic {
		z.UIDBase, z.UIDCount = LeaseBase, LeaseCount
	}
	if z.Dir == "" {
		z.Dir = "/"
	}
	if n := p.Files.Scratch(); n > 0 {
		// One inode for each 4 KiB: many small files fill it no sooner than few large ones.
		z.TmpOptions = fmt.Sprintf("size=%d,nr_inodes=%d,mode=1777", n, max(n/4096, 16))
	}
	return z
}

// enter makes the tree, or finds one that is the same.
func (s *Sandbox) enter(o Options) (err error) {
	if why := cmp.Or(s.plan.Filter.Refused, s.plan.Filter.Error); why != "" {
		return errors.New(why)
	}
	s.losses = append(s.losses, s.plan.Filter.Losses...)
	s.plan.Command.Log = s.plan.Command.Log && landlock.ABI() >= landlock.ABIScopes
	if o.Trees == nil {
		o.Trees = new(Trees)
		defer o.Trees.Close()
	}
	s.tree, err = s.plan.plant(o.Trees, landlock.ABI(), o.Writable)
	return err
}

// substitute sets rlimits of each process in place of cgroup limits that are
// missing: weaker, since they do not count the service as a whole.
func (s *Sandbox) substitute() {
	r, own := s.plan.Profile.Resources, &s.Start.Rlimits
	if r[Memory] > 0 {
		own[unix.RLIMIT_DATA] = min(own[unix.RLIMIT_DATA], uint64(r[Memory]))
	}
	if r[Processes] > 0 {
		own[unix.RLIMIT_NPROC] = min(own[unix.RLIMIT_NPROC], uint64(r[Processes]))
	}
}

// raised is the oom_score_adj of services: above the broker's own, and never
// what keeps the broker itself from being chosen; that holds for one that is wanted too.
func raised(want int) (int, error) {
	text, rerr := os.ReadFile("/proc/self/oom_score_adj")
	own, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err = cmp.Or(rerr, err); err != nil {
		return 0, fmt.Errorf("oom_score_adj: %w", err)
	}
	if want == AsCasemated {
		return own, nil
	}
	if want != 0 && want < own {
		return 0, fmt.Errorf("oom_score: %d is below casemated's own %d: casemated would be chosen first", want, own)
	}
	return cmp.Or(want, min(max(own, 0)+oomAbove, 1000)), nil
}

// oomAbove is a tenth of all memory: a service that grows is chosen before a
// broker of a few megabytes, and before what else the host runs at 0.
const oomAbove = 100

// Losses are the best_effort layers that this host could not give, each with the reason.
func (s *Sandbox) Losses() []string { return s.losses }

// Spawn starts the sandbox's zygote and waits until it has entered; it takes
// about a millisecond and must not run on the event loop's thread.
func (s *Sandbox) Spawn() (*zygote.Zygote, error) {
	start, err := s.Filled()
	if err != nil {
		return nil, err
	}
	z, err := zygote.Spawn(&start)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", OnKernel(err))
	}
	return z, nil
}

// Proof names all that the outcome of a Spawn depends on but for the tree, which was
// entered when it was made: one Spawn proves all sandboxes of equal proofs.
func (s *Sandbox) Proof() (string, error) {
	start, err := s.Filled()
	text, cerr := start.Entering()
	return fmt.Sprint(text, s.limit), cmp.Or(err, cerr)
}

// Close gives everything back. Zygotes and services that run keep what they have; it waits a
// moment for those of a cgroup to end, which stays otherwise, with an error.
func (s *Sandbox) Close() error {
	for _, fd := range s.fds {
		unix.Close(fd)
	}
	s.fds = nil
	if s.tree != nil {
		s.tree.leave()
		s.tree = nil
	}
	if s.group == "" {
		return nil
	}
	group := s.group
	s.group = ""
	return cgroup.RemoveEmpty(group, clearTimeout)
}

package sandbox

import (
	"errors"
	"fmt"
	"slices"

	"casemate/sandbox/landlock"
	"casemate/sandbox/seccomp/program"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// Shape is what the plan's filter depends on, on a kernel of that Landlock ABI (ABI for this one).
func (pl *Plan) Shape(abi int) program.Shape {
	c, p := &pl.Command, &pl.Profile
	n, s := &p.Network, &p.Syscalls
	sh := program.Shape{
		Rules: s.Rules.Pack(), Deny: s.Deny, OnViolation: s.OnViolation, Seal: s.Seal, ABI: abi, BestEffort: p.BestEffort, Bounded: p.Resources.Bounded(),
		Host: n.Mode == NetworkHost, AnyConnect: anyPort(n.Connect), AnyBind: anyPort(n.Bind), Sends: n.Mode != NetworkNone,
		Private: n.Mode == NetworkPrivate, Relay: c.Stdio == StdioRelay,
		Listens: c.Listens, UnixDatagrams: c.UnixDatagrams, Log: c.Log,
		Proc: p.Files.ownProc(), Scratch: p.Files.Scratch() > 0, Pty: p.Files.Pty, State: p.Files.State, Ahead: pl.slots() > 0, Chdir: pl.chdirs(),
		CPU: p.Resources[CPUTime] > 0, Init: p.Init, Caps: pl.caps != 0, HostPIDs: c.HostPIDs,
		CloneFlags: pl.cloneFlags(), OwnCore: p.Processor.Core == "session",
	}
	_, sh.Lacks = p.Processor.Controls()
	if c.Dynamic {
		sh.Leases = &[2]uint32{LeaseBase, ^uint32(LeaseCount - 1)}
	}
	if s.Filter == "" { // the broker's own helpers stand in no policy
		sh.Names = s.Allow
	}
	return sh
}

// OnKernel names the kernel in an error by which it does not know a system call, or what it was asked with one.
func OnKernel(err error) error {
	var u unix.Utsname
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) || unix.Uname(&u) != nil {
		return err
	}
	return fmt.Errorf("%w (kernel: Linux %s)", err, unix.ByteSliceToString(u.Release[:]))
}

// Controls are what a zygote sets of p on this kernel (zygote.Plan.Kept), and the words of best_effort for what it cannot.
// What affects nobody here, or is off for all, is not to be set.
func (p *Processor) Controls() (set uint64, lacks []string) {
	for which, word := range []string{p.StoreBypass, p.IndirectBranch} {
		how, err := unix.PrctlRetInt(unix.PR_GET_SPECULATION_CTRL, uintptr(which), 0, 0, 0)
		switch {
		case word == "":
		case err == nil && how&unix.PR_SPEC_PRCTL != 0:
			set |= zygote.NoStoreBypass << which
		case err != nil || how == unix.PR_SPEC_ENABLE:
			lacks = append(lacks, []string{"processor.store_bypass", "processor.indirect_branch"}[which])
		}
	}
	// Without a place for its answer, a kernel with core scheduling says EFAULT, or ENODEV where no core has two threads.
	switch err := unix.Prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_GET, 0, 0, 0); {
	case p.Core == "":
	case err != unix.EFAULT && err != unix.ENODEV:
		lacks = append(lacks, "processor.core")
	case p.Core == "service":
		set |= zygote.CoreOfService
	default:
		set |= zygote.CoreOfSession
	}
	return set, lacks
}

// ABI is this kernel's version of Landlock, 0 for none.
var ABI = landlock.ABI

// onceSpace bounds the address space of a program that is to execute once: with more
// it could leave the kernel no place for a mapping but that of the launch's gate. For
// that it needs 2^47 bytes of mappings or gaps between them, none larger than what is
// left of the bound, and a page for each: over 2^30 in all.
const onceSpace = 1 << 30

// Bounded reports whether they hold a program to that, if its system calls do.
func (r *Resources) Bounded() bool {
	return r[AddressSpace] > 0 && r[AddressSpace] <= onceSpace && r[Stack] <= onceSpace
}

// Filled is Start with its filter for its descriptors and its user: the one without, services share.
func (s *Sandbox) Filled() (p zygote.Plan, err error) {
	p = s.Start
	if p.Filter, p.Seal, err = (&program.Filter{Program: p.Filter, Seal: p.Seal}).Fill(p.High, p.UID); err != nil {
		err = fmt.Errorf("seccomp filter: %w", err)
	}
	return p, err
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

// cloneFlags are the namespaces of each connection, but for that of ipc objects. The zygote's
// are enough for the rest, and for those too where nothing can be made in it, as for its mounts where
// a connection has none of its own: nothing inside has the capability that changes one. One that takes that is there always, for
// the filter's sake: no program makes itself a sibling, whom nobody knows or reaps.
func (pl *Plan) cloneFlags() uint32 {
	f := uint32(unix.CLONE_PARENT|unix.CLONE_PARENT_SETTID|unix.SIGCHLD) | unix.CLONE_VM | unix.CLONE_VFORK
	if pl.Profile.Files.mounts() {
		f |= unix.CLONE_NEWNS
	}
	if !pl.Profile.Init && !pl.Command.HostPIDs {
		f |= unix.CLONE_NEWPID
	} else { // the cheapest
		f |= unix.CLONE_NEWUTS
	}
	if pl.Profile.Network.Mode == NetworkPrivate {
		f |= unix.CLONE_NEWNET
	}
	return f
}

// slots are how many mount namespaces are made ahead: none where the end of a session's last process is not to be known
// (no pid namespace), where descriptors have places, or where mounts are another user namespace's. Each
// takes two of the zygote's descriptors, of which a service has few.
func (pl *Plan) slots() uint16 {
	stdio, _ := pl.Command.Stdio.zygote() // NewPlan has checked it
	if !pl.Profile.Files.mounts() || pl.Command.HostPIDs || pl.Profile.UserNamespace || stdio == zygote.StdioFDs || pl.files < 48 {
		return 0
	}
	return uint16(min((pl.files-32)/2, zygote.MaxSlots))
}

// chdirs reports whether the last steps change the working directory: also where a namespace is joined, which leads to its root.
func (pl *Plan) chdirs() bool {
	return pl.chdirLate() || pl.slots() > 0 && pl.Command.Dir != "/" && pl.Command.Dir != ""
}

// zygoteCaps are what the launches need: namespaces and mounts, the ids, and a loopback.
func (pl *Plan) zygoteCaps() uint64 {
	caps := uint64(1<<unix.CAP_SETUID | 1<<unix.CAP_SYS_ADMIN)
	if pl.slots() > 0 {
		caps |= 1 << unix.CAP_SYS_CHROOT
	}
	if pl.Command.Dynamic {
		caps |= 1 << unix.CAP_SETGID
	}
	if pl.Profile.Network.Mode == NetworkPrivate {
		caps |= 1 << unix.CAP_NET_ADMIN
	}
	return caps
}

// landlockNet is what the profile leaves of the network.
func (pl *Plan) landlockNet() landlock.Net {
	n := &pl.Profile.Network
	if n.Mode == NetworkPrivate { // whatever its sockets reach is of its own session
		return landlock.Net{Connect: []uint16{0}, Bind: []uint16{0}, UDP: true}
	}
	return landlock.Net{
		Connect: n.Connect, Bind: n.Bind,
		// Lists of TCP ports say nothing about UDP, and an answer from a listening
		// socket is a send by address.
		UDP: n.Mode == NetworkHost || pl.Command.Listens,
	}
}

// anyPort reports whether a list of a profile stands for every port.
func anyPort(list []uint16) bool { return slices.Contains(list, 0) }

package launch

import (
	"fmt"
	"slices"
	"strings"

	"casemate/sandbox/landlock"
	"casemate/sandbox/seccomp/program"
)

// Layer is a part of the sandbox that a host may be unable to give.
type Layer struct {
	Name string
	// abi and since are, for a part of Landlock, the first version of its
	// interface that has it, and the Linux that brought that.
	abi   int
	since string
}

// Layers is every word of best_effort. A word with a dot is a part of a layer; the
// layer's own word stands for all of it.
var Layers = []Layer{
	{allOfLandlock, 1, "5.13"},
	{landlockNet, landlock.ABINet, "6.7"},
	{landlockScopes, landlock.ABIScopes, "6.12"},
	{filesLog, landlock.ABIScopes, "6.12"},
	{Name: "cgroup"},
	{Name: "resources.open_files"},
	{Name: processor},
	{Name: storeBypass},
	{Name: indirectBranch},
	{Name: ownCore},
}

const (
	allOfLandlock  = "landlock"
	landlockNet    = "landlock.net"
	landlockScopes = "landlock.scopes"
	filesLog       = "files.log"
	processor      = "processor"
	storeBypass    = "processor.store_bypass"
	indirectBranch = "processor.indirect_branch"
	ownCore        = "processor.core"
)

// missing tells what the kernel (program.Shape.ABI and Lacks) cannot
// enforce of a shape, where no other layer does: the parts that its profile lets
// go as losses, or else the first of the others, with what to write.
func (s *shape) missing(f *program.Filter) {
	whole := false // Landlock is given up, and its parts with it
	for _, l := range Layers {
		held, lacks := s.held(l.Name), s.lacks(l)
		switch {
		case lacks == "" || held == "" || whole && l.abi > 0:
			continue
		case s.dispenses(l.Name):
			f.Losses = append(f.Losses, fmt.Sprintf("%s: %s", l.Name, lacks))
			whole = whole || l.Name == allOfLandlock
		default:
			f.Losses, f.Refused = nil, fmt.Sprintf("%s: %s: nothing else %s, or write best_effort = [%q]", l.Name, lacks, held, l.Name)
			return
		}
	}
}

// lacks says what a layer needs of the kernel that it does not have; "" is nothing.
func (s *shape) lacks(l Layer) string {
	switch {
	case slices.Contains(s.Lacks, l.Name):
		return controls[l.Name]
	case s.ABI >= l.abi:
		return ""
	case s.ABI < 1:
		return "this kernel has no Landlock (it takes Linux " + l.since + " and lsm=landlock at boot)"
	}
	return fmt.Sprintf("this kernel has Landlock ABI %d, and it takes %d (Linux %s)", s.ABI, l.abi, l.since)
}

// controls are what the parts of the processor layer need.
var controls = map[string]string{
	storeBypass:    "this processor speculates past stores, and this kernel has no switch for it that a process can use (it takes Linux 4.17 without spec_store_bypass_disable=off or mitigations=off at boot)",
	indirectBranch: "this processor speculates on indirect branches, and this kernel has no switch for it that a process can use (it takes Linux 4.20 without spectre_v2_user=off or mitigations=off at boot)",
	ownCore:        "this kernel has no core scheduling (it takes Linux 5.14 with CONFIG_SCHED_CORE), or casemated may not use it",
}

// dispenses reports whether best_effort names the layer, or the whole it is a part of.
func (s *shape) dispenses(name string) bool {
	whole, _, _ := strings.Cut(name, ".")
	return slices.Contains(s.BestEffort, name) || whole != name && slices.Contains(s.BestEffort, whole)
}

// held says what a part of Landlock alone keeps the service from, and how to do
// without; "" where other layers hold all of it. The rights to truncate, to move
// between directories and to call ioctl on devices are never missed: every mount but
// the writable ones is read-only, and ioctl is granted on the devices that do something
// for one.
func (s *shape) held(part string) string {
	switch part {
	case allOfLandlock:
		return "keeps it to its files from inside: use a kernel that has it"
	case landlockNet:
		return s.heldPorts()
	case landlockScopes:
		return s.heldScopes()
	case storeBypass, indirectBranch:
		return "keeps what it speculates on from being measured: leave it out of processor, which is the host's way"
	case ownCore:
		return "keeps others off the other threads of its cores: leave core out of processor"
	case filesLog:
		if s.Log {
			return "keeps sockets, the client's first, from the addresses that its connect(2) could name: write log = false"
		}
	}
	return ""
}

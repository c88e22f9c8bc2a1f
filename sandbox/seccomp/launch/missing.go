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
}

const (
	allOfLandlock  = "landlock"
	landlockNet    = "landlock.net"
	landlockScopes = "landlock.scopes"
	filesLog       = "files.log"
)

// missing tells what the kernel (program.Shape.ABI) cannot
// enforce of a shape, where no other layer does: the parts that its profile lets
// go as losses, or else the first of the others, with what to write.
func (s *shape) missing(f *program.Filter) {
	for _, l := range Layers {
		held := s.held(l.Name)
		switch {
		case s.ABI >= l.abi || held == "":
			continue
		case s.dispenses(l.Name):
			f.Losses = append(f.Losses, fmt.Sprintf("%s: %s", l.Name, lacks(s.ABI, l)))
		default:
			f.Losses, f.Refused = nil, fmt.Sprintf("%s: %s: nothing else %s, or write best_effort = [%q]", l.Name, lacks(s.ABI, l), held, l.Name)
			return
		}
		if l.Name == allOfLandlock {
			break // the parts go with the whole
		}
	}
}

func lacks(abi int, l Layer) string {
	if abi < 1 {
		return "this kernel has no Landlock (Linux " + l.since + ", and lsm=landlock at boot)"
	}
	return fmt.Sprintf("this kernel has Landlock ABI %d, and it takes %d (Linux %s)", abi, l.abi, l.since)
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
	case filesLog:
		if s.Log {
			return "keeps sockets, the client's first, from the addresses that its connect(2) could name: write log = false"
		}
	}
	return ""
}

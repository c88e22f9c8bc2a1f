package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"casemate/sandbox/landlock"
)

// Missing tells what a kernel of that Landlock ABI (0: no Landlock) cannot
// enforce of a plan, where no other layer does: the parts that its profile lets
// go as losses, the others as an error that says what to write. It is pure.
func (pl *Plan) Missing(abi int) (losses []string, err error) {
	for _, l := range Layers {
		held := pl.held(l.Name)
		switch {
		case abi >= l.abi || held == "":
			continue
		case pl.dispenses(l.Name):
			losses = append(losses, fmt.Sprintf("%s: %s", l.Name, lacks(abi, l)))
		default:
			return nil, fmt.Errorf("%s: %s: nothing else %s, or write best_effort = [%q]", l.Name, lacks(abi, l), held, l.Name)
		}
		if l.Name == allOfLandlock {
			break // the parts go with the whole
		}
	}
	return losses, nil
}

func lacks(abi int, l Layer) string {
	if abi < 1 {
		return "this kernel has no Landlock (Linux " + l.since + ", and lsm=landlock at boot)"
	}
	return fmt.Sprintf("this kernel has Landlock ABI %d, and it takes %d (Linux %s)", abi, l.abi, l.since)
}

// dispenses reports whether best_effort names the layer, or the whole it is a part of.
func (pl *Plan) dispenses(name string) bool {
	whole, _, _ := strings.Cut(name, ".")
	return slices.Contains(pl.Profile.BestEffort, name) || whole != name && slices.Contains(pl.Profile.BestEffort, whole)
}

// held says what a part of Landlock alone keeps the service from, and how to do
// without; "" where other layers hold all of it. The rights to truncate, to move
// between directories and to call ioctl on devices are never missed: every mount but
// the writable ones is read-only, and ioctl is granted on the devices that do something
// for one.
func (pl *Plan) held(part string) string {
	switch part {
	case allOfLandlock:
		return "keeps it to its files from inside: use a kernel that has it"
	case landlockNet:
		return pl.Filter.Ports
	case landlockScopes:
		return pl.Filter.Scopes
	case filesLog:
		if pl.Command.Log {
			return "keeps sockets, the client's first, from the addresses that its connect(2) could name: write log = false"
		}
	}
	return ""
}

// landlockNet is what the profile leaves of the network.
func (pl *Plan) landlockNet() landlock.Net {
	n := &pl.Profile.Network
	ports := func(list []uint16) landlock.Ports {
		if anyPort(list) {
			return landlock.Ports{Any: true}
		}
		return landlock.Ports{List: list}
	}
	return landlock.Net{
		Connect: ports(n.Connect), Bind: ports(n.Bind),
		// Lists of TCP ports say nothing about UDP, and an answer from a listening
		// socket is a send by address.
		UDP: n.Mode == NetworkHost || pl.Command.Listens,
	}
}

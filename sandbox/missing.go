package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"casemate/sandbox/landlock"
	"casemate/sandbox/seccomp/filter"

	"golang.org/x/sys/unix"
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
		return pl.heldPorts()
	case landlockScopes:
		return pl.heldScopes()
	case filesLog:
		if pl.Command.Log {
			return "keeps sockets, the client's first, from the addresses that its connect(2) could name: write log = false"
		}
	}
	return ""
}

// heldPorts: a new socket of a service without network is in an empty
// namespace, but the client's is in the broker's, and connect(2) re-aims it.
func (pl *Plan) heldPorts() string {
	n := &pl.Profile.Network
	connects := !anyPort(n.Connect) && pl.lets(unix.SYS_CONNECT)
	switch {
	case n.Mode != NetworkHost && connects:
		return "keeps the client's socket from other addresses: take connect out of its system calls"
	case connects:
		return `keeps it to the ports of connect: write connect = ["any"]`
	case n.Mode == NetworkHost && !anyPort(n.Bind) && pl.lets(unix.SYS_BIND):
		return `keeps it to the ports of bind: write bind = ["any"]`
	}
	return ""
}

// heldScopes: abstract unix sockets belong to a network namespace, which is the
// broker's for what it hands over, and one for all sessions of a service.
func (pl *Plan) heldScopes() string {
	if !pl.aims() {
		return ""
	}
	own := pl.lets(unix.SYS_SOCKETPAIR) || filter.Allows(pl.rules, filter.UnixSocket)
	switch {
	case pl.Command.UnixDatagrams:
		return "keeps a unix datagram socket from abstract addresses of the host: listen on another network"
	case own && pl.Profile.Network.Mode == NetworkHost:
		return "keeps it from abstract unix sockets of the host: take unix sockets out of its system calls"
	case own && pl.lets(unix.SYS_BIND):
		return "keeps its sessions from each other's abstract unix sockets: take bind out of its system calls"
	}
	return ""
}

// lets reports whether the filter lets the call through with any arguments at all.
func (pl *Plan) lets(nr int) bool {
	return filter.Allows(pl.rules, call(nr)) || filter.Allows(pl.rules, call(unix.SYS_IO_URING_SETUP))
}

// aims reports whether the filter lets it choose the peer of a socket that it has.
func (pl *Plan) aims() bool {
	return pl.lets(unix.SYS_CONNECT) || pl.lets(unix.SYS_SENDMSG) || pl.lets(unix.SYS_SENDMMSG) ||
		slices.ContainsFunc(pl.rules, func(r filter.Rule) bool { return r.Call == unix.SYS_SENDTO && !call(r.Call, eq(5, 0)).Covers(r) })
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

// anyPort reports whether a list of a profile stands for every port.
func anyPort(list []uint16) bool { return slices.Contains(list, 0) }

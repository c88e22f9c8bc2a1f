// Package listener owns the sockets casemated listens on: opening, accepting,
// refusing, and giving a datagram peer a socket of its own.
//
// It deals in raw descriptors because both halves of Go's net package are wrong
// here: net listeners are non-blocking through the shared file description, so a
// child that is handed the socket would inherit that, and they are MPTCP by
// default, which Landlock does not govern and SO_ATTACH_BPF refuses.
//
// It runs as root inside casemated and reads no byte a client sent: accepting
// and looking at datagrams yields addresses and lengths only.
package listener

import (
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// KeepID as a Spec's UID or GID leaves the owner or group of a new unix socket
// as the kernel made it (the same number chown(2) uses for "no change").
const KeepID = ^uint32(0)

// Spec is one address to listen on.
type Spec struct {
	// Network is tcp4, tcp6, udp4, udp6, unix, unixgram or unixpacket.
	Network string
	// Addr is the local address of an IP socket. tcp6 and udp6 sockets are always
	// v6-only; both families on one port take two Specs (see Expand).
	Addr netip.AddrPort
	// Path is the absolute path of a unix socket, or "@name" for the abstract namespace.
	Path string
	// Mode is the permission bits of a unix socket file, taken as they are (0 lets nobody but root in).
	Mode uint32
	// UID and GID own a unix socket file; KeepID leaves them.
	UID, GID uint32
	// Backlog is the listen(2) queue; 0 means net.core.somaxconn. The kernel cuts larger numbers down to that.
	Backlog int
	// Wait says that the socket itself is handed to a program. It is then never
	// made non-blocking, because the flag would be shared with that program.
	Wait bool
	// Share lets a udp socket bind although per-peer sockets that SplitPeer made
	// (and living children still hold) keep the port. It never helps against
	// other users' sockets: SO_REUSEPORT asks for the same uid on all of them.
	Share bool
}

// Key is the identity of the address: "tcp4/0.0.0.0:79", "udp6/[::1]:7",
// "unix//run/x.sock". Two generations that both name a Key share its socket, so
// the key leaves out everything Reconfigure can change on a living one.
func (s Spec) Key() string {
	if s.isUnix() {
		return s.Network + "/" + s.Path
	}
	return s.Network + "/" + s.Addr.String()
}

// Stream says whether connections are accepted from the socket (tcp, unix and
// unixpacket) as opposed to datagrams being read from it.
func (s Spec) Stream() bool {
	return s.Network != "udp4" && s.Network != "udp6" && s.Network != "unixgram"
}

func (s Spec) isUnix() bool {
	return s.Network == "unix" || s.Network == "unixgram" || s.Network == "unixpacket"
}

func (s Spec) isUDP() bool { return s.Network == "udp4" || s.Network == "udp6" }

// Expand turns one listen address of the policy into Specs, ordered by port and
// v4 before v6. "tcp" and "udp" without an address mean both families: a v4
// socket and a v6-only one; with an address they mean its family. first and last
// are the ends of a port range (equal for one port). A network that contradicts
// the address (tcp4 with a v6 address), an unknown network, and an empty range
// give nil.
func Expand(network string, addr netip.Addr, first, last uint16) []Spec {
	proto, families := split(network, addr)
	if proto == "" || last < first {
		return nil
	}
	specs := make([]Spec, 0, len(families)*(int(last)-int(first)+1))
	for port := int(first); port <= int(last); port++ {
		for _, family := range families {
			a := addr.Unmap()
			if !addr.IsValid() {
				a = wildcard(family)
			}
			specs = append(specs, Spec{
				Network: proto + strconv.Itoa(family),
				Addr:    netip.AddrPortFrom(a, uint16(port)),
				UID:     KeepID,
				GID:     KeepID,
			})
		}
	}
	return specs
}

func split(network string, addr netip.Addr) (proto string, families []int) {
	family := 0
	switch network {
	case "tcp", "udp":
		proto = network
	case "tcp4", "udp4":
		proto, family = network[:3], 4
	case "tcp6", "udp6":
		proto, family = network[:3], 6
	default:
		return "", nil
	}
	if addr.IsValid() {
		own := 6
		if addr.Unmap().Is4() {
			own = 4
		}
		if family != 0 && family != own {
			return "", nil
		}
		family = own
	}
	if family == 0 {
		return proto, []int{4, 6}
	}
	return proto, []int{family}
}

func wildcard(family int) netip.Addr {
	if family == 4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// sockType is the second argument of socket(2).
func (s Spec) sockType() int {
	switch s.Network {
	case "udp4", "udp6", "unixgram":
		return unix.SOCK_DGRAM
	case "unixpacket":
		return unix.SOCK_SEQPACKET
	default:
		return unix.SOCK_STREAM
	}
}

package address

import (
	"net/netip"
	"strings"
)

// Endpoint is what one socket is bound to.
type Endpoint struct {
	// Network is tcp4, tcp6, udp4, udp6, unix, unixgram, unixpacket or vsock.
	Network string
	// Addr is the local address of an IP socket. IPv6 sockets are always
	// v6-only; both families on one port are two Endpoints.
	Addr netip.AddrPort
	// Interface is the only one whose packets an IP socket takes; "" is all.
	Interface string
	// Path is as that of a Listen.
	Path string
}

// Key is the identity of the endpoint: "tcp4/0.0.0.0:79", "udp6/[::1]:7", with its interface
// "tcp4/0.0.0.0:79%eth0", or "unix:/run/x.sock".
func (e Endpoint) Key() string {
	if lookup(e.Network).path {
		return e.Network + ":" + e.Path
	}
	if e.Interface != "" {
		return e.Network + "/" + e.Addr.String() + "%" + e.Interface
	}
	return e.Network + "/" + e.Addr.String()
}

// Unix tells whether e is of the unix family.
func (e Endpoint) Unix() bool { return strings.HasPrefix(e.Network, "unix") }

// Transport is the network without the family: tcp, udp, unix, unixgram, unixpacket or vsock.
func (e Endpoint) Transport() string { return strings.TrimRight(e.Network, "46") }

// Stream tells whether connections are accepted from the socket (tcp, unix,
// unixpacket and vsock) as opposed to datagrams being read from it.
func (e Endpoint) Stream() bool { return !lookup(e.Network).datagram }

// UDP tells whether e receives udp datagrams.
func (e Endpoint) UDP() bool { return !e.Stream() && !e.Unix() }

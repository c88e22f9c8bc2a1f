package builtin

import "net/netip"

// The udp rules that need no policy. A forged source makes any responder a
// weapon, so this is the union of what every inetd refuses (OpenBSD's
// dg_badinput, FreeBSD's own ports, NetBSD's broadcast check) and the ports of
// services known for answering anything:
//
//	389 CLDAP, 1900 SSDP, 2049 NFS, 3702 WS-Discovery, 5353 mDNS, 11211 memcached
//
// Ports below 1024, which take in every well-known echo, chargen and DNS port, are
// all refused: a client asks from a port of its own.
var refusedPorts = map[uint16]bool{1900: true, 2049: true, 3702: true, 5353: true, 11211: true}

const firstClientPort = 1024

// Why the guard refuses, as the records say it.
const (
	badPort    = "source-port"
	badSource  = "source-address"
	badTarget  = "broadcast"
	badLoop    = "loopback-source"
	badSelf    = "own-address"
	badNothing = ""
)

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")   // RFC 1122 3.2.1.3
	reserved    = netip.MustParsePrefix("240.0.0.0/4") // RFC 1112 4, with the limited broadcast
	mappedNet   = netip.MustParsePrefix("::ffff:0:0/96")
)

// guard judges datagrams by their addresses.
type guard struct {
	ports    map[uint16]bool // the service's own, on all of its sockets
	loopback bool            // the socket is bound to a loopback address
}

// check returns why a datagram must not be answered, or "". from is its source as
// the kernel wrote it. local is our address that it reached, and to the one it
// was sent to, which differ for broadcast and multicast; both may be unknown (zero).
func (g *guard) check(from netip.AddrPort, local, to netip.Addr) string {
	ip, port := from.Addr(), from.Port()
	switch {
	case port < firstClientPort || refusedPorts[port] || g.ports[port]:
		return badPort
	case !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Is4In6():
		return badSource
	case ip.Is4() && (thisNetwork.Contains(ip) || reserved.Contains(ip)):
		return badSource
	case to.IsValid() && (to.IsMulticast() || to.IsUnspecified() || to != local):
		return badTarget
	case g.loopback:
		return badNothing
	case ip.IsLoopback():
		return badLoop
	case local.IsValid() && ip.WithZone("") == local:
		return badSelf
	}
	return badNothing
}

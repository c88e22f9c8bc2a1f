package listener

import (
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Peer is who is at the other end, as far as the kernel vouches for it: the one
// form a client has from accept to its last record. The zero Peer is nobody in
// particular: the clients of a wait service are known to its program alone.
type Peer struct {
	// Addr is the IP address and port, unmapped and without zone, so that one
	// client has one spelling in rules, limits and logs. Zero for unix peers.
	Addr netip.AddrPort
	// Zone is the interface of a link-local v6 peer, "" otherwise.
	Zone string
	// Unix says that the peer is on a unix socket; PID, UID and GID are then its
	// credentials when it connected (SO_PEERCRED) or sent (SCM_CREDENTIALS).
	Unix          bool
	PID, UID, GID uint32
	// VM says that the peer is on a vsock: the machine CID, and a port there, of which one
	// below 1024 is its root's.
	VM        bool
	CID, Port uint32
	// Name is the forward-confirmed host name, "" as long as nobody has asked for
	// it or where there is none. Nothing in this package sets it.
	Name string
}

// String is the peer in one word, "" for nobody in particular.
func (p Peer) String() string {
	if p.Addr.IsValid() {
		return p.Addr.String()
	}
	return p.Number()
}

// Number is a peer without an address in one word, as rules name it; "" for others.
func (p Peer) Number() string {
	switch {
	case p.Unix:
		return "uid=" + strconv.FormatUint(uint64(p.UID), 10)
	case p.VM:
		return "cid=" + strconv.FormatUint(uint64(p.CID), 10)
	}
	return ""
}

// Key is a peer without an address as a number, by which limits count it: no user's is a machine's.
func (p Peer) Key() uint64 {
	if p.VM {
		return 1<<32 | uint64(p.CID)
	}
	return uint64(p.UID)
}

// LocalAddr is the local address and port of an IP socket, with its zone; the zero AddrPort for others.
func LocalAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p := InetPeer(fd, sa)
	return netip.AddrPortFrom(p.Addr.Addr().WithZone(p.Zone), p.Addr.Port()), nil
}

// InetPeer is the Peer of a kernel address, nobody's where that is none of IP. A link-local
// address comes with the number of its interface.
func InetPeer(fd int, sa unix.Sockaddr) (p Peer) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		p.Addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		p.Addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
		if sa.ZoneId != 0 {
			p.Zone = zoneName(fd, sa.ZoneId)
		}
	}
	return p
}

// sockaddr is the kernel's form of addr; fd serves to look its zone up.
func sockaddr(fd int, addr netip.AddrPort) (unix.Sockaddr, error) {
	index, err := ZoneIndex(fd, addr.Addr().Zone())
	return WithZone(addr, index), err
}

// WithZone is the kernel's form of addr, where index is that of its interface (0 = none).
func WithZone(addr netip.AddrPort, index uint32) unix.Sockaddr {
	ip := addr.Addr()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() { // others have none
		sa.ZoneId = index
	}
	return sa
}

// ZoneIndex and zoneName are if_nametoindex(3) and if_indextoname(3) on a
// socket we already have; Go's would open a netlink socket for each question.
func ZoneIndex(fd int, zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	ifr, err := unix.NewIfreq(zone)
	if err != nil {
		return 0, fmt.Errorf("interface %q: %w", zone, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, fmt.Errorf("interface %q: %w", zone, err)
	}
	return ifr.Uint32(), nil
}

func zoneName(fd int, index uint32) string {
	ifr, _ := unix.NewIfreq("") // only a long name fails
	ifr.SetUint32(index)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr); err == nil {
		return ifr.Name()
	}
	return strconv.FormatUint(uint64(index), 10) // the interface is gone; its number still identifies the peer
}

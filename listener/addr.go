package listener

import (
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// LocalAddr is the local address and port of an IP socket, with its zone; the zero AddrPort for others.
func LocalAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return AddrOf(fd, sa), nil
}

// AddrOf is an address of the kernel's, unmapped, a link-local one with the name of its interface; the zero AddrPort
// for what is none of IP.
func AddrOf(fd int, sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zoneName(fd, sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
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

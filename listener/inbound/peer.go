package inbound

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"casemate/listener"

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

// inetPeer is the Peer of a kernel address, nobody's where that is none of IP.
func inetPeer(fd int, sa unix.Sockaddr) Peer {
	a := listener.AddrOf(fd, sa)
	return Peer{Addr: netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()), Zone: a.Addr().Zone()}
}

// Local returns the local address and port of an IP socket, unmapped and
// without zone; the zero AddrPort for a unix socket.
func Local(fd int) (netip.AddrPort, error) {
	addr, err := listener.LocalAddr(fd)
	return netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port()), os.NewSyscallError("getsockname", err)
}

// Credentials is SO_PEERCRED of a connected unix socket.
func Credentials(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, fmt.Errorf("getsockopt SO_PEERCRED: %w", err)
	}
	return Peer{Unix: true, PID: uint32(c.Pid), UID: c.Uid, GID: c.Gid}, nil
}

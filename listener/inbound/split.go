package inbound

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"casemate/listener"

	"golang.org/x/sys/unix"
)

// ErrContended means that a socket's queue holds, or may hold, datagrams of
// another peer behind the first one, so it cannot become the first one's own.
// The head is to be dropped: its sender will send again, as UDP clients do, and
// every later datagram keeps its chance.
var ErrContended = errors.New("datagrams of several peers are queued")

// maxWalk is how many queued datagrams SplitPeer looks at before it gives the
// question up as contended. Peeking at the nth costs the kernel n steps, so this
// bounds what a flood can make the broker do.
const maxWalk = 64

// SplitPeer gives p a socket of its own, of a udp one. p must be the sender of the datagram
// at the head of s (PeekSource). s's socket, with p's datagrams in it, is
// connected to p and returned as child, for which the caller is now responsible;
// s is spent (its FD is -1). replacement is bound to the same address and takes
// s's place. The caller removes the descriptor from its poll set before it hands
// child on, because it is the number that was polled.
//
// The child receives only p's datagrams and answers from the address p wrote to.
// Peers split off earlier keep their sockets: a connected socket outscores the
// wildcard one.
//
// After every error s is still the socket to poll, and the caller must drop
// exactly one datagram from it (DropDatagram) before it tries again; walk relies
// on that. Datagrams that arrive during the microseconds of a failed attempt may
// be lost.
//
// One window remains and cannot be closed from user space without waiting for
// an RCU grace period: a foreign datagram whose delivery had already picked this
// socket on another CPU when it was connected, and is queued after the last walk.
func SplitPeer(s *Socket, p Peer) (child int, replacement *Socket, err error) {
	replacement, err = split(s, p)
	if err != nil {
		return -1, nil, fmt.Errorf("split %s: %w", s.Spec.Key(), err)
	}
	s.Owner.Spent()
	child, s.FD = s.FD, -1
	return child, replacement, nil
}

func split(s *Socket, p Peer) (*Socket, error) {
	h, err := peek(s.FD)
	if err != nil {
		if err == unix.EAGAIN {
			s.hidden = 0
		}
		return nil, err
	}
	if s.hidden > 0 {
		if s.hidden--; s.hidden > 0 {
			return nil, ErrContended
		}
	}
	if h.peer != p {
		return nil, errors.New("the first datagram is not from this peer")
	}
	if p.Addr.Port() == 0 {
		return nil, errors.New("source port 0 cannot be answered")
	}
	w := walker{socket: s, peer: p}
	if h.length == 0 {
		w.zeros = 1
	}
	replacement, err := prove(s, &w, h)
	if err != nil {
		s.hidden = w.last
	}
	return replacement, err
}

// prove connects the socket and shows that nothing foreign is in it.
func prove(s *Socket, w *walker, h head) (*Socket, error) {
	// The cheap check first: contention costs no socket, and nothing is disturbed.
	if err := w.walk(); err != nil {
		return nil, err
	}
	replacement, err := s.Owner.Sibling(s.Spec)
	if err != nil {
		return nil, err
	}
	err = aim(s, h)
	if err == nil {
		// Only now do foreign datagrams stop arriving, so only this walk proves anything.
		err = w.walk()
	}
	if err != nil {
		return nil, errors.Join(err, release(s), replacement.Close())
	}
	return replacement, nil
}

// aim connects the socket to the head's sender, from the local address the
// datagram was sent to. connect(2) alone would take the route's preferred source;
// on a host with several addresses the peer would then see a stranger's answer,
// and its next datagram would miss this socket.
func aim(s *Socket, h head) error {
	if s.Spec.Addr.Addr().IsUnspecified() && h.local.IsValid() && !h.local.IsMulticast() && !h.local.IsUnspecified() {
		if err := aimFrom(s, h.local, h.index); err != nil {
			return fmt.Errorf("take the local address %s: %w", h.local, err)
		}
	}
	zone, err := listener.ZoneIndex(s.FD, h.peer.Zone)
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect to "+h.peer.Addr.String(), unix.Connect(s.FD, listener.WithZone(h.peer.Addr, zone)))
}

// aimFrom fixes the source address of a socket that is bound to the wildcard and
// cannot be bound again. connect(2) chooses a source only while there is none, so
// one connect to a place where the choice is ours settles it for the next one.
//
// v4: to a multicast group, where the source is the IP_MULTICAST_IF address
// (__ip4_datagram_connect). Link-local groups need no route, and nothing is sent.
// v6: to the address itself, since RFC 6724 rule 1 prefers the same address.
// (In v4 the route to a secondary address prefers the primary one as source.)
func aimFrom(s *Socket, local netip.Addr, index uint32) error {
	port := s.Spec.Addr.Port()
	if local.Is6() {
		return unix.Connect(s.FD, listener.WithZone(netip.AddrPortFrom(local, port), index))
	}
	iface := &unix.IPMreqn{Address: local.As4(), Ifindex: int32(index)}
	if err := unix.SetsockoptIPMreqn(s.FD, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, iface); err != nil {
		return fmt.Errorf("setsockopt IP_MULTICAST_IF: %w", err)
	}
	allHosts := [4]byte{224, 0, 0, 1}
	err := unix.Connect(s.FD, &unix.SockaddrInet4{Port: int(port), Addr: allHosts})
	if clear := unix.SetsockoptIPMreqn(s.FD, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{}); err == nil {
		err = clear
	}
	return err
}

// release undoes aim: connect(AF_UNSPEC) frees the peer and whatever bind did
// not fix (__udp_disconnect). That leaves an explicit address and port alone, but
// takes away a port that the kernel chose, which is then bound again.
func release(s *Socket) error {
	if err := listener.Disconnect(s.FD); err != nil {
		return fmt.Errorf("disconnect: %w", err)
	}
	local, err := listener.LocalAddr(s.FD)
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}
	if local.Port() != 0 {
		return nil
	}
	return os.NewSyscallError("bind again", (&listener.Socket{FD: s.FD, Spec: s.Spec}).Bind())
}

// walker looks at every datagram in a socket's queue by moving a peek offset
// over it by the lengths it learns.
//
// The kernel skips a zero-length datagram that has been peeked at once
// (__skb_try_recv_from_queue), unless it is the head and no offset is set. So one
// seen here behind the head would be invisible to the next walk, which may be on
// behalf of another peer. After a failed walk the socket therefore counts as
// contended unseen until every such datagram must have become the head and gone:
// that is what Socket.hidden counts down, once for each head the caller drops.
type walker struct {
	socket *Socket
	peer   Peer
	zeros  int // zero-length datagrams peeked so far, the head included
	last   int // no zero-length datagram was seen behind this place (the head is place 0)
}

// walk returns ErrContended unless all queued datagrams are the peer's.
func (w *walker) walk() error {
	err := w.all()
	// Off again, whatever happened: the child and PeekSource expect plain peeks.
	if off := setPeekOff(w.socket.FD, -1); err == nil {
		err = off
	}
	return err
}

func (w *walker) all() error {
	offset, skipped := 0, w.zeros
	for place := 0; place < maxWalk; place++ {
		if err := setPeekOff(w.socket.FD, offset); err != nil {
			return err
		}
		h, err := peek(w.socket.FD)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		if h.length == 0 {
			w.zeros++
			w.last = max(w.last, place+skipped)
		}
		if h.peer != w.peer {
			return ErrContended
		}
		offset += h.length
	}
	return ErrContended
}

func setPeekOff(fd, offset int) error {
	return os.NewSyscallError("setsockopt SO_PEEK_OFF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, offset))
}

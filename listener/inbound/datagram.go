package inbound

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"casemate/listener"

	"golang.org/x/sys/unix"
)

// PeekSource tells who sent the datagram at the head of the queue, and leaves it
// there. The buffer has no room for data, so not one byte of it is read. An empty
// queue is unix.EAGAIN; it never waits.
func PeekSource(fd int) (Peer, error) {
	h, err := peek(fd)
	return h.peer, err
}

// DropDatagram takes the datagram at the head of the queue away, reading none of
// its bytes. Every failure between a datagram's arrival and its program's start
// must do this once, or the loop spins. An empty queue is unix.EAGAIN.
func DropDatagram(fd int) error {
	_, err := listener.Recv(fd, nil)
	return err
}

// head is what a zero-length peek tells about one queued datagram.
type head struct {
	peer   Peer
	length int        // of its data, none of which was read
	local  netip.Addr // the local address it was sent to; zero when unknown
	index  uint32     // of the interface it came through
	stamp  [16]byte   // when it came: a timespec, if the socket has SO_TIMESTAMPNS
}

// controlSpace holds the largest control message wanted: in6_pktinfo (20 bytes)
// or ucred (12). A peek would copy a sender's SCM_RIGHTS into this process; they
// come after the credentials, which leave less room than one descriptor needs.
// readControl closes them all the same, should that order ever change.
var controlSpace = unix.CmsgSpace(unix.SizeofInet6Pktinfo)

// peek looks at the datagram at the queue's peek position (its head unless
// SO_PEEK_OFF is set).
func peek(fd int) (head, error) { return peekInto(fd, make([]byte, controlSpace)) }

func peekInto(fd int, oob []byte) (head, error) {
	n, oobn, _, from, err := unix.Recvmsg(fd, nil, oob, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_TRUNC|unix.MSG_CMSG_CLOEXEC)
	switch err {
	case nil:
	case unix.EAGAIN:
		return head{}, err
	default:
		return head{}, fmt.Errorf("peek datagram: %w", err)
	}
	h := head{length: n}
	switch from.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6:
		h.peer = inetPeer(fd, from)
	default: // a unix sender; an unbound one has no address at all
		h.peer.Unix = true
	}
	creds := h.readControl(oob[:oobn])
	if h.peer.Unix && !creds {
		return head{}, errors.New("peek datagram: the kernel named no source")
	}
	return h, nil
}

// readControl takes the kernel's own control messages apart: the local address
// of an IP datagram and the credentials of a unix one. It returns whether there
// were credentials. Clients cannot write these, the kernel checks or makes them; the
// descriptors that they can send are closed.
func (h *head) readControl(oob []byte) (creds bool) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for i := range msgs {
		m := &msgs[i]
		if local, _, index, ok := Pktinfo(m); ok {
			h.local, h.index = local, index
			continue
		}
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS:
			copy(h.stamp[:], m.Data)
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_CREDENTIALS:
			if c, err := unix.ParseUnixCredentials(m); err == nil {
				h.peer.PID, h.peer.UID, h.peer.GID = uint32(c.Pid), c.Uid, c.Gid
				creds = true
			}
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_RIGHTS:
			fds, _ := unix.ParseUnixRights(m)
			for _, fd := range fds {
				listener.Bury(fd)
			}
		}
	}
	return creds
}

// Pktinfo reads IP_PKTINFO or IPV6_PKTINFO (ip(7), ipv6(7)): our address that a
// datagram reached, the one it was sent to, which differs for broadcast and
// multicast, and the interface it came through.
func Pktinfo(m *unix.SocketControlMessage) (local, to netip.Addr, index uint32, ok bool) {
	switch {
	case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
		// struct in_pktinfo: ifindex, spec_dst (our address), addr (the header's destination)
		return netip.AddrFrom4([4]byte(m.Data[4:8])), netip.AddrFrom4([4]byte(m.Data[8:12])), binary.NativeEndian.Uint32(m.Data), true
	case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
		to = netip.AddrFrom16([16]byte(m.Data[:16])).Unmap()
		return to, to, binary.NativeEndian.Uint32(m.Data[16:]), true
	}
	return netip.Addr{}, netip.Addr{}, 0, false
}

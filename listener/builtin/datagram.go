package builtin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"casemate/acl/decide"
	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// packetSocket is one udp socket of the service.
type packetSocket struct {
	conn  *net.UDPConn
	bound netip.AddrPort // without its zone
	guard guard
}

// socketType tells datagram sockets from listeners, and refuses what is no socket.
func socketType(f *os.File) (int, error) {
	kind, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return 0, fmt.Errorf("socket %s: %w", f.Name(), err)
	}
	return kind, nil
}

func newPacketSocket(f *os.File) (*packetSocket, error) {
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", f.Name(), err)
	}
	u, ok := c.(*net.UDPConn)
	if !ok {
		// A unix datagram's sender chooses the path that would get the answer.
		return nil, errors.Join(fmt.Errorf("socket %s: a built-in takes tcp, udp and unix streams", f.Name()), c.Close())
	}
	bound := u.LocalAddr().(*net.UDPAddr).AddrPort()
	p := &packetSocket{conn: u, bound: netip.AddrPortFrom(bound.Addr().WithZone(""), bound.Port())}
	if err := p.wantLocal(); err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", f.Name(), err), u.Close())
	}
	return p, nil
}

// wantLocal asks for the local address of each datagram. The broker did so when
// it bound the socket; here it is made sure of.
func (p *packetSocket) wantLocal() error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
	if p.bound.Addr().Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
	return errors.Join(err, cerr)
}

const (
	// turns is how many full batches are served before the loop looks whether it is to end.
	turns = 16
	// sendStall is how long answers wait for room in the socket's buffer.
	sendStall = 100 * time.Millisecond
)

// receive answers datagrams until the socket is closed, or until its deadline.
func (s *server) receive(p *packetSocket) error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	for {
		// Readiness is told once, and forgotten where another Read begins. So one Read lasts as long as the queue is
		// emptied each time.
		err := raw.Read(func(fd uintptr) bool {
			empty := false
			for i := 0; i < turns && !empty && failed == nil; i++ {
				if s.gate.said.leaving() {
					return true // who waits is the next worker's
				}
				empty, failed = s.turn(p, int(fd), raw)
			}
			return !empty || failed != nil
		})
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		case failed != nil || s.gate.said.left():
			return failed
		}
	}
}

// turn takes what is in the queue, up to most, and answers it, one socket at a time. It tells whether the queue is
// empty now.
func (s *server) turn(p *packetSocket, fd int, raw syscall.RawConn) (empty bool, err error) {
	s.turns.Lock()
	empty, rest, err := s.batchOf(p, fd, raw)
	s.turns.Unlock()
	if rest > 0 {
		time.Sleep(rest)
	}
	return empty, err
}

// batchOf is turn with the batch at hand, and tells how long to rest after it.
func (s *server) batchOf(p *packetSocket, fd int, raw syscall.RawConn) (empty bool, rest time.Duration, err error) {
	b, began := s.batch, time.Now()
	n, err := b.receive(fd)
	switch {
	case err == nil:
	case errors.Is(err, unix.EAGAIN):
		return true, 0, nil
	case inbound.Temporary(err), inbound.Exhausted(err), errors.Is(err, unix.ECONNREFUSED):
		return false, 0, nil // an ICMP error about an answer of ours, or a moment without memory
	default:
		return false, 0, fmt.Errorf("receive datagrams: %w", err)
	}
	s.idle.touch(began)
	refused := 0
	for i := range n {
		if d := b.take(i); !s.answer(p, b, d, began) {
			refused++
		}
	}
	if !b.send(fd) {
		// It goes on once there is room. What has no room for so long is lost, as it may be when it ends.
		_ = p.conn.SetWriteDeadline(time.Now().Add(sendStall))
		_ = raw.Write(b.continuation)
	}
	if refused > 0 {
		rest = s.refusals.pause(began, time.Now(), n, refused)
	}
	return n < most, rest, nil
}

// datagram is one request.
type datagram struct {
	from  netip.AddrPort // as the kernel wrote it, without its zone
	zone  string         // the number of the interface of a link-local peer
	data  []byte
	local netip.Addr // our address, which the answer must come from
	to    netip.Addr // where it was sent to; broadcast and multicast differ from local
	index uint32     // the interface it came through
	slot  int        // of its batch
}

// answer decides about a datagram and puts its answer, if there is one, among those to be sent. It tells whether
// the datagram was admitted.
func (s *server) answer(p *packetSocket, b *batch, d *datagram, now time.Time) bool {
	if bound := p.bound.Addr(); !bound.IsUnspecified() {
		// There is no other, and it is known for datagrams from before wantLocal too.
		d.local = bound
	}
	c := client{peer: inbound.Peer{Addr: netip.AddrPortFrom(d.from.Addr().Unmap(), d.from.Port()), Zone: d.zone}, local: netip.AddrPortFrom(d.local, p.bound.Port()), network: "udp"}
	if reason := p.guard.check(d.from, d.local, d.to); reason != badNothing {
		s.records.decision(&c, &verdict{refused: reason, rule: decide.RuleNoACL}, false, now)
		return false
	}
	v := s.gate.datagram(&c, now)
	s.records.decision(&c, &v, false, now)
	if v.refused != "" {
		return false
	}
	if answer, ok := s.protocol.answer(d.data, b.reply[b.ready][:], now); ok {
		b.put(d, answer)
	}
	return true
}

// control writes the control message that makes the answer leave from the address
// asked (ip(7), ipv6(7)), and tells its length.
func (d *datagram) control(oob []byte) int {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	data := oob[unix.CmsgLen(0):]
	switch {
	case d.local.Is4():
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		// The interface is left to the route: the way back need not be the way in.
		*(*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])) = unix.Inet4Pktinfo{Spec_dst: d.local.As4()}
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	case d.local.Is6():
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
		info := unix.Inet6Pktinfo{Addr: d.local.As16()}
		if d.local.IsLinkLocalUnicast() {
			info.Ifindex = d.index
		}
		*(*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0])) = info
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	return 0
}

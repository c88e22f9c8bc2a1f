package builtin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"casemate/acl/decide"
	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// maxDatagram is more than any udp datagram holds.
const maxDatagram = 1 << 16

// packetSocket is one udp socket of the service.
type packetSocket struct {
	conn  *net.UDPConn
	bound netip.AddrPort
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
	p := &packetSocket{conn: u, bound: u.LocalAddr().(*net.UDPAddr).AddrPort()}
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

// receive answers datagrams until the socket is closed.
func (s *server) receive(p *packetSocket) error {
	req, reply := make([]byte, maxDatagram), make([]byte, maxDatagram)
	oob := make([]byte, 256)
	for {
		n, oobn, _, from, err := p.conn.ReadMsgUDPAddrPort(req, oob)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if inbound.Temporary(err) || inbound.Exhausted(err) || errors.Is(err, unix.ECONNREFUSED) {
				continue // an ICMP error about an answer of ours, or a moment without memory
			}
			return err
		}
		s.idle.touch()
		d := datagram{socket: p, from: from, data: req[:n]}
		d.local, d.to, d.index = destination(oob[:oobn])
		if bound := p.bound.Addr().WithZone(""); !bound.IsUnspecified() {
			// There is no other, and it is known for datagrams from before wantLocal too.
			d.local = bound
		}
		s.answer(&d, reply)
	}
}

// datagram is one request.
type datagram struct {
	socket *packetSocket
	from   netip.AddrPort // as the kernel wrote it, with its zone
	data   []byte
	local  netip.Addr // our address, which the answer must come from
	to     netip.Addr // where it was sent to; broadcast and multicast differ from local
	index  uint32     // the interface it came through
}

func (s *server) answer(d *datagram, reply []byte) {
	c := client{peer: peerAt(d.from), local: netip.AddrPortFrom(d.local, d.socket.bound.Port()), network: "udp"}
	if reason := d.socket.guard.check(d.from, d.local, d.to); reason != badNothing {
		s.records.decision(c, verdict{refused: reason, rule: decide.RuleNoACL}, false)
		return
	}
	v := s.gate.datagram(c)
	s.records.decision(c, v, false)
	if v.refused != "" {
		return
	}
	n, ok := s.protocol.datagram(d.data, reply, time.Now())
	if !ok {
		return
	}
	// A lost answer is what udp promises; the next datagram matters more than the reason.
	_, _, _ = d.socket.conn.WriteMsgUDPAddrPort(reply[:n], d.control(), d.from)
}

// control is the control message that makes the answer leave from the address
// asked (ip(7), ipv6(7)).
func (d *datagram) control() []byte {
	switch {
	case d.local.Is4():
		// The interface is left to the route: the way back need not be the way in.
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: d.local.As4()})
	case d.local.Is6():
		info := unix.Inet6Pktinfo{Addr: d.local.As16()}
		if d.local.IsLinkLocalUnicast() {
			info.Ifindex = d.index
		}
		return unix.PktInfo6(&info)
	}
	return nil
}

// destination reads a received datagram's control messages: see inbound.Pktinfo. Without
// such a message it was sent to an address nobody knows, and local and to are zero.
func destination(oob []byte) (local, to netip.Addr, index uint32) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for i := range msgs {
		if l, t, n, ok := inbound.Pktinfo(&msgs[i]); ok {
			local, to, index = l, t, n
		}
	}
	return
}

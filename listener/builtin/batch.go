package builtin

import (
	"errors"
	"net/netip"
	"strconv"
	"unsafe"

	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

const (
	// most is how many datagrams one call takes or sends: so many that a call costs little beside them,
	// and so few that they need a MiB of memory.
	most = 16
	// maxDatagram is more than any udp datagram holds, maxReply than any answer that is not what was asked.
	maxDatagram = 1 << 16
	maxReply    = 1 << 10
)

// controlSpace is for the larger of the two kinds of pktinfo.
const controlSpace = unix.SizeofCmsghdr + (unix.SizeofInet6Pktinfo+7)&^7

// batch is the memory for datagrams, of all sockets together: what one call has taken, and what one call is to
// send. The headers point into it.
type batch struct {
	in, out      [most]mmsghdr
	inVec        [most]unix.Iovec
	outVec       [most]unix.Iovec
	from         [most]unix.RawSockaddrInet6 // or one of IPv4, which is shorter
	inControl    [most][controlSpace]byte
	outControl   [most][controlSpace]byte
	data         []byte
	reply        [most][maxReply]byte
	ready        int // of out
	zone         uint32
	zoneName     string // of zone
	datagram     datagram
	continuation func(fd uintptr) bool // sends what is left of out
	left         []mmsghdr
}

func newBatch() *batch {
	b := &batch{data: make([]byte, most*maxDatagram)}
	for i := range b.in {
		b.inVec[i].Base = &b.data[i*maxDatagram]
		b.inVec[i].SetLen(maxDatagram)
		h := &b.in[i].hdr
		h.Name, h.Iov, h.Control = (*byte)(unsafe.Pointer(&b.from[i])), &b.inVec[i], &b.inControl[i][0]
		h.SetIovlen(1)
		b.out[i].hdr.Iov, b.out[i].hdr.Control = &b.outVec[i], &b.outControl[i][0]
		b.out[i].hdr.SetIovlen(1)
	}
	b.continuation = func(fd uintptr) bool { return b.send(int(fd)) }
	return b
}

// receive takes what is there, up to most.
func (b *batch) receive(fd int) (int, error) {
	for i := range b.in {
		h := &b.in[i].hdr // the kernel has written what it used of them
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSpace)
	}
	b.ready, b.left = 0, nil
	return receiveMany(fd, b.in[:])
}

// take reads the datagram that came as number i. It stays valid until the next one, its data until the next call.
func (b *batch) take(i int) *datagram {
	m, sa := &b.in[i], &b.from[i]
	d := &b.datagram
	*d = datagram{data: b.data[i*maxDatagram:][:m.length], slot: i}
	var zone uint32
	if d.from, zone = addressOf(unsafe.Pointer(sa)); d.from.Addr().Is6() {
		d.zone = b.named(zone)
	}
	d.local, d.to, d.index = destination(b.inControl[i][:m.hdr.Controllen])
	return d
}

// named is the zone of an interface, by its number: a worker has no way to ask for names.
func (b *batch) named(scope uint32) string {
	if scope != b.zone {
		b.zone, b.zoneName = scope, zoneNumber(scope)
	}
	return b.zoneName
}

func zoneNumber(scope uint32) string {
	if scope == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(scope), 10)
}

// put adds an answer to d, which goes back where d came from, and leaves from where it came to.
func (b *batch) put(d *datagram, answer []byte) {
	m, vec := &b.out[b.ready].hdr, &b.outVec[b.ready]
	m.Name, m.Namelen = b.in[d.slot].hdr.Name, b.in[d.slot].hdr.Namelen
	vec.Base = unsafe.SliceData(answer)
	vec.SetLen(len(answer))
	m.Control = &b.outControl[b.ready][0]
	n := d.control(b.outControl[b.ready][:])
	if n == 0 {
		m.Control = nil
	}
	m.SetControllen(n)
	b.ready++
}

// send sends the answers. An answer that fails is lost, as udp promises, and the others are not. It tells whether
// it is through, or has to wait until the socket takes more.
func (b *batch) send(fd int) bool {
	if b.left == nil {
		b.left = b.out[:b.ready]
	}
	for len(b.left) > 0 {
		n, err := sendMany(fd, b.left)
		switch {
		case err == nil:
			b.left = b.left[n:]
		case errors.Is(err, unix.EAGAIN):
			return false
		case !errors.Is(err, unix.EINTR):
			b.left = b.left[1:]
		}
	}
	return true
}

// destination reads a received datagram's control messages: see inbound.Pktinfo. Without
// such a message it was sent to an address nobody knows, and local and to are zero.
func destination(oob []byte) (local, to netip.Addr, index uint32) {
	for len(oob) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		if l, t, n, ok := inbound.Pktinfo(&unix.SocketControlMessage{Header: h, Data: data}); ok {
			local, to, index = l, t, n
		}
		oob = rest
	}
	return
}

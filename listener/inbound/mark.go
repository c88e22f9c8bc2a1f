package inbound

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Mark tells the head of a wait socket's queue from what comes after it.
type Mark struct {
	Peer   Peer     // of a datagram
	length int      // of it, or how many connections wait (unix: 1, if any does)
	stamp  [16]byte // when the kernel first saw it, if that was asked for
	queue  []uint64 // which connections wait, if that was asked for
}

// MarkHead marks the head. With again the kernel notes when a datagram came, which is dear for the
// whole system and remains with the datagram; with last it is asked who waits at a listener, for
// which it looks through all connections.
func MarkHead(s *Socket, again, last bool) (m Mark, err error) {
	if s.Spec.Network == "vsock" {
		return m, nil // nothing tells who waits, so nothing tells that they were left
	}
	if s.Spec.Stream() {
		if i, err := unix.GetsockoptTCPInfo(s.FD, unix.SOL_TCP, unix.TCP_INFO); err == nil {
			m.length = int(i.Unacked) // tcp_get_info: the backlog of a listener
		} else {
			m.length, _ = unix.Poll([]unix.PollFd{{Fd: int32(s.FD), Events: unix.POLLIN}}, 0)
		}
		if last {
			m.queue, err = waiting(s)
		}
		return m, err
	}
	if again {
		if err := unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return m, err
		}
		defer func() { _ = unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 0) }()
	}
	h, err := peekInto(s.FD, make([]byte, unix.CmsgSpace(16)+controlSpace)) // a timespec comes first
	return Mark{Peer: h.peer, length: h.length, stamp: h.stamp}, err
}

// Left tells, of a queue marked twice, whether nothing was taken from it in between: of a
// listener's, whether all who waited do so still, or, if that was not asked, as many. Who was
// reset is among the many alone, and stays in the queue.
func (m Mark) Left(later Mark) bool {
	if m.Peer != (Peer{}) {
		return m.Peer == later.Peer && m.length == later.length && m.stamp == later.stamp
	}
	gone := func(id uint64) bool { return !slices.Contains(later.queue, id) }
	return m.length > 0 && later.length >= m.length && (m.queue == nil) == (later.queue == nil) && !slices.ContainsFunc(m.queue, gone)
}

// waiting lists who waits to be accepted (sock_diag(7)), nil for nobody: the cookies of tcp
// connections that lie in no file yet, or the inodes of unix clients that are still there.
func waiting(s *Socket) (ids []uint64, err error) {
	const established, closeWait, icons = 1 << 1, 1 << 8, 3 // what has left its file is in neither state; UNIX_DIAG_ICONS
	le, at, family := binary.LittleEndian, s.Spec.Addr, uint32(unix.AF_INET)
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	// struct nlmsghdr, and struct inet_diag_req_v2 or unix_diag_req, which is shorter
	ask := [18]uint32{72, unix.SOCK_DIAG_BY_FAMILY | (unix.NLM_F_REQUEST|unix.NLM_F_DUMP)<<16, 4: family | unix.IPPROTO_TCP<<8,
		established | closeWait, uint32(bits.ReverseBytes16(at.Port()))}
	var st unix.Stat_t
	if s.Spec.Unix() && unix.Fstat(s.FD, &st) == nil {
		ask = [18]uint32{72, unix.SOCK_DIAG_BY_FAMILY | unix.NLM_F_REQUEST<<16, 4: unix.AF_UNIX, 6: uint32(st.Ino), 1 << icons, ^uint32(0), ^uint32(0)}
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	m, _ := binary.Append(nil, le, ask)
	err = unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for n, buf := 0, make([]byte, 32<<10); err == nil; n, _, err = unix.Recvfrom(fd, buf, 0) { // what is not there yet is made as it is fetched
		answers, _ := syscall.ParseNetlinkMessage(buf[:n])
		for _, a := range answers {
			switch is := a.Data; {
			case a.Header.Type == unix.NLMSG_DONE:
				return ids, nil
			case a.Header.Type == unix.NLMSG_ERROR:
				return nil, syscall.Errno(-int32(le.Uint32(is)))
			case s.Spec.Unix(): // struct unix_diag_msg, and attributes: this one is the first, and there if anybody waits
				for is = is[16 : 16+le.Uint16(is[16:])]; le.Uint16(is[2:]) == icons && len(is) > 4; is = is[:len(is)-4] {
					if id := le.Uint32(is[len(is)-4:]); id != 0 {
						ids = append(ids, uint64(id))
					}
				}
				return ids, nil
			case le.Uint32(is[68:]) == 0 && (at.Addr().IsUnspecified() || bytes.HasPrefix(is[8:], at.Addr().AsSlice())): // struct inet_diag_msg: inode, src
				ids = append(ids, le.Uint64(is[44:])) // cookie
			}
		}
	}
	return nil, err
}

package inbound

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// InGroup tells whether the peer of a unix stream was in a group when it connected, by its
// own or as one of its others (SO_PEERGROUPS, Linux 4.13).
func InGroup(fd int, peer Peer, gid uint32) bool {
	groups := make([]uint32, 1<<16) // NGROUPS_MAX
	size := uint32(4 * len(groups))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
	return peer.GID == gid || errno == 0 && slices.Contains(groups[:size/4], gid)
}

// segmentOfOne is the control message UDP_SEGMENT with a size of one byte.
func segmentOfOne() []byte {
	b := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], 1)
	return b
}

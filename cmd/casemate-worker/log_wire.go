package main

import (
	"encoding/binary"
	"fmt"
)

// order is one message of the broker.
type order struct {
	kind byte // 'A', 'B', 'D', 'N' or 'R'
	slot uint32
	name string // of the service, for 'A' and 'B'
	pid  uint32 // for 'R'
	id   uint64 // for 'R'
}

// parseOrder takes a message of the broker apart, all numbers little endian:
//
//	'A' slot u32, service name   read this service's stderr (with one descriptor)
//	'B' slot u32, service name   likewise of a builtin, which writes records
//	'D' slot u32                 no longer
//	'N'                          read the kernel's audit records (with one descriptor)
//	'R' pid u32, id u64          the session of a process that was asked about
//
// fds is how many descriptors came with it.
func parseOrder(m []byte, fds int) (order, error) {
	le := binary.LittleEndian
	switch {
	case len(m) > 5 && len(m) <= 5+255 && (m[0] == 'A' || m[0] == 'B') && fds == 1:
		return order{kind: m[0], slot: le.Uint32(m[1:]), name: string(m[5:])}, nil
	case len(m) == 5 && m[0] == 'D' && fds == 0:
		return order{kind: 'D', slot: le.Uint32(m[1:])}, nil
	case len(m) == 1 && m[0] == 'N' && fds == 1:
		return order{kind: 'N'}, nil
	case len(m) == 13 && m[0] == 'R' && fds == 0:
		return order{kind: 'R', pid: le.Uint32(m[1:]), id: le.Uint64(m[5:])}, nil
	}
	return order{}, fmt.Errorf("%d bytes with %d descriptors: %w", len(m), fds, errMessage)
}

// question asks whose process it is.
func question(pid, uid uint32) []byte {
	m := binary.LittleEndian.AppendUint32([]byte{'Q'}, pid)
	return binary.LittleEndian.AppendUint32(m, uid)
}

// notice tells of a seccomp kill.
func (v violation) notice() []byte {
	m := binary.LittleEndian.AppendUint32([]byte{'V'}, v.pid)
	m = binary.LittleEndian.AppendUint32(m, uint32(v.nr))
	return binary.LittleEndian.AppendUint32(m, v.arch)
}

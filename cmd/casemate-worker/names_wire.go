package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// status is the answer about a name, as it goes over the wire.
type status byte

const (
	known    status = 0 // forward-confirmed
	unknown  status = 1 // the address has no name
	paranoid status = 2 // it has one that does not lead back to it
	noAnswer status = 3 // the resolver did not say in time
)

// result is what is known about one address. name is set for known only.
type result struct {
	status status
	name   string
}

// requestSize is a question: its id (u64, little endian) and the address (16
// bytes, v4 mapped).
const requestSize = 8 + 16

// parseRequest takes a question apart; the address is unmapped.
func parseRequest(m []byte) (id uint64, addr netip.Addr, err error) {
	if len(m) != requestSize {
		return 0, netip.Addr{}, fmt.Errorf("question of %d bytes: %w", len(m), errMessage)
	}
	return binary.LittleEndian.Uint64(m), netip.AddrFrom16([16]byte(m[8:])).Unmap(), nil
}

// appendAnswer appends an answer: the id (u64, little endian), the status, the
// length of the name (u8) and the name.
func appendAnswer(b []byte, id uint64, r result) []byte {
	b = binary.LittleEndian.AppendUint64(b, id)
	b = append(b, byte(r.status), byte(len(r.name)))
	return append(b, r.name...)
}

package admission

import (
	"encoding/binary"
	"net/netip"
)

// Source is whom a session is counted against: an address, which the Limiter
// cuts to the prefix of its Spec, or the user on the other end of a unix
// socket or the machine on that of a vsock. It is comparable. The zero Source stands for every peer without an
// address; they are all one.
type Source struct {
	family family
	hi, lo uint64 // the address in network order; IPv4 in the top of hi; another peer's number in lo
}

type family uint8

const (
	nobody family = iota
	inet4
	inet6
	local
)

// Peer is the Source of a client's address, which has to be unmapped. The zone
// does not count: a peer cannot double its budget with it. Where the address is not
// valid, it is that of the peer with this number.
func Peer(a netip.Addr, number uint64) Source {
	switch {
	case a.Is4():
		b := a.As4()
		return Source{family: inet4, hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	case a.Is6():
		b := a.As16()
		return Source{family: inet6, hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
	}
	return Source{family: local, lo: number}
}

// key is a Source cut to a prefix length. The length is part of it: after a
// reload keys of two lengths may live side by side.
type key struct {
	hi, lo uint64
	family family
	bits   uint8
	wide   bool // a network around sources (limit.Wider), which is never one itself
}

func (s Source) cut(bits4, bits6 uint8) key {
	switch s.family {
	case inet4:
		return key{hi: s.hi & mask(bits4), family: inet4, bits: bits4}
	case inet6:
		return key{hi: s.hi & mask(min(bits6, 64)), lo: s.lo & mask(max(bits6, 64)-64), family: inet6, bits: bits6}
	}
	return key{lo: s.lo, family: s.family}
}

// source is the Source at the low end of a key's prefix.
func (k key) source() Source { return Source{family: k.family, hi: k.hi, lo: k.lo} }

// addr is the address of a Source, which is not valid where that has none.
func (s Source) addr() netip.Addr {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], s.hi)
	binary.BigEndian.PutUint64(a[8:], s.lo)
	switch s.family {
	case inet4:
		return netip.AddrFrom4([4]byte(a[:4]))
	case inet6:
		return netip.AddrFrom16(a)
	}
	return netip.Addr{}
}

// prefix is that of a key with an address, the zero one of another.
func (k key) prefix() netip.Prefix { return netip.PrefixFrom(k.source().addr(), int(k.bits)) }

// mask is the top n of 64 bits.
func mask(n uint8) uint64 { return ^(^uint64(0) >> n) }

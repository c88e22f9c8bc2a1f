package relay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Header is the PROXY protocol's header of that version, "v1" or "v2", which tells the
// target who connected from where to where (haproxy.org, doc/proxy-protocol.txt). Where
// the two are no pair of addresses of one family, as those of a unix socket, it is the
// header that names nobody: UNKNOWN, or LOCAL with an unspecified family.
func Header(version string, client, server netip.AddrPort) ([]byte, error) {
	client, server = unmapped(client), unmapped(server)
	known := client.IsValid() && server.IsValid() && client.Addr().Is4() == server.Addr().Is4()
	switch version {
	case "v1":
		return v1(known, client, server), nil
	case "v2":
		return v2(known, client, server), nil
	}
	return nil, fmt.Errorf("there is no version %q of the PROXY protocol", version)
}

// unmapped is a as the client wrote it: IPv4 on a socket of both families is IPv4, and
// the protocol has no zones.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// v1 is section 2.1: one line of at most 107 bytes.
func v1(known bool, client, server netip.AddrPort) []byte {
	if !known {
		return []byte("PROXY UNKNOWN\r\n")
	}
	family := "TCP4"
	if client.Addr().Is6() {
		family = "TCP6"
	}
	return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, client.Addr(), server.Addr(), client.Port(), server.Port())
}

// signature begins every header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// The bytes behind it (section 2.2): version and command, family and transport.
const (
	v2Local = 0x20
	v2Proxy = 0x21

	v2Unspecified = 0x00
	v2TCP4        = 0x11
	v2TCP6        = 0x21
)

// v2 is section 2.2: the signature, two bytes, the length of the rest in network order,
// and the addresses and ports.
func v2(known bool, client, server netip.AddrPort) []byte {
	out := []byte(signature)
	if !known {
		return append(out, v2Local, v2Unspecified, 0, 0)
	}
	family := byte(v2TCP4)
	if client.Addr().Is6() {
		family = v2TCP6
	}
	var body []byte
	body = append(body, client.Addr().AsSlice()...)
	body = append(body, server.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, client.Port())
	body = binary.BigEndian.AppendUint16(body, server.Port())
	out = binary.BigEndian.AppendUint16(append(out, v2Proxy, family), uint16(len(body)))
	return append(out, body...)
}

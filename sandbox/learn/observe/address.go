package observe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// address reads a socket address: what it says, and its path where it is a unix socket's.
func (k *task) address(at, n uint64) (text, path string) {
	if at == 0 || n < 2 {
		return "", ""
	}
	b := k.mem.bytes(k.tid, at, int(min(n, 128)))
	text, path = sockaddr(b)
	if path != "" {
		path = k.absolute(path, -1)
		text = "unix " + path
	}
	return text, path
}

// sockaddr says what a socket address is: "inet 127.0.0.1:53", "unix @name", "family 16".
func sockaddr(b []byte) (text, path string) {
	if len(b) < 2 {
		return "", ""
	}
	family := binary.NativeEndian.Uint16(b)
	switch {
	case family == unix.AF_UNIX && len(b) > 2 && b[2] != 0:
		name, _, _ := bytes.Cut(b[2:], []byte{0})
		return "unix " + string(name), string(name)
	case family == unix.AF_UNIX && len(b) > 3:
		return fmt.Sprintf("unix @%q", b[3:]), ""
	case family == unix.AF_INET && len(b) >= 8:
		return "inet " + netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])).String(), ""
	case family == unix.AF_INET6 && len(b) >= 24:
		return "inet6 " + netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(b[2:])).String(), ""
	case family == unix.AF_UNSPEC:
		return "unspec", ""
	}
	return fmt.Sprintf("family %d", family), ""
}

// word is the first eight bytes as a number of this machine.
func word(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

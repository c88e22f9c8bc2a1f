// Package endpoint is what one socket is bound to. It is all that root knows of addresses: what a policy
// writes, which may stand for many of them, is package address's.
//
// It is pure: no system call, and none of our other packages.
package endpoint

import (
	"math"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// MaxPath is what sun_path holds beside its end (unix(7)).
const MaxPath = 107

// Unprintable tells whether a path of ours must not have r: a control character, or what
// stands for bytes that are no UTF-8.
func Unprintable(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }

// Endpoint is what one socket is bound to.
type Endpoint struct {
	// Network is tcp4, tcp6, udp4, udp6, unix, unixgram, unixpacket or vsock.
	Network string `json:"network"`
	// Addr is the local address of an IP socket. IPv6 sockets are always
	// v6-only; both families on one port are two Endpoints.
	Addr netip.AddrPort `json:"addr,omitzero"`
	// Interface is the only one whose packets an IP socket takes; "" is all.
	Interface string `json:"interface,omitempty"`
	// Path of a unix socket; a leading @ is the abstract namespace (unix(7)). Of a vsock "PORT" or "CID:PORT" (vsock(7)).
	Path string `json:"path,omitempty"`
}

// Valid tells whether the fields fit each other, and the kernel can be asked for them.
func (e Endpoint) Valid() bool {
	switch e.Network {
	case "tcp4", "udp4", "tcp6", "udp6":
		a := e.Addr.Addr()
		return a.IsValid() && a.Is4() == strings.HasSuffix(e.Network, "4") && !a.Is4In6() && !a.IsMulticast() && zoned(a) && e.Addr.Port() > 0 &&
			e.Path == "" && len(e.Interface) < 16 && !strings.ContainsFunc(e.Interface, Unprintable)
	case "unix", "unixgram", "unixpacket":
		file := path.IsAbs(e.Path) && path.Clean(e.Path) == e.Path && e.Path != "/"
		return (file || len(e.Path) > 1 && e.Path[0] == '@') && len(e.Path) <= MaxPath && !strings.ContainsFunc(e.Path, Unprintable) &&
			e == Endpoint{Network: e.Network, Path: e.Path}
	case "vsock":
		_, _, ok := Numbers(e.Path)
		return ok && e == Endpoint{Network: e.Network, Path: e.Path}
	}
	return false
}

// zoned tells whether a names an interface if its address means something on one only.
func zoned(a netip.Addr) bool {
	z := a.Zone()
	return (z != "") == (a.Is6() && a.IsLinkLocalUnicast()) && len(z) < 16 && !strings.ContainsAny(z, "/:%[] ") && !strings.ContainsFunc(z, Unprintable) &&
		(z == "" || strings.Trim(z, "0123456789") != "")
}

// Numbers are the machine and the port of a vsock's Path; without a machine it is any of this
// host's own (VMADDR_CID_ANY).
func Numbers(path string) (cid, port uint32, ok bool) {
	machine, number, own := strings.Cut(path, ":")
	if !own {
		machine, number = strconv.Itoa(math.MaxUint32), path
	}
	c, cerr := strconv.ParseUint(machine, 10, 32)
	p, perr := strconv.ParseUint(number, 10, 32)
	spelled := strconv.FormatUint(c, 10) == machine && strconv.FormatUint(p, 10) == number
	return uint32(c), uint32(p), cerr == nil && perr == nil && spelled && p > 0 && p < math.MaxUint32 && own == (c < math.MaxUint32)
}

// Key is the identity of the endpoint: "tcp4/0.0.0.0:79", "udp6/[::1]:7", with its interface
// "tcp4/0.0.0.0:79%eth0", or "unix:/run/x.sock".
func (e Endpoint) Key() string {
	if e.Unix() || e.Network == "vsock" {
		return e.Network + ":" + e.Path
	}
	if e.Interface != "" {
		return e.Network + "/" + e.Addr.String() + "%" + e.Interface
	}
	return e.Network + "/" + e.Addr.String()
}

// Unix tells whether e is of the unix family.
func (e Endpoint) Unix() bool { return strings.HasPrefix(e.Network, "unix") }

// Stream tells whether connections are accepted from the socket (tcp, unix,
// unixpacket and vsock) as opposed to datagrams being read from it.
func (e Endpoint) Stream() bool { return !e.UDP() && e.Network != "unixgram" }

// UDP tells whether e receives udp datagrams.
func (e Endpoint) UDP() bool { return strings.HasPrefix(e.Network, "udp") }

// Package address is what may be listened on: the words of the networks, the
// text form of a listen address, its invariants, and the kernel's addresses
// that it stands for.
//
// It is pure: no system call, and of our other packages endpoint alone. The compiler, the
// broker and whoever reviews a policy read addresses through it.
package address

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"casemate/listener/endpoint"
)

// Network is one word that a listen address may begin with.
type Network struct {
	Word string
	// opens are the networks of the sockets it stands for, IPv4 first.
	opens    []string
	datagram bool
	path     bool // it has a path, or vsock's numbers, in place of an address and a port
}

// Networks is the table: a new one is a row here and its socket in package listener.
var Networks = []Network{
	{Word: "tcp", opens: []string{"tcp4", "tcp6"}},
	{Word: "tcp4", opens: []string{"tcp4"}},
	{Word: "tcp6", opens: []string{"tcp6"}},
	{Word: "udp", opens: []string{"udp4", "udp6"}, datagram: true},
	{Word: "udp4", opens: []string{"udp4"}, datagram: true},
	{Word: "udp6", opens: []string{"udp6"}, datagram: true},
	{Word: "unix", opens: []string{"unix"}, path: true},
	{Word: "unixgram", opens: []string{"unixgram"}, datagram: true, path: true},
	{Word: "unixpacket", opens: []string{"unixpacket"}, path: true},
	{Word: "vsock", opens: []string{"vsock"}, path: true},
}

// lookup finds a word's row; an unknown word has one that opens nothing.
func lookup(word string) Network {
	i := slices.IndexFunc(Networks, func(n Network) bool { return n.Word == word })
	if i < 0 {
		return Network{}
	}
	return Networks[i]
}

// MaxPorts is how many ports one listen address may cover.
const MaxPorts = 1024

// Listen is one listen address as a policy names it. Package spell makes it of what
// people write; one that is Valid keeps what the fields promise.
type Listen struct {
	// Network is the Word of one of Networks. tcp and udp without Addr mean both families:
	// one IPv4 and one v6-only IPv6 socket.
	Network string
	// Addr is the local address; the zero Addr is the wildcard.
	Addr netip.Addr
	// Port and LastPort are the ends of a range (equal for one port), 1 to 65535.
	Port, LastPort uint16
	// Path is as that of an Endpoint.
	Path string
}

// Unix tells whether l is a socket of the unix family.
func (l Listen) Unix() bool { return strings.HasPrefix(l.Network, "unix") }

// Inet tells whether l has an address and a port.
func (l Listen) Inet() bool { return !lookup(l.Network).path }

// File tells whether l makes a file: a unix socket outside the abstract namespace.
func (l Listen) File() bool { return l.Unix() && strings.HasPrefix(l.Path, "/") }

// Datagram tells whether l receives datagrams, not connections.
func (l Listen) Datagram() bool { return lookup(l.Network).datagram }

// String is l as the policy language writes it.
func (l Listen) String() string {
	if !l.Inet() {
		return l.Network + ":" + l.Path
	}
	var b strings.Builder
	b.WriteString(l.Network + "://")
	if l.Addr.Is6() {
		b.WriteString("[" + l.Addr.String() + "]")
	} else if l.Addr.IsValid() {
		b.WriteString(l.Addr.String())
	}
	b.WriteString(":" + strconv.Itoa(int(l.Port)))
	if l.LastPort != l.Port {
		b.WriteString("-" + strconv.Itoa(int(l.LastPort)))
	}
	return b.String()
}

// Valid tells whether the fields fit each other, and the kernel can be asked for them.
func (l Listen) Valid() bool {
	n, a := lookup(l.Network), l.Addr
	if n.path {
		return endpoint.Endpoint{Network: l.Network, Path: l.Path}.Valid() && l == Listen{Network: l.Network, Path: l.Path}
	}
	fits := func(network string) bool {
		return !a.IsUnspecified() && endpoint.Endpoint{Network: network, Addr: netip.AddrPortFrom(a, 1)}.Valid()
	}
	return n.Word != "" && (!a.IsValid() || slices.ContainsFunc(n.opens, fits)) && l.Path == "" && l.Port > 0 && l.Port <= l.LastPort && l.LastPort-l.Port < MaxPorts
}

// Target tells whether l is one address or one socket's file that streams can be connected to.
func (l Listen) Target() bool {
	return l.Valid() && l.Port == l.LastPort && (l.Network == "tcp" && l.Addr.IsValid() || l.Network == "unix" && l.File())
}

// MarshalText is String: the compiled policy holds listen addresses as text.
func (l Listen) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText writes of a valid Listen, and nothing else.
func (l *Listen) UnmarshalText(b []byte) error {
	s := string(b)
	word, rest, _ := strings.Cut(s, ":")
	got := Listen{Network: word}
	if !got.Inet() {
		got.Path = rest
	} else {
		i := max(0, strings.LastIndexByte(rest, ':'))
		first, last, ranged := strings.Cut(rest[i:], "-")
		if !ranged {
			last = first[min(1, len(first)):]
		}
		// What cannot be read is 0 here, and so not what String makes of it.
		from, _ := strconv.ParseUint(strings.TrimPrefix(first, ":"), 10, 16)
		to, _ := strconv.ParseUint(last, 10, 16)
		got.Addr, _ = netip.ParseAddr(strings.Trim(rest[:i], "/[]"))
		got.Port, got.LastPort = uint16(from), uint16(to)
	}
	if !got.Valid() || got.String() != s {
		return fmt.Errorf("%q is no listen address, or not as one is spelled", s)
	}
	*l = got
	return nil
}

// opens are the networks of l's sockets: those of its word and, where it has an
// address, of that address's family.
func (l Listen) opens() []string {
	all := lookup(l.Network).opens
	if !l.Addr.IsValid() || len(all) < 2 {
		return all
	}
	if l.Addr.Is4() {
		return all[:1]
	}
	return all[1:]
}

// Optional tells whether a host that lacks e's family may do without it: e is
// one of the two families of a word that names neither.
func (l Listen) Optional(e endpoint.Endpoint) bool {
	return len(l.opens()) == 2 && strings.HasSuffix(e.Network, "6")
}

// Endpoints are the kernel addresses l stands for, ordered by port and IPv4
// before IPv6.
func (l Listen) Endpoints() []endpoint.Endpoint {
	if !l.Inet() {
		return []endpoint.Endpoint{{Network: l.Network, Path: l.Path}}
	}
	opens := l.opens()
	out := make([]endpoint.Endpoint, 0, len(opens)*max(0, int(l.LastPort)-int(l.Port)+1))
	for port := int(l.Port); port <= int(l.LastPort); port++ {
		for _, n := range opens {
			a := l.Addr
			switch {
			case a.IsValid():
			case strings.HasSuffix(n, "4"):
				a = netip.IPv4Unspecified()
			default:
				a = netip.IPv6Unspecified()
			}
			out = append(out, endpoint.Endpoint{Network: n, Addr: netip.AddrPortFrom(a, uint16(port))})
		}
	}
	return out
}

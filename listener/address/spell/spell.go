// Package spell reads listen addresses as people write them, and says of what is none
// what to write instead.
package spell

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"casemate/listener/address"
	"casemate/listener/endpoint"
)

// Error is why a text is no listen address, and what to write instead.
type Error struct{ Summary, Next string }

// Error is both in one line.
func (e *Error) Error() string { return e.Summary + ": " + e.Next }

func bad(next, format string, args ...any) *Error {
	return &Error{Summary: fmt.Sprintf(format, args...), Next: next}
}

// Networks are the words a listen address may begin with.
func Networks() []string {
	words := make([]string, len(address.Networks))
	for i, n := range address.Networks {
		words[i] = n.Word
	}
	return words
}

// Parse reads a listen address:
//
//	tcp://:79  tcp://:7000-7010  tcp4://192.0.2.1:79  tcp6://[::1]:79
//	unix:/run/x.sock  unix:@name  vsock:7000  vsock:3:7000
//
// named gives the port of a service name and is nil where only numbers may
// stand. The error is an *Error.
func Parse(s string, named func(string) (uint16, bool)) (address.Listen, error) {
	l, err := parse(s, named)
	if err != nil {
		return address.Listen{}, err
	}
	return l, nil
}

func parse(s string, named func(string) (uint16, bool)) (l address.Listen, err *Error) {
	word, rest, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return l, bad(`write it as "tcp://:7979", "tcp://192.0.2.1:79" or "unix:/run/name.sock"`, "%q has no network", s)
	case !slices.Contains(Networks(), word):
		return l, bad("write one of: "+strings.Join(Networks(), ", "), "network %q is not known", word)
	case address.Listen{Network: word}.Unix():
		return parsePath(word, rest)
	case word == "vsock":
		if _, _, ok := endpoint.Numbers(rest); !ok {
			return l, bad("write vsock:PORT, or vsock:CID:PORT for one of this host's own cids, in numbers (1 is this host to itself, 2 the host to its guests)", "%q is no port of a vsock", rest)
		}
		return address.Listen{Network: word, Path: rest}, nil
	}
	l.Network = word
	rest, ok = strings.CutPrefix(rest, "//")
	if !ok || strings.ContainsAny(rest, "/?#@") {
		return l, bad("write "+word+"://ADDRESS:PORT", "%q is not an address and a port", s)
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 || strings.HasSuffix(rest, "]") {
		return l, bad(fmt.Sprintf("write %s://%s:PORT", word, rest), "%q has no port", s)
	}
	if l.Addr, err = parseHost(word, rest[:i]); err != nil {
		return l, err
	}
	if !(address.Listen{Network: word, Addr: l.Addr, Port: 1, LastPort: 1}).Valid() {
		return l, bad("change the network or the address", "%v is not an address of %s", l.Addr, word)
	}
	l.Port, l.LastPort, err = ParsePorts(rest[i+1:], named)
	if err == nil && int(l.LastPort)-int(l.Port) >= address.MaxPorts {
		err = bad(fmt.Sprintf("cover at most %d ports", address.MaxPorts), "the range %d-%d is too wide", l.Port, l.LastPort)
	}
	return l, err
}

// parseHost reads the address part: empty, IPv4, or IPv6 in brackets.
func parseHost(word, host string) (netip.Addr, *Error) {
	if host == "" {
		return netip.Addr{}, nil
	}
	inner, bracket := strings.CutPrefix(host, "[")
	inner = strings.TrimSuffix(inner, "]")
	a, err := netip.ParseAddr(inner)
	switch {
	case err != nil && host == "localhost":
		return a, bad("write 127.0.0.1 or [::1]", "%q is a name, and names are not looked up", host)
	case err != nil && host == "*":
		return a, bad("leave the address out, as "+word+"://:79", "%q is not an address", host)
	case err != nil:
		return a, bad("write an IPv4 address, or an IPv6 address in brackets", "%q is not an address", host)
	case a.Is6() && a.IsLinkLocalUnicast() && strings.Trim(a.Zone(), "0123456789") == "":
		return a, bad(fmt.Sprintf("write %s://[%s%%eth0]:PORT, with the name of its interface", word, a.WithZone("")), "%q means something on one interface only", host)
	case a.Zone() != "" && !a.IsLinkLocalUnicast():
		return a, bad("write "+a.WithZone("").String()+"; socket { interface } binds to an interface", "%q has a zone, which only addresses of fe80::/10 have", host)
	case a.Is4In6():
		return a, bad("write "+a.Unmap().String(), "%q is an IPv4 address in disguise", host)
	case a.Is6() != bracket || bracket != strings.HasSuffix(host, "]"):
		return a, bad(fmt.Sprintf("write %s://[%s]:PORT, with brackets for IPv6 only", word, inner), "%q has its brackets wrong", host)
	case a.String() != inner:
		return a, bad("write "+a.String(), "%q is not the short form of its address", host)
	case a.IsMulticast():
		return a, bad("write a unicast address", "%q is a multicast address", host)
	case a.IsUnspecified():
		family := "4"
		if a.Is6() {
			family = "6"
		}
		return a, bad(fmt.Sprintf("write %s%s://:PORT", word[:3], family), "%q is the wildcard", host)
	}
	return a, nil
}

// ParsePorts reads one port or a range of them: "79", "finger", "8000-8010".
// named is as for Parse. Names may have a hyphen ("kerberos-adm").
func ParsePorts(s string, named func(string) (uint16, bool)) (first, last uint16, err *Error) {
	if named != nil {
		if port, ok := named(s); ok {
			return port, port, nil
		}
	}
	from, to, isRange := strings.Cut(s, "-")
	if isRange && (strings.Trim(from, "0123456789") != "" || strings.Trim(to, "0123456789") != "") {
		isRange, from = false, s // a name that is not known
	}
	if first, err = parsePort(from); err != nil || !isRange {
		return first, first, err
	}
	if last, err = parsePort(to); err == nil && last < first {
		err = bad(fmt.Sprintf("write %d-%d", last, first), "the range %s runs backwards", s)
	} else if err == nil && last == first {
		err = bad("write one port", "the range %s is one port", s)
	}
	return first, last, err
}

func parsePort(s string) (uint16, *Error) {
	n, err := strconv.ParseUint(s, 10, 16)
	switch {
	case s == "" || strings.Trim(s, "0123456789") != "":
		return 0, bad("write its number", "port %q is not known", s)
	case err != nil || n == 0:
		return 0, bad("write a number from 1 to 65535", "port %s is out of range", s)
	case s[0] == '0':
		return 0, bad(fmt.Sprintf("write the number as %d", n), "port %s has leading zeros", s)
	}
	return uint16(n), nil
}

// parsePath reads the path or @name of a unix socket.
func parsePath(word, rest string) (address.Listen, *Error) {
	l := address.Listen{Network: word, Path: rest}
	name, slashes := strings.CutPrefix(rest, "//")
	if !strings.HasPrefix(name, "@") {
		name = path.Join("/", name)
	}
	if at, _, query := strings.Cut(name, "?"); query {
		return l, bad(fmt.Sprintf("write %q, and a block socket { mode = \"0660\"  owner = \"...\"  group = \"...\" } in the service", word+":"+at), "%q has a query string", rest)
	}
	switch {
	case slashes:
		return l, bad(fmt.Sprintf("write %q", word+":"+name), "%q is not a path behind unix:", rest)
	case len(rest) > endpoint.MaxPath:
		return l, bad(fmt.Sprintf("use at most %d bytes", endpoint.MaxPath), "the path has %d bytes", len(rest))
	case strings.ContainsFunc(rest, endpoint.Unprintable):
		return l, bad("use printable UTF-8", "%q has bytes that no path should have", rest)
	case rest == "@":
		return l, bad("write "+word+":@NAME", "the abstract socket has no name")
	case strings.HasPrefix(rest, "@"):
	case !path.IsAbs(rest) || path.Clean(rest) != rest || rest == "/":
		return l, bad("write an absolute path, as "+word+":/run/name.sock", "%q is not an absolute, clean path", rest)
	}
	return l, nil
}

// Check reports why l is not what Parse makes of its own text, or nil.
func Check(l address.Listen) error {
	again, err := Parse(l.String(), nil)
	if err == nil && again != l {
		err = bad("write "+again.String(), "the fields of %s contradict each other", l)
	}
	return err
}

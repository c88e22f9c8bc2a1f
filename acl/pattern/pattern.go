// Package pattern reads the client patterns of an acl as people write them, and says of
// those that it does not take what to write instead.
package pattern

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"casemate/acl"
)

// maxPattern is a bound on the text of a pattern in bytes: a domain has a dot more than a host name.
const maxPattern = acl.MaxHost + 1

// Parse reads one client pattern and returns its canonical spelling:
// lower case, the shortest form of an address (RFC 5952), one address without
// a length. Spellings whose meaning is in doubt (host bits, an IPv4-mapped
// address, a zone, a wildcard of another program) are errors that say what to
// write instead. Parse of an accepted pattern is that pattern.
func Parse(s string) (acl.Pattern, error) {
	if s == "" {
		return "", fmt.Errorf("pattern is empty: write any for every client")
	}
	if len(s) > maxPattern {
		return "", fmt.Errorf("pattern %q...: %d bytes, a host name has at most 253", s[:32], len(s))
	}
	p, err := parseLower(Lower(s))
	if err != nil {
		return "", fmt.Errorf("pattern %q: %w", s, err)
	}
	return acl.Pattern(p), nil
}

func parseLower(s string) (string, error) {
	switch acl.Pattern(s) {
	case acl.Any, acl.AnyKnown, acl.NoName, acl.BadName:
		return s, nil
	}
	if kind, number, ok := strings.Cut(s, "="); ok {
		return s, peer(kind, number)
	}
	if err := foreign(s); err != nil {
		return "", err
	}
	if strings.Contains(s, "/") {
		return parsePrefix(s)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return single(a)
	}
	if strings.Contains(s, ":") {
		return "", fmt.Errorf("not an IPv6 address")
	}
	return parseHost(s)
}

// peer checks a pattern for clients without an address: the user of a unix socket's,
// the machine of a vsock's. They are numbers, since the compiler looks nothing up.
func peer(kind, number string) error {
	what := map[string]string{"uid": "user", "cid": "machine"}[kind]
	n, err := strconv.ParseUint(number, 10, 32)
	switch {
	case what == "":
		return fmt.Errorf("write uid=NUMBER for a user of unix sockets, or cid=NUMBER for a machine of vsock")
	case err != nil && kind == "uid":
		return fmt.Errorf("write uid= and the number that id -u NAME prints")
	case err != nil:
		return fmt.Errorf("write cid= and a number")
	case n == math.MaxUint32:
		return fmt.Errorf("no %s has this number: write any for all", what)
	case strconv.FormatUint(n, 10) != number:
		return fmt.Errorf("write %s=%d", kind, n)
	}
	return nil
}

// foreign recognises what other programs' host lists allow, so that the error
// can name the way to say it here.
func foreign(s string) error {
	rest, wild := strings.CutPrefix(s, "*.")
	switch {
	case s == "all" || s == "*":
		return fmt.Errorf("write any")
	case wild && !strings.Contains(rest, "*"):
		return fmt.Errorf("write .%s", rest)
	case strings.ContainsAny(s, "*?"):
		return fmt.Errorf("wildcards are not supported: write a prefix (192.0.2.0/24) or a domain (.example.org)")
	case strings.HasPrefix(s, "@"):
		return fmt.Errorf("netgroups are not supported: list the addresses or names")
	case strings.Contains(s, "@"):
		return fmt.Errorf("a client's user name cannot be trusted and is not asked: write the host part only")
	case strings.Contains(s, "%"):
		return fmt.Errorf("zones are not compared: write the address without %%zone")
	case strings.ContainsAny(s, "[]"):
		return fmt.Errorf("write the address without brackets")
	}
	return nil
}

func parsePrefix(s string) (string, error) {
	addr, length, _ := strings.Cut(s, "/")
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, e := netip.ParseAddr(addr); e == nil && a.Is4() {
			return "", dottedMask(a, length)
		}
		return "", fmt.Errorf("not an address prefix: write address/length, such as 192.0.2.0/24 or 2001:db8::/32")
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p4 := netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
		return "", fmt.Errorf("IPv4-mapped clients are matched as IPv4: write %v", p4)
	}
	if p != p.Masked() {
		return "", fmt.Errorf("host bits are set: write %v for the network or %v for the one address", p.Masked(), p.Addr())
	}
	if p.IsSingleIP() {
		return single(p.Addr())
	}
	return p.String(), nil
}

// dottedMask names the length a dotted mask stands for, if it stands for one.
func dottedMask(a netip.Addr, mask string) error {
	m, err := netip.ParseAddr(mask)
	if err != nil || !m.Is4() {
		return fmt.Errorf("prefix length: write a number from 0 to 32")
	}
	four := m.As4()
	ones, bits := net.IPMask(four[:]).Size()
	if bits == 0 {
		return fmt.Errorf("the mask has holes: write one prefix for each network")
	}
	return fmt.Errorf("write the mask as a length: %v", netip.PrefixFrom(a, ones).Masked())
}

func single(a netip.Addr) (string, error) {
	switch {
	case a.Is4In6():
		return "", fmt.Errorf("IPv4-mapped clients are matched as IPv4: write %v", a.Unmap())
	case a.IsUnspecified():
		// xinetd reads it as every client; nobody can mean the address itself.
		return "", fmt.Errorf("no client has this address: write any, or %v for the family", netip.PrefixFrom(a, 0))
	}
	return a.String(), nil
}

// parseHost takes a host name of two labels or more, localhost, or a domain
// with its leading dot. Other names of one label are refused: no reverse zone
// answers them, and a mistyped word ("knwon") in a deny rule would match nobody.
func parseHost(s string) (string, error) {
	name, domain := strings.CutPrefix(s, ".")
	if trimmed, dot := strings.CutSuffix(name, "."); dot {
		if strings.Trim(trimmed, "0123456789.") == "" {
			return "", fmt.Errorf("write an address prefix, such as 192.0.2.0/24")
		}
		return "", fmt.Errorf("write the name without the final dot")
	}
	if err := CheckHost(name); err != nil {
		return "", err
	}
	if strings.Trim(name[strings.LastIndexByte(name, '.')+1:], "0123456789") == "" {
		return "", fmt.Errorf("neither an address nor a name: write an address (four decimal numbers without leading zeros) or a prefix, such as 192.0.2.0/24")
	}
	if !domain && !strings.Contains(name, ".") && name != "localhost" {
		return "", fmt.Errorf("write any, known, unknown, paranoid, an address, a prefix, a full host name or .%s for a domain", name)
	}
	return s, nil
}

// CheckHost tells what is wrong with a host name in lower case, without a dot at either end.
func CheckHost(name string) error {
	for l := range strings.SplitSeq(name, ".") {
		if err := checkLabel(l); err != nil {
			return err
		}
	}
	if len(name) > acl.MaxHost {
		return fmt.Errorf("a host name has at most 253 bytes")
	}
	return nil
}

// checkLabel admits the letters of RFC 1123 section 2.1 and the underscore,
// which reverse zones do use.
func checkLabel(l string) error {
	if l == "" {
		return fmt.Errorf("a label is empty")
	}
	if len(l) > 63 {
		return fmt.Errorf("a label has at most 63 bytes")
	}
	for i := 0; i < len(l); i++ {
		switch c := l[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c >= 0x80:
			return fmt.Errorf("not ASCII: write the xn-- form of the name")
		default:
			return fmt.Errorf("%q cannot be part of a host name", c)
		}
	}
	if l[0] == '-' || l[len(l)-1] == '-' {
		return fmt.Errorf("a label neither begins nor ends with a hyphen")
	}
	return nil
}

// Lower folds A-Z alone: names are compared as RFC 4343 says, and no other letter may
// turn into an ASCII one.
func Lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

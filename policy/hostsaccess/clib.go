package hostsaccess

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
)

// What libwrap leaves to the C library, as glibc does it.

// isSpace is isspace(3) in the C locale.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// number reads an integer as strtol(3) and strtoul(3) do, saturating at 64 bits, and gives
// the rest. A prefix of blanks and one sign are taken.
func number(s string, base uint64, signed bool) (n uint64, rest string, ok bool) {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	over := false
	for s != "" && s[0] >= '0' && uint64(s[0]-'0') < base {
		d := uint64(s[0] - '0')
		if over = over || n > (math.MaxUint64-d)/base; !over {
			n = n*base + d
		}
		s, ok = s[1:], true
	}
	switch {
	case signed && !negative && (over || n > math.MaxInt64):
		n = math.MaxInt64
	case signed && negative && (over || n > 1<<63):
		n = 1 << 63
	case over:
		n = math.MaxUint64
	case negative:
		n = -n
	}
	return n, s, ok
}

// atoi is atoi(3): what is no number is 0.
func atoi(s string) int {
	n, _, _ := number(s, 10, true)
	return int(int32(uint32(n)))
}

// scanned reads one whole integer as sscanf("%d%c") == 1 does.
func scanned(s string, base uint64, signed bool) (uint32, bool) {
	n, rest, ok := number(s, base, signed)
	return uint32(n), ok && rest == ""
}

// quad reads four numbers between dots as inet_addr(3) does, octal and hexadecimal ones
// included. Fewer, and 255.255.255.255, are none.
func quad(s string) (uint32, bool) {
	runs := strings.FieldsFunc(s, func(r rune) bool { return r == '.' })
	if len(runs) != 4 {
		return 0, false
	}
	var parts []uint32
	for {
		n, rest, ok := quadPart(s)
		if !ok {
			return 0, false
		}
		after, dot := strings.CutPrefix(rest, ".")
		if !dot {
			if rest != "" && !isSpace(rest[0]) || n > math.MaxUint32>>(8*len(parts)) {
				return 0, false
			}
			parts = append(parts, n)
			break
		}
		if len(parts) == 3 || n > 0xff {
			return 0, false
		}
		parts, s = append(parts, n), after
	}
	if len(parts) != 4 {
		return 0, false
	}
	a := parts[0]<<24 | parts[1]<<16 | parts[2]<<8 | parts[3]
	return a, a != math.MaxUint32
}

// quadPart reads one number of an address, as strtoul(3) with base 0.
func quadPart(s string) (n uint32, rest string, ok bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, s, false
	}
	base := uint64(10)
	if s[0] == '0' {
		base, ok = 8, true
		if s = s[1:]; s != "" && lower(s[0]) == 'x' && len(s) > 1 && hexDigit(s[1]) < 16 {
			base, s = 16, s[1:]
		}
	}
	v := uint64(0)
	for s != "" && uint64(hexDigit(s[0])) < base {
		if v = v*base + uint64(hexDigit(s[0])); v > math.MaxUint32 {
			return 0, s, false
		}
		s, ok = s[1:], true
	}
	return uint32(v), s, ok
}

func hexDigit(c byte) byte {
	switch c = lower(c); {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// parse6 reads an IPv6 address, as getaddrinfo(3) of a numeric host. A scope is a number or,
// of a link-local address, the name of an interface that exists; libwrap compares it with
// nothing.
func (m *matcher) parse6(s string) (netip.Addr, answer) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() {
		return a, no
	}
	scope := a.Zone()
	a = a.WithZone("")
	switch n, rest, ok := number(scope, 10, false); {
	case scope == "" || ok && rest == "" && n <= math.MaxUint32 && scope[0] >= '0' && scope[0] <= '9':
		return a, yes
	case !a.IsLinkLocalUnicast() && !a.IsLinkLocalMulticast():
		return a, no
	case strings.HasSuffix(m.q.Addr, "%"+scope) || strings.HasSuffix(m.q.ServerAddr, "%"+scope):
		return a, yes
	case m.w.Interface == nil:
		return a, maybe
	}
	return a, is(m.w.Interface(scope))
}

// Text is how getnameinfo(3) writes an address, which is what patterns are compared with:
// IPv4-compatible addresses end in four numbers, unlike netip's.
func Text(a netip.Addr) string {
	b := a.As16()
	if !a.Is6() || a.Is4In6() || binary.BigEndian.Uint64(b[:8]) != 0 || binary.BigEndian.Uint32(b[8:12]) != 0 || binary.BigEndian.Uint16(b[12:14]) == 0 {
		return a.String()
	}
	text := "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	if a.Zone() != "" {
		text += "%" + a.Zone()
	}
	return text
}

// glob matches * and ?, in any case. A run of several stars at the end wants one byte at
// least, a single one none.
func glob(pattern, s string) bool {
	if strings.HasSuffix(pattern, "**") {
		pattern = strings.TrimRight(pattern, "*") + "?*"
	}
	star, mark := -1, 0
	i, k := 0, 0
	for k < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, k
			i++
		case i < len(pattern) && (pattern[i] == '?' || lower(pattern[i]) == lower(s[k])):
			i, k = i+1, k+1
		case star >= 0:
			mark++
			i, k = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

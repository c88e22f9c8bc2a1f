package hostsaccess

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strings"
)

// answer is a truth value with a third one, for what only the host would tell.
type answer uint8

const (
	no answer = iota
	yes
	maybe
)

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

func and(a answer, b func() answer) answer {
	if a == no {
		return no
	}
	if c := b(); c != yes {
		return c
	}
	return a
}

// The words that stand in the place of a name or address.
const (
	unknown  = "unknown"
	paranoid = "paranoid"
)

// known is libwrap's word for a name that is one.
func known(name string) bool { return !equal(name, unknown) && !equal(name, paranoid) }

// matcher is one request on its way through the tables.
type matcher struct {
	q     *Request
	w     *World
	depth int // of files that name files
}

// list matches a list: what matches is in it and not in its exception.
func (m *matcher) list(l *List, one func(string) answer) answer {
	hit := no
	for _, p := range l.Patterns {
		switch one(p) {
		case yes:
			hit = yes
		case maybe:
			hit = maybe
			continue
		default:
			continue
		}
		break
	}
	if hit == no || l.Except == nil {
		return hit
	}
	switch m.list(l.Except, one) {
	case yes:
		return no
	case maybe:
		return maybe
	}
	return hit
}

// daemon matches daemon or port, with @ and where the client came to.
func (m *matcher) daemon(p string) answer {
	name, host, at := cutAt(p)
	hit := m.daemonOrPort(name)
	if !at {
		return hit
	}
	return and(hit, func() answer { return m.host(host, m.q.ServerName, m.q.ServerAddr) })
}

// daemonOrPort: a pattern that reads as a number of a port is one, and no name. Port 0 is
// that of a server whose address alone is known.
func (m *matcher) daemonOrPort(p string) answer {
	if n, ok := scanned(p, 10, false); ok && n <= 0xffff {
		return is(m.q.ServerPort == int(n) && (n > 0 || !equal(m.q.ServerAddr, unknown)))
	}
	return m.text(p, m.q.Daemon)
}

// client matches host, or user@host.
func (m *matcher) client(p string) answer {
	user, host, at := cutAt(p)
	if !at {
		return m.host(p, m.q.Name, m.q.Addr)
	}
	return and(m.host(host, m.q.Name, m.q.Addr), func() answer { return m.text(user, m.q.User) })
}

// maxDepth is how far files may name files; libwrap runs out of descriptors.
const maxDepth = 200

// host matches a host's name or address, in libwrap's order of forms.
func (m *matcher) host(p, name, addr string) answer {
	switch {
	case strings.HasPrefix(p, "@"):
		if m.w.Netgroup == nil {
			return maybe
		}
		return is(m.w.Netgroup(p[1:], name))
	case strings.HasPrefix(p, "/"):
		return m.file(p, name, addr)
	case equal(p, "KNOWN"):
		return is(!equal(addr, unknown) && known(name))
	case equal(p, "LOCAL"):
		return is(!strings.Contains(name, ".") && known(name))
	}
	if net, mask, ok := cut(p, '/'); ok {
		return m.masked(net, mask, addr)
	}
	hit := m.text(p, addr)
	if hit == no && strings.Trim(p, "0123456789./") != "" {
		hit = m.text(p, name)
	}
	return hit
}

// file matches any word of a file.
func (m *matcher) file(path, name, addr string) answer {
	if m.w.File == nil {
		return maybe
	}
	if m.depth == maxDepth {
		return no
	}
	words, ok := m.w.File(path)
	if !ok {
		return maybe
	}
	m.depth++
	defer func() { m.depth-- }()
	hit := no
	for _, p := range strings.FieldsFunc(words, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) }) {
		switch m.host(p, name, addr) {
		case yes:
			return yes
		case maybe:
			hit = maybe
		}
	}
	return hit
}

// text matches a pattern with one subject, a name or an address as text.
func (m *matcher) text(p, s string) answer {
	const mapped = "::ffff:"
	if len(s) > len(mapped) && equal(s[:len(mapped)], mapped) {
		if _, ok := quad(s[len(mapped):]); ok {
			s = s[len(mapped):]
		}
	}
	switch {
	case strings.ContainsAny(p, "*?"):
		return is(glob(p, s))
	case strings.HasPrefix(p, "."):
		return is(len(s) > len(p) && equal(s[len(s)-len(p):], p))
	case equal(p, "ALL"):
		return yes
	case equal(p, "KNOWN"):
		return is(!equal(s, unknown))
	case strings.HasSuffix(p, "."):
		return is(len(s) >= len(p) && equal(s[:len(p)], p))
	case strings.HasPrefix(p, "[") && strings.HasSuffix(p, "]"):
		want, ok := m.parse6(p[1 : len(p)-1])
		got, err := netip.ParseAddr(s)
		return and(is(err == nil && got.Is6() && want == got.WithZone("")), func() answer { return ok })
	}
	return is(equal(p, s))
}

// masked matches an address with a network; a name never.
func (m *matcher) masked(net, mask, addr string) answer {
	if got, ok := quad(addr); ok {
		return is(masked4(net, mask, got))
	}
	got, err := netip.ParseAddr(addr)
	if err != nil || !got.Is6() {
		return no
	}
	if got.Is4In6() {
		a := got.As16()
		return is(masked4(net, mask, binary.BigEndian.Uint32(a[12:])))
	}
	if len(net) < 2 || net[0] != '[' || net[len(net)-1] != ']' {
		return no
	}
	want, ok := m.parse6(net[1 : len(net)-1])
	n := atoi(mask)
	if ok == no || n < 0 || n > 128 || !netip.PrefixFrom(want, n).Contains(got.WithZone("")) {
		return no
	}
	return ok
}

// masked4 compares under the mask, which the network is not: host bits match nothing.
func masked4(net, mask string, addr uint32) bool {
	want, ok := quad(net)
	if !ok {
		return false
	}
	m, ok := quad(mask)
	if !ok {
		n := atoi(mask)
		if n < 1 || n > 32 {
			return false
		}
		m = bits.Reverse32(1<<n - 1)
		if n == 32 {
			m = ^uint32(0)
		}
	}
	return addr&m == want
}

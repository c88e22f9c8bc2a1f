package lang

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"casemate/policy"
	"casemate/policy/valid"
	"casemate/sandbox"
)

// redirects reads redirect: ADDRESS:PORT, or unix:/path.
func redirects(b *block, a *Attribute, s *policy.Service) {
	v, ok := b.typed(a, kindString)
	if !ok {
		return
	}
	text, file := v.s, strings.HasPrefix(v.s, "unix:")
	if !file {
		text = "tcp://" + text
	}
	l, bad := b.c.parseListen(text, v.rng)
	host, port, _ := strings.Cut(strings.TrimPrefix(v.s, "tcp://"), " ")
	if port == "" {
		i := max(0, strings.LastIndexByte(host, ':'))
		host, port = strings.Trim(host[:i], "[]"), strings.TrimPrefix(host[i:], ":")
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case bad == nil && l.Target():
		s.Redirect = l
	case bad == nil && l.Port != l.LastPort:
		b.c.report(codeValue, v.rng, "write one port", "redirect: %q is a range of ports", clip(v.s))
	case bad == nil && l.Unix():
		b.c.report(codeValue, v.rng, "write the path of its file, as unix:/run/x.sock", "redirect: %q is no file", clip(v.s))
	case err == nil && !file && addr.Zone() == "" && bad != nil && text != "tcp://"+withPort(addr, port): // as xinetd writes it, or with what listen has
		b.c.report(codeValue, v.rng, fmt.Sprintf("write %q", withPort(addr, port)), "redirect: %q is not an address with its port", clip(v.s))
	case err != nil && !file && strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == "" && host != "":
		b.c.report(codeValue, v.rng, "write its address: casemated asks no DNS, and what was reviewed stays what is meant", "redirect: %q is a name", clip(host))
	case bad == nil:
		b.c.report(codeValue, v.rng, `write it as "192.0.2.1:80", "[2001:db8::1]:80" or "unix:/run/x.sock"`, "redirect: %q has no address", clip(v.s))
	default:
		b.c.report(codeValue, v.rng, strings.ReplaceAll(bad.next, "tcp://", ""), "redirect: %s", strings.ReplaceAll(bad.summary, "tcp://", ""))
	}
}

func withPort(addr netip.Addr, port string) string {
	if addr.Is6() {
		return "[" + addr.String() + "]:" + port
	}
	return addr.String() + ":" + port
}

// ofRelays are the rows of programs that hold for the connections of a relay all the same.
var ofRelays = []string{"hangup", "keep_socket"}

// redirect says what a service with redirect has in place of the rows of programs: its
// relay takes the client's socket, and that of the target, by number.
func (b *block) redirect(s *policy.Service) {
	b.noProgram("a redirect", ofRelays...)
	s.Wait, s.Stdio, s.EnvStyle = false, sandbox.StdioFDs, nil
	if !b.has("user") {
		s.User = policy.Dynamic
	}
	s.Profile = cmp.Or(s.Profile, valid.RelayProfile)
}

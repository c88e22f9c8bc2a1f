package lang

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"casemate/policy"
)

// parseListen reads one listen address:
//
//	tcp://:finger  tcp://:7000-7010  tcp://192.0.2.1:79  tcp6://[::1]:79
//	unix:///run/x.sock?mode=0660&owner=root&group=adm  unix://@name
//
// tcp and udp may be tcp4, tcp6, udp4, udp6; unix may be unixgram, unixpacket.
func parseListen(s string) (policy.Listen, *badValue) {
	network, rest, ok := strings.Cut(s, "://")
	if !ok {
		return policy.Listen{}, bad(`write it as "tcp://:7979", "tcp://192.0.2.1:79" or "unix:///run/name.sock"`, "%q has no network", s)
	}
	if !slices.Contains(policy.Networks, network) {
		return policy.Listen{}, bad(didYouMean(network, policy.Networks, ""), "network %q is not known", network)
	}
	l := policy.Listen{Network: network}
	if strings.HasPrefix(network, "unix") {
		return parseUnix(l, rest)
	}
	if strings.ContainsAny(rest, "/?#@") {
		return l, bad("write "+network+"://ADDRESS:PORT", "%q has more than an address and a port", s)
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 || strings.HasSuffix(rest, "]") {
		return l, bad(fmt.Sprintf("write %s://%s:PORT", network, rest), "%q has no port", s)
	}
	host, port := rest[:i], rest[i+1:]
	var wrong *badValue
	if l.Addr, wrong = parseHost(network, host); wrong != nil {
		return l, wrong
	}
	first, last, isRange := strings.Cut(port, "-")
	if named, ok := ports[port]; ok { // names may have a hyphen: "kerberos-adm"
		l.Port, l.LastPort = named, named
		return l, nil
	}
	if l.Port, wrong = parsePort(first); wrong != nil {
		if isRange && strings.Trim(last, "0123456789") != "" {
			_, wrong = parsePort(port)
		}
		return l, wrong
	}
	l.LastPort = l.Port
	if isRange {
		l.LastPort, wrong = parsePort(last)
	}
	return l, wrong
}

// parseHost reads the address part: empty, IPv4, or IPv6 in brackets.
func parseHost(network, host string) (netip.Addr, *badValue) {
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
		return a, bad("leave the address out, as "+network+"://:79", "%q is not an address", host)
	case err != nil:
		return a, bad("write an IPv4 address, or an IPv6 address in brackets", "%q is not an address", host)
	case a.Zone() != "":
		return a, bad("write an address without a zone", "%q has a zone", host)
	case a.Is4In6():
		return a, bad("write "+a.Unmap().String(), "%q is an IPv4 address in disguise", host)
	case a.Is6() != bracket:
		return a, bad(fmt.Sprintf("write %s://[%s]:PORT, with brackets for IPv6 only", network, inner), "%q has its brackets wrong", host)
	case a.String() != inner:
		return a, bad("write "+a.String(), "%q is not the short form of its address", host)
	case a.IsUnspecified():
		family := "4"
		if a.Is6() {
			family = "6"
		}
		return a, bad(fmt.Sprintf("write %s%s://:PORT", network[:3], family), "%q is the wildcard", host)
	}
	return a, nil
}

// parseUnix reads a path or @name, and mode, owner and group behind it.
func parseUnix(l policy.Listen, rest string) (policy.Listen, *badValue) {
	path, query, _ := strings.Cut(rest, "?")
	l.Path = path
	if strings.HasPrefix(path, "@") {
		if query != "" {
			return l, bad("write "+l.Network+"://"+path, "an abstract socket has no mode, owner or group")
		}
		return l, nil
	}
	l.Mode = 0o600
	if query == "" {
		return l, nil
	}
	const next = "write it as unix:///run/name.sock?mode=0660&owner=root&group=adm"
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		key, val, _ := strings.Cut(pair, "=")
		if seen[key] || val == "" {
			return l, bad(next, "%q is empty or there twice", key)
		}
		seen[key] = true
		switch key {
		case "mode":
			mode, err := parseMode(val)
			if err != nil {
				return l, bad(next, "mode: %v", err)
			}
			l.Mode = mode
		case "owner":
			l.Owner = val
		case "group":
			l.Group = val
		default:
			return l, bad(didYouMean(key, []string{"mode", "owner", "group"}, ""), "%q is not known here", key)
		}
	}
	return l, nil
}

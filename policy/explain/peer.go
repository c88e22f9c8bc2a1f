package explain

import (
	"fmt"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/pattern"
	"casemate/listener/address"
	"casemate/policy"
)

// anyUnix stands for a client of a unix socket of whom nobody says which user it is.
const anyUnix acl.Pattern = "unix"

// ParsePeer reads a client who has no address, as rules name one: "unix" (a user who
// is not said), "uid=1000", or "cid=3", also as "vsock:3". Another text is none of them and no error.
func ParsePeer(s string) (acl.Pattern, error) {
	if s == string(anyUnix) {
		return anyUnix, nil
	}
	if cid, ok := strings.CutPrefix(s, "vsock:"); ok {
		s = "cid=" + cid
	}
	if !strings.Contains(s, "=") {
		return "", nil
	}
	p, err := pattern.Parse(s)
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	return p, nil
}

// Comes fails if no such client can come to the service; "" is one with an address.
func Comes(s *policy.Service, list *acl.List, peer acl.Pattern) error {
	if peer == "" {
		if len(s.Mux) > 0 || slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Inet() }) {
			return nil
		}
		if !slices.ContainsFunc(s.Listen, address.Listen.Unix) {
			return fmt.Errorf("service %q has vsock sockets alone: ask for the client cid=NUMBER", s.Name)
		}
		return fmt.Errorf("service %q has unix sockets alone: ask for the client unix, or for uid=NUMBER", s.Name)
	}
	if strings.HasPrefix(string(peer), "cid=") {
		if !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Network == "vsock" }) {
			return fmt.Errorf("service %q has no vsock: ask for another client", s.Name)
		}
		return nil
	}
	if !slices.ContainsFunc(s.Listen, address.Listen.Unix) {
		return fmt.Errorf("service %q has no unix socket: ask for an address", s.Name)
	}
	if peer == anyUnix && list != nil {
		for _, r := range list.Rules {
			for _, p := range slices.Concat(r.From, r.Except) {
				if strings.HasPrefix(string(p), "uid=") {
					return fmt.Errorf("acl %q has rules by user: ask for uid=NUMBER", list.Name)
				}
			}
		}
	}
	return nil
}

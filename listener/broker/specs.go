package broker

import (
	"errors"
	"fmt"
	"strings"

	"casemate/listener"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// wantedSocket is one socket that a generation asks for.
type wantedSocket struct {
	spec     listener.Spec
	optional bool // the second family of "tcp" or "udp" without an address
	retry    bool
}

// sockets turns a service's listen addresses into sockets.
func (a *accounts) sockets(s *policy.Service) ([]wantedSocket, error) {
	var out []wantedSocket
	for i, l := range s.Listen {
		where := fmt.Sprintf("services.%s.listen.%d", s.Name, i)
		if l.Unix() {
			spec, err := a.unixSocket(&l)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			out = append(out, wantedSocket{spec: spec, retry: s.Retry})
			continue
		}
		specs := listener.Expand(l.Network, l.Addr, l.Port, l.LastPort)
		if specs == nil {
			return nil, fmt.Errorf("%s: %s cannot be listened on", where, l)
		}
		both := !l.Addr.IsValid() && (l.Network == "tcp" || l.Network == "udp")
		for _, spec := range specs {
			out = append(out, wantedSocket{spec: spec, optional: both && strings.HasSuffix(spec.Network, "6"), retry: s.Retry})
		}
	}
	for i := range out {
		out[i].spec.Backlog, out[i].spec.Wait = s.Backlog, s.Wait
		if out[i].spec.Network == "unixgram" && !s.Wait {
			return nil, fmt.Errorf("services.%s.listen: a unixgram socket has no connections to hand out: set wait = true", s.Name)
		}
	}
	return out, nil
}

func (a *accounts) unixSocket(l *policy.Listen) (listener.Spec, error) {
	spec := listener.Spec{Network: l.Network, Path: l.Path, Mode: l.Mode, UID: listener.KeepID, GID: listener.KeepID}
	var err error
	if l.Owner != "" {
		if spec.UID, _, err = a.user(l.Owner); err != nil {
			return spec, fmt.Errorf("owner: %w", err)
		}
	}
	if l.Group != "" {
		if spec.GID, err = a.group(l.Group); err != nil {
			return spec, fmt.Errorf("group: %w", err)
		}
	}
	return spec, nil
}

// taken reports whether err of listener.Open means that somebody has the
// address: then our own old socket may be in the way, or a retry helps.
func taken(err error) bool {
	return errors.Is(err, unix.EADDRINUSE) || errors.Is(err, listener.ErrLive)
}

// absent reports whether err means that the host has no such family or address (yet).
func absent(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// overlap reports whether the kernel would refuse a and b side by side: the
// same port of a protocol and family with one of the addresses a wildcard, or
// the same path.
func overlap(a, b listener.Spec) bool {
	if a.Path != "" || b.Path != "" {
		return a.Path == b.Path
	}
	if a.Network != b.Network || a.Addr.Port() != b.Addr.Port() {
		return false
	}
	x, y := a.Addr.Addr(), b.Addr.Addr()
	return x == y || x.IsUnspecified() || y.IsUnspecified()
}

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"casemate/cmd/casemate/facts"
	"casemate/listener/address"
	"casemate/listener/endpoint"
	"casemate/policy"
	"casemate/policy/lang"
)

// What is wrong with a vsock that no transport serves.
const (
	unreachedVsock = "this host has no transport for vsocks loaded"
	loadVsock      = "load that of its hypervisor, vhost_vsock for guests of its own, or vsock_loopback (modprobe)"
)

// addresses tells which of a service's addresses others have, or the host has not.
func (f *faults) addresses(s *policy.Service) {
	for k, l := range s.Listen {
		at := fmt.Sprintf("services.%s.listen.%d", s.Name, k)
		if l.File() {
			f.add(at, s.Name, f.facts.CheckDir(filepath.Dir(l.Path)))
		}
		if l.Network == "vsock" && f.facts.Vsock == facts.NoVsock {
			f.found = append(f.found, lang.Fault{Path: at, Unsure: true, Summary: fmt.Sprintf("nobody comes to %s of service %q: %s", l, s.Name, unreachedVsock), Next: loadVsock})
		}
		for _, e := range s.Endpoints(l) {
			f.address(at, s, e)
		}
	}
}

func (f *faults) address(at string, s *policy.Service, e endpoint.Endpoint) {
	a := e.Addr.Addr()
	if a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && f.facts.Addresses != nil && !slices.Contains(f.facts.Addresses, a) && !s.Socket.Freebind && !s.Socket.Transparent {
		f.found = append(f.found, lang.Fault{Path: at, Unsure: s.Retry, Summary: fmt.Sprintf("casemated cannot open %s for service %q: this host does not have that address", e.Key(), s.Name),
			Next: "listen on an address that it has, or write retry = true if it comes later"})
		return
	}
	for i := range f.facts.Sockets {
		h := &f.facts.Sockets[i]
		overlaps, unsure := inTheWay(h.Endpoint(), e)
		if !overlaps || h.Ours {
			continue
		}
		fault := lang.Fault{Path: at, Unsure: unsure || !h.Known || s.Retry || e.Interface != "", Summary: fmt.Sprintf("casemated cannot open %s for service %q: it is in use by %s", e.Key(), s.Name, h.Who),
			Next: "end that, or listen elsewhere"}
		if !h.Known {
			fault.Next = "run casemate check --host as root, which tells whether that is casemated itself"
		}
		f.found = append(f.found, fault)
		return
	}
}

// inTheWay tells whether the kernel refuses e beside h, which is held. A wildcard of IPv6 may also be
// one of IPv4, which nothing tells.
func inTheWay(h, e endpoint.Endpoint) (yes, unsure bool) {
	switch {
	case !e.Addr.IsValid() || !h.Addr.IsValid():
		return e.Path == h.Path, false
	case address.Transport(e) != address.Transport(h) || e.Addr.Port() != h.Addr.Port():
		return false, false
	case e.Network == h.Network:
		return address.Overlap(e, h), false
	}
	four, x, y := strings.HasSuffix(e.Network, "4"), h.Addr.Addr(), e.Addr.Addr()
	if x.Is4In6() {
		return four && (x.Unmap() == y || y.IsUnspecified()), false
	}
	return four && x.IsUnspecified(), true
}

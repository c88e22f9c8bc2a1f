package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"

	"casemate/acl"
	"casemate/acl/shield"
	"casemate/listener"
	"casemate/listener/endpoint"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// TestBansLeaveTheScreenWhole: where the kernel's filter is all that holds clients to the rules, bans that it has no room for beside them take
// none of them out of it. Where the rules are asked again, as at the control, they may.
func TestBansLeaveTheScreenWhole(t *testing.T) {
	list := &acl.List{Name: "few", Default: acl.Deny}
	for i := range 900 {
		list.Rules = append(list.Rules, acl.Rule{Verdict: acl.Allow, From: []acl.Pattern{acl.Pattern(fmt.Sprintf("10.%d.%d.0/28", i/250, i%250))}})
	}
	rules, err := shield.Whole(list)
	if err != nil {
		t.Fatal(err)
	}
	var many []netip.Prefix
	for i := range 1024 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i / 250), byte(i % 250), 3}), 32))
	}
	equal := func(a, b shield.Ranges) bool { return slices.Equal(a.IPv4, b.IPv4) && slices.Equal(a.IPv6, b.IPv6) }
	for _, wait := range []bool{true, false} {
		s := &shielding{svc: &service{spec: &policy.Service{Refuse: policy.RefuseSilent, Wait: wait}}, rules: rules}
		if few := s.with(many[:2]); equal(few, rules) || !few.Refuses(many[0].Addr()) {
			t.Errorf("wait %v: two bans are not in the filter", wait)
		}
		if got := s.with(many); equal(got, rules) != wait || got.Fits() != wait {
			t.Errorf("wait %v: with %d bans the filter has %d ranges of the rules' %d, and they fit: %v", wait, len(many), len(got.IPv4), len(rules.IPv4), got.Fits())
		}
	}
}

// TestCrampedFilters: where the kernel has no memory for two filters at a time, a listener gets the next one all the same. Where the filter is all
// that holds clients to the rules, it is never without one, and drops everybody where there is none for the next one alone; elsewhere the
// old one goes.
func TestCrampedFilters(t *testing.T) {
	for _, wait := range []bool{true, false} {
		events, err := loop.New()
		if err != nil {
			t.Fatal(err)
		}
		link, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(link[0])
		defer unix.Close(link[1])
		b := &Broker{loop: events, said: map[string]int64{}, sockets: map[string]*listening{}, log: journal.New(io.Discard, false)}
		b.shields = &shields{b: b, worker: &worker{b: b, fd: link[0]}}
		sock, err := listener.Open(listener.Spec{Endpoint: endpoint.Endpoint{Network: "udp4", Addr: netip.AddrPortFrom(loopback, 0)}, Wait: wait})
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(sock.FD)
		svc := &service{b: b, name: "one", spec: &policy.Service{Refuse: policy.RefuseSilent, Wait: wait}, tally: &tally{}}
		at := &listening{b: b, sock: &inbound.Socket{FD: sock.FD, Spec: sock.Spec}, spec: sock.Spec, svc: svc}
		svc.listen, b.sockets["one"] = []*listening{at}, at
		has, refused := 0, 0
		// work does what the worker has to do, of a kernel with so much memory for filters.
		work := func(memory int) {
			t.Helper()
			for {
				buf, oob := make([]byte, 100), make([]byte, unix.CmsgSpace(8))
				_, n, _, _, err := unix.Recvmsg(link[1], buf, oob, unix.MSG_DONTWAIT)
				if err != nil {
					return
				}
				msgs, _ := unix.ParseSocketControlMessage(oob[:n])
				fds, _ := unix.ParseUnixRights(&msgs[0])
				text := make([]byte, shield.MaxFilter)
				n, _ = unix.Pread(fds[1], text, 0)
				if inbound.Filtered(at.fd(), nil) {
					has = 0
				}
				if text = text[:n]; has+n/shield.InstructionSize > memory {
					refused++
					b.shields.heard(wire.Report{Kind: wire.Refused, Of: wire.Kind(unix.ENOMEM)})
				} else {
					has = n / shield.InstructionSize
					list := make([]unix.SockFilter, n/shield.InstructionSize)
					for i := range list {
						one := text[shield.InstructionSize*i:]
						list[i] = unix.SockFilter{Code: binary.NativeEndian.Uint16(one), Jt: one[2], Jf: one[3], K: binary.NativeEndian.Uint32(one[4:])}
					}
					if err := unix.SetsockoptSockFprog(fds[0], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]}); err != nil {
						t.Fatal(err)
					}
					if wait && inbound.Filtered(at.fd(), nil) {
						t.Error("it has no filter for a moment")
					}
				}
				unix.Close(fds[0])
				unix.Close(fds[1])
			}
		}
		for i, n := range []int{20, 21, 60} { // ranges: of the last, the filter has no place by itself
			var prefixes []netip.Prefix
			for k := range n {
				prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(k), byte(i), 0}), 24))
			}
			s := &shielding{svc: svc, rules: shield.Ranges{}.With(prefixes)}
			s.now = &filters{datagrams: s.rules.Filter(true)}
			svc.tally.shield = s
			at.shielded()
			work(150)
			if refused != i && refused != i+1 {
				t.Errorf("wait %v: %d filters were too large after %d", wait, refused, i+1)
			}
			switch fits := inbound.Filtered(at.fd(), s.now.datagrams); {
			case fits != (n < 60):
				t.Errorf("wait %v: the filter of %d ranges is there: %v", wait, n, fits)
			case fits != (b.shields.lacks(s) == nil):
				t.Errorf("wait %v: of %d ranges status says %v", wait, n, b.shields.lacks(s))
			case !fits && wait && !inbound.Filtered(at.fd(), shield.Ranges{}.With(everybody).Filter(true)):
				t.Error("the old filter holds clients to rules that are over")
			case !fits && !wait && !inbound.Filtered(at.fd(), nil):
				t.Error("the old filter drops whom the rules may admit now")
			}
		}
	}
}

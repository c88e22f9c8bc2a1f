package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/ban"
	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/acl/shield"
	"casemate/listener"
	"casemate/listener/address"
	"casemate/listener/endpoint"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// TestBansLeaveTheScreenWhole: where the kernel's filter is all that holds clients to the rules, bans that it has no room for beside them take
// none of them out of it. Where the rules are asked again they may: who is banned or shut out sends what the kernel is to drop.
func TestBansLeaveTheScreenWhole(t *testing.T) {
	list := &acl.List{Name: "few", Default: acl.Deny}
	for i := range 900 {
		list.Rules = append(list.Rules, acl.Rule{Verdict: acl.Allow, From: []acl.Pattern{acl.Pattern(fmt.Sprintf("10.%d.%d.0/28", i/250, i%250))}})
	}
	rules, err := shield.Whole(list)
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t)
	g.load(svc("one", "tcp", freePort(t), "/bin/cat"))
	for _, wait := range []bool{true, false} {
		s := &shielding{rules: rules, svc: &service{b: g.Broker, name: "other", limit: new(limit.Spec),
			spec: &policy.Service{Refuse: policy.RefuseSilent, Wait: wait, Listen: []address.Listen{{Network: "tcp", Addr: loopback, Port: 9, LastPort: 9}}}}}
		bans := func(n int) []byte {
			next := new(ban.State)
			for i := range n {
				next.Bans = append(next.Bans, ban.Ban{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i / 250), byte(i % 250), 3}), 32)})
			}
			g.do(func() {
				g.bans.state = next
				s.renew()
			})
			return s.now.connections
		}
		all := func(n int) []netip.Prefix { return g.bans.prefixes("other")[:n] }
		if few := bans(2); !bytes.Equal(few, shield.Filter(false, rules, shield.Prefixes(all(2), nil))) || bytes.Equal(few, bans(0)) {
			t.Errorf("wait %v: two bans are not in the filter", wait)
		}
		first, more := rules, shield.Prefixes(nil, nil)
		got := bans(1024)
		if more = shield.Prefixes(all(1024), nil); !wait {
			first, more = more, first
		}
		if !bytes.Equal(got, shield.Filter(false, first, more)) || bytes.Equal(got, shield.Filter(false, more, first)) {
			t.Errorf("wait %v: what gives way in the filter is the wrong of the two", wait)
		}
		bans(0)
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
			s := &shielding{svc: svc, rules: shield.Prefixes(prefixes, nil)}
			s.now = &filters{datagrams: shield.Filter(true, s.rules, shield.Ranges{})}
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
			case !fits && wait && !inbound.Filtered(at.fd(), shield.Filter(true, shield.Prefixes(everybody, nil), shield.Ranges{})):
				t.Error("the old filter holds clients to rules that are over")
			case !fits && !wait && !inbound.Filtered(at.fd(), nil):
				t.Error("the old filter drops whom the rules may admit now")
			}
		}
	}
}

// TestBlockedUnderFlood: sources that a limit shuts out are in the filter soon, and not the later the more of their clients come; who is exempt is
// not in it, be the network around it shut out.
func TestBlockedUnderFlood(t *testing.T) {
	g, port := newRig(t), freePort(t)
	p := testPolicy(svc("one", "tcp", port, "/bin/cat"))
	p.Services[0].Refuse, p.Services[0].Limit = policy.RefuseSilent, "twice"
	per := limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Minute}, Burst: 1, Prefix4: 32, Prefix6: 64, Wider: []limit.Wider{{Prefix4: 30, Times: 2}}}
	p.Limits = append(p.Limits, limit.Spec{Name: "twice", PerSource: per, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.6/32")}})
	slices.SortFunc(p.Limits, func(a, b limit.Spec) int { return strings.Compare(a.Name, b.Name) })
	g.loadPolicy(p)
	var want []byte
	for _, from := range []string{"127.0.0.4", "127.0.0.5"} {
		if shutOut(t, from, port) {
			t.Fatal("its first client is refused: " + from)
		}
	}
	// Nobody attaches a filter here, so the flood goes on; it ends when the filter has been made that shuts it out.
	begin, n := time.Now(), 0
	for ; want == nil && time.Since(begin) < 20*time.Second; n++ {
		if !shutOut(t, []string{"127.0.0.4", "127.0.0.5", "127.0.0.7"}[n%3], port) {
			t.Fatal("admitted, and over its rate")
		}
		g.do(func() {
			if s := g.tallies["one"].shield; len(s.blocked) == 3 {
				alone := shield.Filter(false, shield.Prefixes(prefixesOf("127.0.0.4/30"), prefixesOf("127.0.0.6/32")), shield.Ranges{})
				if bytes.Equal(s.now.connections, alone) {
					want = alone
				}
			}
		})
	}
	if want == nil {
		t.Fatalf("%d clients of sources that are shut out were refused, and the filter knows of none or of other ones", n)
	}
	t.Logf("in the filter after %d clients and %v", n, time.Since(begin))
	if shutOut(t, "127.0.0.6", port) {
		t.Error("who is exempt is shut out")
	}
}

func prefixesOf(text ...string) (out []netip.Prefix) {
	for _, t := range text {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// TestFloodIsBlocked: sources that are shut out are so in the kernel soon after the first of them, however many are refused meanwhile, and
// those whose time is over come again.
func TestFloodIsBlocked(t *testing.T) {
	events, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- events.Run() }()
	defer func() { _ = events.Post(events.End); <-ended }()
	b := &Broker{loop: events}
	b.bans = newBans(b)
	limiter := admission.New(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Minute}, Burst: 1, Prefix4: 32}})
	svc := &service{b: b, name: "one", spec: &policy.Service{Refuse: policy.RefuseSilent}, limit: new(limit.Spec), tally: &tally{limiter: limiter}}
	s := &shielding{svc: svc, now: new(filters), blocked: map[netip.Prefix]int64{}}
	s.timer.Owner = loop.Func(s.renew)
	svc.tally.shield = s
	first, renewed := s.now, 0
	over := netip.MustParsePrefix("192.0.2.9/32")
	at := &listening{spec: listener.Spec{Endpoint: endpoint.Endpoint{Network: "tcp4"}}}
	gone := false
	for end := time.Now().Add(10 * time.Second); !gone && time.Now().Before(end); time.Sleep(shieldAfter / 10) {
		_ = events.Do(func() {
			v := visit{svc: svc, at: at, peer: inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.1:7")}}
			_, _ = limiter.Admit(events.Now(), v.source())
			if b.block(&v); s.now != first {
				first = s.now
				if renewed++; renewed == 1 {
					s.blocked[over] = 1
				}
			}
			gone = renewed > 0 && s.blocked[over] == 0
		})
	}
	if !gone {
		t.Errorf("in ten seconds of refusals the filter was made anew %d times, and one whose time is over is in it", renewed)
	}
}

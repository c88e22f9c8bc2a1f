package admission

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/tests/need"
)

// TestShut: as long as a source is said to be shut out nobody of its prefix is admitted, whatever others do meanwhile,
// and a penalty or a rate shuts one out as long as Admit says to wait.
func TestShut(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	shut, wider := 0, 0
	for range need.Rounds(200) {
		spec := limit.Spec{Concurrent: 1 + r.IntN(30), PerSource: limit.PerSource{Concurrent: r.IntN(4), Burst: 1 + r.IntN(3), Prefix4: []int{24, 32}[r.IntN(2)], Prefix6: []int{48, 64}[r.IntN(2)]}}
		if r.IntN(3) > 0 {
			spec.PerSource.Rate = limit.Rate{Events: 1 + r.IntN(9), Per: time.Second}
		}
		if r.IntN(2) == 0 {
			spec.Penalty = limit.Penalty{On: []limit.Class{"crash"}, First: time.Second, Max: 5 * time.Second}
		}
		for bits := 8 * r.IntN(3); bits > 0; bits -= 8 {
			spec.PerSource.Wider = append(spec.PerSource.Wider, limit.Wider{Prefix4: bits, Prefix6: bits + 20, Times: 2 + len(spec.PerSource.Wider)})
		}
		if r.IntN(2) == 0 {
			spec.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("2001:0:0:1::/64")}
		}
		l := New(spec)
		if r.IntN(4) == 0 {
			l.table.most = 3 // the others share the pool
		}
		until := map[netip.Prefix]int64{}
		var live []Ticket
		now := int64(0)
		for range 300 {
			now += r.Int64N(int64(200 * time.Millisecond))
			a := netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(r.IntN(3))})
			if r.IntN(3) == 0 {
				a = netip.AddrFrom16([16]byte{0x20, 1, 5: byte(r.IntN(2)), 7: byte(r.IntN(2)), 15: byte(r.IntN(3))})
			}
			src := Peer(a, 0)
			switch r.IntN(4) {
			case 0:
				l.Penalize(now, src, "crash")
			case 1:
				if n := len(live); n > 0 {
					l.Release(now, &live[n-1])
					live = live[:n-1]
				}
			default:
				ticket, refusal := l.Admit(now, src)
				for p, end := range until {
					if p.Contains(a) && now < end && !refusal.Refused() && !l.Exempt(src) {
						t.Fatalf("%s is admitted at %d, and %s was to be shut out until %d", a, now, p, end)
					}
				}
				if !refusal.Refused() {
					live = append(live, ticket)
				}
				by := map[netip.Prefix]time.Duration{}
				l.Shut(now, src, func(p netip.Prefix, wait int64) {
					if shut++; !p.Contains(a) || p.Masked() != p || l.Exempt(src) {
						t.Fatalf("%s is not a prefix of %s, which counts", p, a)
					}
					if wider += bit(p.Bits() < min(spec.PerSource.Prefix4, 24)); by[p] > 0 {
						t.Fatalf("%s is told of twice", p)
					}
					by[p], until[p] = time.Duration(wait), now+wait
				})
				if r := refusal.Reason; (r == ByPenalty || r == BySourceRate || r == ByWiderRate) && by[l.Counted(src, refusal)] < refusal.RetryAfter {
					t.Fatalf("%+v, and shut out are %v", refusal, by)
				}
			}
		}
	}
	if shut < 1000 || wider < 100 {
		t.Errorf("%d were shut out, %d of them wider networks: hardly any", shut, wider)
	}
	l := New(limit.Spec{Penalty: limit.Penalty{On: limit.Classes, First: time.Second, Max: time.Second}})
	l.Penalize(0, Peer(netip.Addr{}, 7), limit.Crash)
	l.Shut(0, Peer(netip.Addr{}, 7), func(p netip.Prefix, wait int64) {
		t.Errorf("who has no address is shut out: %v for %d", p, wait)
	})
}

func bit(is bool) int {
	if is {
		return 1
	}
	return 0
}

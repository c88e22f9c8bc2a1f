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
	shut := 0
	for range need.Rounds(200) {
		spec := limit.Spec{Concurrent: 1 + r.IntN(30), PerSource: limit.PerSource{Concurrent: r.IntN(4), Burst: 1 + r.IntN(3), Prefix4: []int{24, 32}[r.IntN(2)], Prefix6: []int{48, 64}[r.IntN(2)]}}
		if r.IntN(3) > 0 {
			spec.PerSource.Rate = limit.Rate{Events: 1 + r.IntN(9), Per: time.Second}
		}
		if r.IntN(2) == 0 {
			spec.Penalty = limit.Penalty{On: []limit.Class{"crash"}, First: time.Second, Max: 5 * time.Second}
		}
		l := New(spec)
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
					if p.Contains(a) && now < end && !refusal.Refused() {
						t.Fatalf("%s is admitted at %d, and %s was to be shut out until %d", a, now, p, end)
					}
				}
				if !refusal.Refused() {
					live = append(live, ticket)
				}
				p, wait := l.Shut(now, src)
				if wait > 0 {
					if shut++; !p.Contains(a) || p.Masked() != p {
						t.Fatalf("%s is not the prefix of %s", p, a)
					}
					until[p] = now + wait
				}
				if got := time.Duration(wait); refusal.Reason == ByPenalty && got < refusal.RetryAfter || refusal.Reason == BySourceRate && got < refusal.RetryAfter {
					t.Fatalf("%s, and shut out for %v", refusal.Reason, got)
				}
			}
		}
	}
	if shut < 1000 {
		t.Errorf("%d were shut out: hardly any", shut)
	}
	if p, wait := New(limit.Spec{}).Shut(0, Peer(netip.Addr{}, 7)); wait != 0 {
		t.Errorf("who has no address is shut out: %v for %d", p, wait)
	}
}

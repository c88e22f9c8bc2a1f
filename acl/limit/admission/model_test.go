package admission

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"casemate/acl/limit"
)

// model is a Limiter written for nothing but clearness: it keeps the times of
// every admission, counts by looking, and forgets nothing.
type model struct {
	spec    limit.Spec
	running []string           // the source of each session
	all     []int64            // admissions
	of      map[string][]int64 // admissions of each source
	penalty map[string]int64   // until
	coin    uint64             // what would be drawn now
}

func (m *model) key(a netip.Addr) string {
	a = a.WithZone("")
	bits := m.spec.PerSource.Prefix6
	if a.Is4() {
		bits = m.spec.PerSource.Prefix4
	}
	p, _ := a.Prefix(bits)
	return p.String()
}

// wait plays a token bucket over all past admissions.
func wait(past []int64, now int64, r limit.Rate, burst int) int64 {
	if r.Events == 0 {
		return 0
	}
	interval := (int64(r.Per) + int64(r.Events) - 1) / int64(r.Events)
	full := interval * int64(max(burst, 1))
	credit, last := full, int64(0)
	for _, at := range past {
		credit = min(credit+at-last, full) - interval
		last = at
	}
	return max(interval-min(credit+now-last, full), 0)
}

func (m *model) check(now int64, k string) Refusal {
	p := m.spec.PerSource
	mine := 0
	for _, r := range m.running {
		if r == k {
			mine++
		}
	}
	if until := m.penalty[k]; until > now {
		return refuse(ByPenalty, until-now)
	}
	if w := wait(m.all, now, m.spec.Rate, m.spec.Burst); w > 0 {
		return refuse(ByRate, w)
	}
	if m.spec.Concurrent > 0 && len(m.running) >= m.spec.Concurrent {
		return refuse(ByConcurrency, 0)
	}
	if p.Concurrent > 0 && mine >= p.Concurrent {
		return refuse(BySourceConcurrency, 0)
	}
	if w := wait(m.of[k], now, p.Rate, p.Burst); w > 0 {
		return refuse(BySourceRate, w)
	}
	if e := m.spec.EarlyDrop; e.Start > 0 && len(m.running) >= e.Start {
		part := float64(len(m.running)-e.Start) / float64(m.spec.Concurrent-e.Start)
		if chance := float64(e.Percent) + part*float64(100-e.Percent); float64(m.coin)/math.MaxUint64*100 < chance {
			return refuse(ByEarlyDrop, 0)
		}
	}
	return Refusal{}
}

func randomSpec(r *rand.Rand) limit.Spec {
	maybe := func(n int) int {
		if r.IntN(3) == 0 {
			return 0
		}
		return 1 + r.IntN(n)
	}
	rate := func(n int) (limit.Rate, int) {
		if e := maybe(n); e > 0 {
			return limit.Rate{Events: e, Per: time.Duration(1 + r.Int64N(3*sec))}, r.IntN(6)
		}
		return limit.Rate{}, 0
	}
	s := limit.Spec{Concurrent: maybe(12)}
	if s.Concurrent > 1 && r.IntN(2) == 0 {
		s.EarlyDrop = limit.EarlyDrop{Start: 1 + r.IntN(s.Concurrent-1), Percent: 1 + r.IntN(100)}
	}
	s.Rate, s.Burst = rate(40)
	s.PerSource = limit.PerSource{Concurrent: maybe(4), Prefix4: 29 + r.IntN(4), Prefix6: 62 + r.IntN(67)}
	s.PerSource.Rate, s.PerSource.Burst = rate(10)
	if r.IntN(2) == 0 {
		s.Penalty = limit.Penalty{On: []limit.Class{limit.Crash, limit.Timeout}, First: time.Duration(1 + r.Int64N(sec))}
		s.Penalty.Max = s.Penalty.First + time.Duration(r.Int64N(3*sec))
	}
	return s
}

func randomAddr(r *rand.Rand) netip.Addr {
	n := byte(r.IntN(12))
	if r.IntN(3) > 0 {
		return netip.AddrFrom4([4]byte{192, 0, 2, n})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: n & 3, 8: n << 6, 15: n}).WithZone("eth0")
}

func TestAgainstModel(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 7))
		spec := randomSpec(r)
		l := New(spec)
		m := &model{spec: spec, of: map[string][]int64{}, penalty: map[string]int64{}}
		l.Draw = func() uint64 { return m.coin }
		var tickets []Ticket // beside m.running
		now := int64(0)
		for step := range 400 {
			if r.IntN(2) == 0 {
				now += r.Int64N(sec / 4)
			}
			a := randomAddr(r)
			k := m.key(a)
			m.coin = r.Uint64()
			switch op := r.IntN(10); {
			case op < 6:
				want := m.check(now, k)
				if got := l.Peek(now, Peer(a, 0)); got != want {
					t.Fatalf("seed %d step %d: Peek %v, model %v\n%+v", seed, step, got, want, spec)
				}
				tk, got := l.Admit(now, Peer(a, 0))
				if got != want {
					t.Fatalf("seed %d step %d: Admit %v, model %v\n%+v", seed, step, got, want, spec)
				}
				if !got.Refused() {
					tickets, m.running = append(tickets, tk), append(m.running, k)
					m.all, m.of[k] = append(m.all, now), append(m.of[k], now)
				}
			case op < 9 && len(tickets) > 0:
				i := r.IntN(len(tickets))
				l.Release(now, &tickets[i])
				tickets, m.running = slices.Delete(tickets, i, i+1), slices.Delete(m.running, i, i+1)
			case op == 9:
				class := []limit.Class{limit.Crash, limit.Violation, limit.Timeout}[r.IntN(3)]
				l.Penalize(now, Peer(a, 0), class)
				if p := spec.Penalty; slices.Contains(p.On, class) {
					m.penalty[k] = min(max(m.penalty[k], now)+int64(p.First), now+int64(p.Max))
				}
			}
			if got := l.state().active; got != len(m.running) {
				t.Fatalf("seed %d step %d: %d active, model %d", seed, step, got, len(m.running))
			}
		}
	}
}

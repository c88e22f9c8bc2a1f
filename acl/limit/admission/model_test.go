package admission

import (
	"fmt"
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
	running [][]string         // the source of each session, and the networks around it
	all     []int64            // admissions
	of      map[string][]int64 // admissions of each source and network
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

// keys are that of the source and those of the networks around it, "" where there is none.
func (m *model) keys(a netip.Addr) []string {
	a = a.WithZone("")
	out := []string{m.key(a)}
	for i, w := range m.spec.PerSource.Wider {
		bits, own := w.Prefix6, m.spec.PerSource.Prefix6
		if a.Is4() {
			bits, own = w.Prefix4, m.spec.PerSource.Prefix4
		}
		if p, _ := a.Prefix(bits); bits > 0 && bits < own {
			out = append(out, fmt.Sprintf("%d around %s", i, p))
		} else {
			out = append(out, "")
		}
	}
	return out
}

func (m *model) live(k string) (n int) {
	for _, r := range m.running {
		if slices.Contains(r, k) {
			n++
		}
	}
	return n
}

// wait plays a token bucket over all past admissions.
func wait(past []int64, now int64, r limit.Rate, burst int) int64 {
	return waitFor(past, now, r, burst, 1)
}

// waitFor is that of a network that may have so many times what one source may.
func waitFor(past []int64, now int64, r limit.Rate, burst, times int) int64 {
	if r.Events == 0 {
		return 0
	}
	interval := (int64(r.Per) + int64(r.Events) - 1) / int64(r.Events)
	full := interval * int64(max(burst, 1))
	interval = (interval + int64(times) - 1) / int64(times)
	full = max(full, interval)
	credit, last := full, int64(0)
	for _, at := range past {
		credit = min(credit+at-last, full) - interval
		last = at
	}
	return max(interval-min(credit+now-last, full), 0)
}

func (m *model) check(now int64, a netip.Addr) Refusal {
	p, keys := m.spec.PerSource, m.keys(a)
	k := keys[0]
	mine := m.live(k)
	exempt := m.exempt(a)
	if until := m.penalty[k]; until > now && !exempt {
		return refuse(ByPenalty, until-now)
	}
	if w := wait(m.all, now, m.spec.Rate, m.spec.Burst); w > 0 {
		return refuse(ByRate, w)
	}
	if m.spec.Concurrent > 0 && len(m.running) >= m.spec.Concurrent {
		return refuse(ByConcurrency, 0)
	}
	if exempt {
		return m.early()
	}
	if p.Concurrent > 0 && mine >= p.Concurrent {
		return refuse(BySourceConcurrency, 0)
	}
	if w := wait(m.of[k], now, p.Rate, p.Burst); w > 0 {
		return refuse(BySourceRate, w)
	}
	for i, w := range p.Wider {
		k := keys[i+1]
		if k == "" || p.Concurrent == 0 && p.Rate.Events == 0 {
			continue
		}
		if p.Concurrent > 0 && m.live(k) >= p.Concurrent*w.Times {
			return Refusal{ByWiderConcurrency, 0, i + 1}
		}
		if wait := waitFor(m.of[k], now, p.Rate, p.Burst, w.Times); wait > 0 {
			return Refusal{ByWiderRate, time.Duration(wait), i + 1}
		}
	}
	return m.early()
}

func (m *model) exempt(a netip.Addr) bool {
	return slices.ContainsFunc(m.spec.Exempt, func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) })
}

// early is what the draw says.
func (m *model) early() Refusal {
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
	for n, four, six, times := r.IntN(4), 30, 64, 1; n > 0; n-- {
		times += 1 + r.IntN(2)
		four, six = four-r.IntN(3), six-r.IntN(3)
		s.PerSource.Wider = append(s.PerSource.Wider, limit.Wider{Times: times})
		w := &s.PerSource.Wider[len(s.PerSource.Wider)-1]
		if r.IntN(4) > 0 {
			w.Prefix4 = four
		}
		if r.IntN(4) > 0 {
			w.Prefix6 = six
		}
		four, six = four-1, six-1
	}
	for range r.IntN(3) {
		p, err := randomAddr(r).WithZone("").Prefix([]int{28, 30, 32}[r.IntN(3)])
		if p.Addr().Is6() {
			p, err = p.Addr().Prefix([]int{64, 66, 128}[r.IntN(3)])
		}
		if err != nil {
			panic(err)
		}
		s.Exempt = append(s.Exempt, p)
	}
	if r.IntN(2) == 0 {
		s.Penalty = limit.Penalty{On: []limit.Class{limit.Crash, limit.Timeout}, First: time.Duration(1 + r.Int64N(sec))}
		s.Penalty.Max = s.Penalty.First + time.Duration(r.Int64N(3*sec))
		for _, c := range limit.Classes {
			if r.IntN(3) == 0 {
				*s.Penalty.Own(c) = time.Duration(1 + r.Int64N(int64(s.Penalty.Max)))
			}
		}
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
			k := m.keys(a)
			m.coin = r.Uint64()
			switch op := r.IntN(10); {
			case op < 6:
				want := m.check(now, a)
				if got := l.Peek(now, Peer(a, 0)); got != want {
					t.Fatalf("seed %d step %d: Peek %v, model %v\n%+v", seed, step, got, want, spec)
				}
				tk, got := l.Admit(now, Peer(a, 0))
				if got != want {
					t.Fatalf("seed %d step %d: Admit %v, model %v\n%+v", seed, step, got, want, spec)
				}
				if !got.Refused() {
					if m.all = append(m.all, now); m.exempt(a) {
						k = nil // counts with nobody's
					}
					tickets, m.running = append(tickets, tk), append(m.running, k)
					for _, k := range k {
						m.of[k] = append(m.of[k], now)
					}
				}
			case op < 9 && len(tickets) > 0:
				i := r.IntN(len(tickets))
				l.Release(now, &tickets[i])
				tickets, m.running = slices.Delete(tickets, i, i+1), slices.Delete(m.running, i, i+1)
			case op == 9:
				class := []limit.Class{limit.Crash, limit.Violation, limit.Timeout}[r.IntN(3)]
				l.Penalize(now, Peer(a, 0), class)
				if p := spec.Penalty; slices.Contains(p.On, class) && !m.exempt(a) {
					m.penalty[k[0]] = min(max(m.penalty[k[0]], now)+int64(p.Adds(class)), now+int64(p.Max))
				}
			}
			if got := l.state().active; got != len(m.running) {
				t.Fatalf("seed %d step %d: %d active, model %d", seed, step, got, len(m.running))
			}
		}
	}
}

package admission

import "casemate/acl/limit"

// rung is one limit.Wider made ready: the networks of its lengths around sources, and what each may have.
// Their entries lie in the same table as the sources'; one is there as long as a session of it runs
// or its rate is owed something.
type rung struct {
	bits4, bits6 uint8 // 0 is no network of that family
	concurrent   int
	rate         gcra
}

// step is a rung for one source, on its way through check.
type step struct {
	key   key
	entry *entry // nil: yet to be made
	after int64  // its tat
}

func newRungs(c *sourceConfig, wider []limit.Wider) []rung {
	out := make([]rung, 0, limit.MaxWider)
	for _, w := range wider[:min(len(wider), limit.MaxWider)] {
		n := min(max(w.Times, 1), MaxConcurrent)
		out = append(out, rung{
			bits4: uint8(min(max(w.Prefix4, 0), 32)), bits6: uint8(min(max(w.Prefix6, 0), 128)),
			concurrent: min(c.concurrent*n, MaxConcurrent), rate: c.rate.times(int64(n)),
		})
	}
	return out
}

// around is the network of a source; false where there is none that is wider.
func (r *rung) around(k key) (key, bool) {
	w := k.source().cut(r.bits4, r.bits6)
	w.wide = true
	return w, w.bits > 0 && w.bits < k.bits
}

// has tells whether the networks of a key's length are counted.
func (c *sourceConfig) has(k key) bool {
	for i := range c.wider {
		if w := k.source().cut(c.wider[i].bits4, c.wider[i].bits6); w.bits == k.bits {
			return true
		}
	}
	return false
}

// checkWider asks the networks around a source that may be admitted itself.
func (l *Limiter) checkWider(now int64, v *verdict) {
	for i := range l.conf.source.wider {
		r := &l.conf.source.wider[i]
		k, ok := r.around(v.key)
		if !ok {
			continue
		}
		s := &v.wider[i]
		s.key, s.entry = k, l.table.index[k]
		var tat int64
		if e := s.entry; e != nil {
			if tat = e.tat; r.concurrent > 0 && int(e.inflight) >= r.concurrent {
				v.refusal = Refusal{Reason: ByWiderConcurrency, Rung: i + 1}
				return
			}
		}
		var wait int64
		if s.after, wait = r.rate.next(tat, now); wait > 0 {
			v.refusal = refuse(ByWiderRate, wait)
			v.refusal.Rung = i + 1
			return
		}
	}
}

// climb takes an admitted session into the counts of the networks around its source. One that is not there yet is
// made also where the table is full, for a source that is in it: so the table holds at most MaxWider more for each source.
func (l *Limiter) climb(v *verdict) {
	for i := range v.wider {
		s := &v.wider[i]
		if !s.key.wide {
			continue
		}
		if s.entry == nil { // or made by the rung before, where nobody checked that it is another network
			s.entry = l.table.index[s.key]
		}
		if s.entry == nil {
			s.entry = l.table.insert(s.key)
		}
		s.entry.tat = s.after
		s.entry.inflight++
	}
}

// around adds n sessions of one source to the counts of the networks around it, as they are now: after a
// reload other ones may be counted than when they began. What the pool has is counted nowhere else.
func (l *Limiter) around(e *entry, n int32) {
	for i := range l.conf.source.wider {
		k, ok := l.conf.source.wider[i].around(e.key)
		if !ok {
			continue
		}
		w := l.table.index[k]
		if w == nil {
			w = l.table.insert(k)
		}
		w.inflight += n
	}
}

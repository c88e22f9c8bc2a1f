package admission

// entry is what a Limiter knows of one source prefix, or of those who share one.
type entry struct {
	key      key
	tat      int64 // gcra state, ns
	penalty  int64 // the source is shut out until then, ns
	inflight int32
	moved    *entry // where the sessions count that were counted here, after rekey
}

// dead reports whether forgetting e changes no later answer.
func (e *entry) dead(now int64) bool {
	return e.inflight == 0 && e.tat <= now && e.penalty <= now
}

// Steps of the sweep. With 4 per call a round over x entries ends within x/4
// admissions, so it leaves at most x/4 new entries and those n that were alive
// when it began: the table settles at 4/3 n. A newcomer that finds the table
// full looks further.
const (
	sweepStep = 4
	sweepFull = 64
)

// spare is for how many entries an empty table keeps its memory.
const spare = 256

// table holds entries by key. Live entries are never evicted: a flood of new
// sources cannot make it forget an old one. The map is Go's own, whose hash is
// keyed, so nobody can aim at its buckets.
type table struct {
	index map[key]*entry
	all   []*entry // in no order; behind its end are some to be used again
	hand  int      // where the sweep goes on
	most  int      // so many at a time
}

// insert adds k, which must not be there; the caller has seen to the room.
func (t *table) insert(k key) *entry {
	if t.index == nil {
		t.index = make(map[key]*entry)
	}
	var e *entry
	if n := len(t.all); n < cap(t.all) {
		e = t.all[:n+1][n] // one that was removed
	}
	if e == nil {
		e = new(entry)
	}
	*e = entry{key: k}
	t.index[k], t.all = e, append(t.all, e)
	return e
}

// sweep looks at up to n entries, forgets the dead and returns how many.
func (t *table) sweep(now int64, n int) (removed int) {
	for n = min(n, len(t.all)); n > 0; n-- {
		if t.hand >= len(t.all) {
			t.hand = 0
		}
		e, last := t.all[t.hand], len(t.all)-1
		if !e.dead(now) {
			t.hand++
			continue
		}
		delete(t.index, e.key)
		t.all[t.hand], t.all[last] = t.all[last], e // to be used again
		t.all = t.all[:last]
		removed++
	}
	if len(t.all) == 0 && cap(t.all) > spare {
		*t = table{most: t.most} // give the memory of a past flood back
	}
	return removed
}

// room reports whether n more keys fit, after a look for dead entries if not.
func (t *table) room(now int64, n int) bool {
	return len(t.all)+n <= t.most || t.sweep(now, sweepFull) > 0 && len(t.all)+n <= t.most
}

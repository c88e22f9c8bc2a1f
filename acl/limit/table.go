package limit

// entry is what a Limiter knows of one source prefix.
type entry struct {
	key      key
	tat      int64 // gcra state, ns
	penalty  int64 // the source is shut out until then, ns
	inflight int32
	used     bool
}

// dead reports whether forgetting e changes no later answer.
func (e *entry) dead(now int64) bool {
	return e.inflight == 0 && e.tat <= now && e.penalty <= now
}

// chunk is the unit the table grows by, so that growing never copies.
const chunk = 256

// Steps of the sweep. With 4 per call a round over x entries ends within x/4
// admissions, so it leaves at most x/4 new entries and those n that were alive
// when it began: the table settles at 4/3 n. A newcomer that finds the table
// full looks further.
const (
	sweepStep = 4
	sweepFull = 64
)

// table holds entries by key, at stable indexes. Live entries are never
// evicted: a flood of new sources cannot make it forget an old one. The map is
// Go's own, whose hash is keyed, so nobody can aim at its buckets.
type table struct {
	index  map[key]int32
	chunks []*[chunk]entry
	free   []int32
	next   int32 // first index never used
	hand   int32 // where the sweep goes on
}

func (t *table) at(i int32) *entry { return &t.chunks[i/chunk][i%chunk] }

func (t *table) len() int { return len(t.index) }

// find returns the index of k, or -1.
func (t *table) find(k key) int32 {
	if len(t.index) == 0 {
		return -1
	}
	if i, ok := t.index[k]; ok {
		return i
	}
	return -1
}

// insert adds k, which must not be there; the caller has seen to the room.
func (t *table) insert(k key) int32 {
	if t.index == nil {
		t.index = make(map[key]int32)
	}
	var i int32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = t.next
		t.next++
		if int(i/chunk) == len(t.chunks) {
			t.chunks = append(t.chunks, new([chunk]entry))
		}
	}
	*t.at(i) = entry{key: k, used: true}
	t.index[k] = i
	return i
}

func (t *table) remove(i int32) {
	e := t.at(i)
	delete(t.index, e.key)
	*e = entry{}
	if len(t.index) == 0 {
		// Nothing is left to keep: give the memory of a past flood back.
		if t.next > chunk {
			*t = table{}
			return
		}
		t.free, t.next, t.hand = t.free[:0], 0, 0
		return
	}
	t.free = append(t.free, i)
}

// sweep looks at up to n entries, forgets the dead and returns how many.
func (t *table) sweep(now int64, n int) int {
	removed := 0
	for n = min(n, int(t.next)); n > 0 && t.next > 0; n-- {
		if t.hand >= t.next {
			t.hand = 0
		}
		i := t.hand
		t.hand++
		if e := t.at(i); e.used && e.dead(now) {
			t.remove(i)
			removed++
		}
	}
	return removed
}

// room reports whether one more key fits, after a look for dead entries if not.
func (t *table) room(now int64, capacity int) bool {
	return t.len() < capacity || t.sweep(now, sweepFull) > 0 && t.len() < capacity
}

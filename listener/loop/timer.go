package loop

// Owner is what a timer calls when its time has come. One owner may hold
// several timers and tells them apart by the pointer.
type Owner interface {
	Expire(t *Timer)
}

// Timer is one deadline in the loop's heap. It is embedded in its owner, so an
// armed timer costs no allocation of its own. The zero timer is not armed.
type Timer struct {
	when  int64 // loop time in ns
	slot  int32 // index in the heap plus one; 0 = not armed
	Owner Owner
}

// Armed reports whether t waits in a heap.
func (t *Timer) Armed() bool { return t.slot != 0 }

// timerHeap is a binary min-heap of deadlines. container/heap would do the
// same through an interface value per call; the loop arms and disarms a timer
// for every session with a limit.
type timerHeap []*Timer

// arm puts t into the heap, or moves it when it is armed already.
func (h *timerHeap) arm(t *Timer, when int64) {
	t.when = when
	if !t.Armed() {
		*h = append(*h, t)
		t.slot = int32(len(*h))
	}
	i := int(t.slot) - 1
	if !h.up(i) {
		h.down(i)
	}
}

// disarm takes t out; a timer that is not armed is left alone.
func (h *timerHeap) disarm(t *Timer) {
	if !t.Armed() {
		return
	}
	i, last := int(t.slot)-1, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	t.slot = 0
	if i < last && !h.up(i) {
		h.down(i)
	}
}

// next returns the earliest deadline; ok is false when nothing is armed.
func (h timerHeap) next() (when int64, ok bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].when, true
}

// pop takes the earliest timer out when its deadline is at or before now.
func (h *timerHeap) pop(now int64) *Timer {
	if len(*h) == 0 || (*h)[0].when > now {
		return nil
	}
	t := (*h)[0]
	h.disarm(t)
	return t
}

func (h timerHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = int32(i+1), int32(j+1)
}

// up moves the timer at i towards the root and reports whether it moved.
func (h timerHeap) up(i int) bool {
	start := i
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].when <= h[i].when {
			break
		}
		h.swap(i, parent)
		i = parent
	}
	return i != start
}

func (h timerHeap) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[c].when < h[least].when {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

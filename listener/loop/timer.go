package loop

import (
	"container/heap"
	"time"
)

// Owner is what a timer calls when its time has come. One owner may hold
// several timers and tells them apart by the pointer.
type Owner interface {
	Expire(t *Timer)
}

// Func is an owner of one timer, and all that it does.
type Func func()

// Expire calls it.
func (f Func) Expire(*Timer) { f() }

// Timer is one deadline in the loop's heap. It is embedded in its owner, so an
// armed timer costs no allocation of its own. The zero timer is not armed.
type Timer struct {
	when  int64 // loop time in ns
	slot  int32 // index in the heap plus one; 0 = not armed
	Owner Owner
}

// Armed reports whether t waits in a heap.
func (t *Timer) Armed() bool { return t.slot != 0 }

// timerHeap is a container/heap of deadlines, the earliest first.
type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].when < h[j].when }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = int32(i+1), int32(j+1)
}

func (h *timerHeap) Push(t any) {
	*h = append(*h, t.(*Timer))
	t.(*Timer).slot = int32(len(*h))
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last], t.slot = nil, 0
	*h = (*h)[:last]
	return t
}

// After arms t to expire in d from the current wake, whether it is armed already or not.
func (l *Loop) After(t *Timer, d time.Duration) {
	t.when = l.now + int64(d)
	if t.Armed() {
		heap.Fix(&l.timers, int(t.slot)-1)
	} else {
		heap.Push(&l.timers, t)
	}
}

// Disarm takes t out of the loop's deadlines; one that is not armed is left alone.
func (l *Loop) Disarm(t *Timer) {
	if t.Armed() {
		heap.Remove(&l.timers, int(t.slot)-1)
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
	if when, ok := h.next(); !ok || when > now {
		return nil
	}
	return heap.Pop(h).(*Timer)
}

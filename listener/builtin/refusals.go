package builtin

import "time"

// refusalWindow is over how long refusals are seen together.
const refusalWindow = 10 * time.Millisecond

// refusals bounds what datagrams cost that get no answer: half of one processor, for all sockets together. A flood
// comes faster than anybody can look at it; what is left in the kernel's queue while the worker rests is dropped there at
// a fraction of the price. The answers of a service are bounded as well, so that little is lost by it. One at a time uses it.
type refusals struct {
	from  time.Time // when the window began
	spent time.Duration
}

// pause takes note of n datagrams, so many of them refused, that were looked at since began, and tells how long
// to leave the queues alone.
func (r *refusals) pause(began, now time.Time, n, refused int) time.Duration {
	if now.Sub(r.from) >= refusalWindow {
		r.from, r.spent = began, 0
	}
	// A worker that was itself kept waiting has not worked all that time.
	r.spent += min(now.Sub(began), refusalWindow/2) * time.Duration(refused) / time.Duration(max(n, 1))
	if r.spent < refusalWindow/2 {
		return 0
	}
	return max(r.from.Add(refusalWindow).Sub(now), 0)
}

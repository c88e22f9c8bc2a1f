package builtin

import (
	"context"
	"sync"
	"time"
)

// minLinger keeps a worker alive long enough to serve whoever woke it.
const minLinger = time.Second

// idle knows when nobody has been served for linger. It is safe for concurrent use.
type idle struct {
	linger time.Duration

	mu     sync.Mutex
	active int
	last   time.Time
}

func newIdle(linger time.Duration) *idle {
	return &idle{linger: max(linger, minLinger), last: time.Now()}
}

// begin and end mark a session; touch marks something that is over at once.
func (i *idle) begin() {
	i.mu.Lock()
	i.active++
	i.mu.Unlock()
}

func (i *idle) end() {
	i.mu.Lock()
	i.active--
	i.last = time.Now()
	i.mu.Unlock()
}

func (i *idle) touch(now time.Time) {
	i.mu.Lock()
	i.last = now
	i.mu.Unlock()
}

// left is how long the idle time still has to last, 0 when it is over.
func (i *idle) left(now time.Time) time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.active > 0 {
		return i.linger
	}
	return max(i.last.Add(i.linger).Sub(now), 0)
}

// wait returns once the service has been idle for its linger time, ctx is done, or
// leaving is closed.
func (i *idle) wait(ctx context.Context, leaving <-chan struct{}) {
	for {
		left := i.left(time.Now())
		if left == 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-leaving:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

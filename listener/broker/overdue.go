package broker

import (
	"errors"
	"fmt"
	"math"
	"time"

	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/sandbox/zygote"
)

var (
	errSlow   = fmt.Errorf("not done within %v, given up", warden.StartTimeout)
	errBehind = errors.New("its zygote was given up, for another start hung")
)

// overdue looks for starts that should be done by now.
func (r *runner) overdue() {
	r.Ready(0) // replies may have come while the loop was held up
	oldest := int64(math.MaxInt64)
	for _, s := range r.pending {
		oldest = min(oldest, s.due)
	}
	switch now := r.b.loop.Now(); {
	case len(r.pending) == 0:
	case oldest > now:
		r.b.loop.After(&r.watch, time.Duration(oldest-now))
	default:
		r.giveUp(now)
	}
}

// giveUp lets a zygote go in which a start hangs, with all that it was starting:
// with few threads the others hang soon, and nobody could say which will not.
func (r *runner) giveUp(now int64) {
	at, stuck := make(map[uint64]zygote.Reply), "zygote" // unless a thread has taken it up
	for _, m := range r.zygote.Marks() {
		if s := r.pending[m.ID]; s != nil {
			at[m.ID] = m
			if s.due <= now {
				stuck = m.Step
			}
		}
	}
	r.letGo(hands.Starter.Abandon) // first: what the kills set free starts nothing more
	for _, m := range at {
		r.b.hands.End(m.PID) // it may hang on without its zygote, and keep its client
	}
	r.noZygote(fmt.Errorf("%s: %w", stuck, errSlow))
	r.lose(func(s *session) (step string, err error) {
		step, err = "zygote", errSlow
		if m, ok := at[s.id]; ok {
			step = m.Step
		}
		if s.due > now {
			err = errBehind
		}
		return step, err
	})
}

package chaos

import (
	"sync"
	"time"
)

// settle is how long after a fault its losses may still show: the time of a
// zygote's or a worker's new start, on a busy machine, and the 5 s after which a start
// that hangs is given up.
const settle = 20 * time.Second

// harm is one fault that was done, and what it may have cost good clients.
type harm struct {
	fault, service string // service "" = any
	cost           int    // requests that each good client of the service may lose by it
	began, ended   time.Time
	used           map[string]int // by service
}

// loss is a request without an answer.
type loss struct {
	service  string
	from, to time.Time
	err      error
}

// ledger holds what was done against what was lost.
type ledger struct {
	mu          sync.Mutex
	harms       []*harm
	unexplained []loss
	done, lost  map[string]int // by fault
}

func newLedger() *ledger { return &ledger{done: map[string]int{}, lost: map[string]int{}} }

// begin notes a fault before it is done: end it when it is over.
func (l *ledger) begin(fault, service string, cost int) *harm {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &harm{fault: fault, service: service, cost: cost, began: time.Now(), used: map[string]int{}}
	l.done[fault]++
	if cost > 0 {
		l.harms = append(l.harms, h)
	}
	return h
}

func (l *ledger) end(h *harm) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.ended = time.Now()
}

// lose explains a request to a service that was made at from and lost at to, by
// the oldest fault that may have cost it and has not cost as much already.
func (l *ledger) lose(service string, from, to time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.harms {
		over := !h.ended.IsZero() && h.ended.Add(settle).Before(from)
		if h.service != "" && h.service != service || over || h.began.After(to) || h.used[service] >= h.cost {
			continue
		}
		h.used[service]++
		l.lost[h.fault]++
		return
	}
	l.unexplained = append(l.unexplained, loss{service, from, to, err})
}

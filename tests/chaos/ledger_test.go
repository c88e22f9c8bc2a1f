package chaos

import (
	"sync"
	"time"
)

// How long after a fault its losses may still begin. moment is for what only those lose by it who are just being served: their
// request began before it was over. slowStart is the time of a zygote's or a worker's new start, on a busy
// machine: its longest backoff is 10 s, and after 5 s a start that hangs is given up.
const (
	moment    = 0
	slowStart = 20 * time.Second
)

// anyNumber is the cost of a fault that refuses its service's clients as long as it lasts.
const anyNumber = 1 << 30

// harm is one fault that was done, and what it may have cost good clients.
type harm struct {
	fault, service string // service "" = any
	cost           int    // requests that each good client of the service may lose by it
	after          time.Duration
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
func (l *ledger) begin(f *fault, service string) *harm {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &harm{fault: f.name, service: service, cost: f.cost, after: f.after, began: time.Now(), used: map[string]int{}}
	l.done[f.name]++
	if f.cost > 0 {
		l.harms = append(l.harms, h)
	}
	return h
}

func (l *ledger) end(h *harm) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.ended = time.Now()
}

// lose explains a request to a service that was made at from and lost at to, by the fault that may have cost it, has not cost as
// much already, and may do so for the shortest time from then.
func (l *ledger) lose(service string, from, to time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var by *harm
	for _, h := range l.harms {
		over := !h.ended.IsZero() && h.ended.Add(h.after).Before(from)
		if h.service != "" && h.service != service || over || h.began.After(to) || h.used[service] >= h.cost {
			continue
		}
		if by == nil || !h.ended.IsZero() && (by.ended.IsZero() || h.ended.Add(h.after).Before(by.ended.Add(by.after))) {
			by = h
		}
	}
	if by == nil {
		l.unexplained = append(l.unexplained, loss{service, from, to, err})
		return
	}
	by.used[service]++
	l.lost[by.fault]++
}

package warden

import (
	"errors"

	"casemate/listener"
)

// socket opens listeners, and does for those that are open what takes root's rights.
func (b *Broker) socket(q Asked) (a Answer, give []int, err error) {
	b.files.Lock()
	defer b.files.Unlock()
	if q.Do == DoOpen {
		a, give = b.openAll(q.Specs)
		return a, give, nil
	}
	listed := q.Spec != nil && b.lists(*q.Spec)
	b.mu.Lock()
	s := b.sockets[q.Number]
	if q.Do == DoClose || q.Do == DoSpent {
		delete(b.sockets, q.Number)
	}
	b.mu.Unlock()
	var fresh *listener.Socket
	switch {
	case s == nil:
		err = errStrange
	case q.Do == DoSibling && (listed || q.Spec != nil && *q.Spec == s.Spec):
		fresh, err = s.Sibling(*q.Spec)
	case q.Do == DoReconfigure && listed:
		err = s.Reconfigure(*q.Spec)
	case q.Do == DoRestore:
		err = s.Restore()
	case q.Do == DoClose:
		err = s.Close()
	case q.Do == DoSpent:
		listener.Close(s.FD)
	default:
		err = errStrange
	}
	if err != nil || fresh == nil {
		return a, nil, err
	}
	a.Opened = []Opening{b.keep(fresh)}
	return a, []int{fresh.FD}, nil
}

// lists tells whether a socket is one that a document lists.
func (b *Broker) lists(s listener.Spec) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, of := range b.specs {
		if of[s] {
			return true
		}
	}
	return false
}

// keep gives a socket its number.
func (b *Broker) keep(s *listener.Socket) Opening {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.number()
	b.sockets[n] = s
	return Opening{Number: n, Spec: s.Spec}
}

// openAll opens those that a document lists, as many as descriptors go at once.
func (b *Broker) openAll(specs []listener.Spec) (a Answer, give []int) {
	for _, spec := range specs {
		s, err := (*listener.Socket)(nil), errStrange
		if b.lists(spec) && len(give) < MaxOpen {
			s, err = b.open(spec)
		}
		if err != nil {
			a.Opened = append(a.Opened, Opening{Fault: NewFault(err)})
			continue
		}
		a.Opened, give = append(a.Opened, b.keep(s)), append(give, s.FD)
	}
	return a, give
}

// MaxOpen is how many sockets are opened by one errand.
const MaxOpen = 100

// open opens a socket, or takes the one that the broker before had.
func (b *Broker) open(spec listener.Spec) (*listener.Socket, error) {
	b.mu.Lock()
	s := b.left[spec.Key()]
	delete(b.left, spec.Key())
	b.mu.Unlock()
	if s == nil {
		return b.w.Open(spec)
	}
	if err := errors.Join(s.Reconfigure(spec), s.Restore()); err != nil {
		_ = s.Close()
		return b.w.Open(spec)
	}
	return s, nil
}

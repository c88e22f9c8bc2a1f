package warden

import (
	"errors"

	"casemate/listener"
)

// socket opens listeners, and does for those that are open what takes root's rights.
func (b *Broker) socket(q Asked, fds []int) (a Answer, give []int, err error) {
	b.files.Lock()
	defer b.files.Unlock()
	b.mu.Lock()
	s, listed := b.sockets[q.Number], false
	for _, of := range b.specs {
		listed = listed || q.Spec != nil && of[*q.Spec]
	}
	if q.Do == DoClose || q.Do == DoSpent {
		delete(b.sockets, q.Number)
	}
	b.mu.Unlock()
	var fresh *listener.Socket
	switch {
	case q.Do == DoOpen && listed:
		fresh, err = b.open(*q.Spec)
	case s == nil:
		err = errStrange
	case q.Do == DoSibling && (listed || q.Spec != nil && *q.Spec == s.Spec):
		fresh, err = s.Sibling(*q.Spec)
	case q.Do == DoReconfigure && listed:
		err = s.Reconfigure(*q.Spec)
	case q.Do == DoRestore:
		err = s.Restore()
	case q.Do == DoPrioritize && len(fds) == 1:
		err = s.Prioritize(fds[0])
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
	b.mu.Lock()
	defer b.mu.Unlock()
	a.Number, a.Spec = b.number(), &fresh.Spec
	b.sockets[a.Number] = fresh
	return a, []int{fresh.FD}, nil
}

// open opens a socket, or takes the one that the broker before had.
func (b *Broker) open(spec listener.Spec) (*listener.Socket, error) {
	s := b.left[spec.Key()]
	if s == nil {
		return b.w.Open(spec)
	}
	delete(b.left, spec.Key())
	if err := errors.Join(s.Reconfigure(spec), s.Restore()); err != nil {
		_ = s.Close()
		return b.w.Open(spec)
	}
	return s, nil
}

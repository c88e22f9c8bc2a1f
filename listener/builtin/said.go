package builtin

import (
	"errors"
	"io"
	"sync"
	"time"

	"casemate/acl"
	"casemate/acl/ban"
	"casemate/acl/decide"
	"casemate/listener/wire/far"
)

// said is what an operator has said of the service, as it stands in the worker's file. It is safe for concurrent use.
type said struct {
	from io.ReaderAt // nil: nobody says anything

	leaves chan struct{} // closed once the worker is to leave
	depart func()        // closes it

	mu      sync.Mutex
	version uint64
	last    word
}

// word is what stands in one version.
type word struct {
	index    *ban.Index
	narrowed uint64          // as wire.Said has it
	leave    bool            // for good
	admits   *decide.Matcher // whom the policy in force admits, of a worker that is narrowed or is to leave
}

func newSaid() *said {
	s := &said{leaves: make(chan struct{})}
	s.depart = sync.OnceFunc(func() { close(s.leaves) })
	return s
}

// left tells whether the worker is to leave, as far as it knows.
func (s *said) left() bool {
	select {
	case <-s.leaves:
		return true
	default:
		return false
	}
}

// leaving asks that now. What cannot be read does not say so.
func (s *said) leaving() bool {
	_, _ = s.now()
	return s.left()
}

// untorn bounds the wait for a version that is half written.
const untorn = time.Second

// now is what stands there now: a look at its version, as long as that is the same.
func (s *said) now() (word, error) {
	if s.from == nil {
		return word{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for until := time.Now().Add(untorn); ; time.Sleep(10 * time.Microsecond) {
		version, state, err := far.DecodeSaid(s.from, s.version)
		switch {
		case err == nil && state != nil:
			next := word{index: ban.NewIndex(&state.State), narrowed: state.Narrowed, leave: state.Leave}
			if next.leave || next.narrowed > 0 {
				if next.admits, err = decide.Compile(state.Admits); err != nil {
					return word{}, err
				}
			}
			if s.version, s.last = version, next; next.leave {
				s.depart()
			}
			return next, nil
		case err == nil:
			return s.last, nil
		case !errors.Is(err, far.ErrTorn) || time.Now().After(until):
			return word{}, err
		}
	}
}

// refuses is why a client is not served, "" where nothing speaks against it. What cannot be read speaks against everybody. The rules that it is held to
// are these, or the worker's own where they are nil.
func (s *said) refuses(c *client, service string) (why string, rules *decide.Matcher) {
	w, err := s.now()
	if err != nil {
		return ban.ReasonDrain, nil
	}
	if c.judged = w.narrowed; w.leave {
		rules = w.admits
	}
	return w.index.Refuses(c.peer.Addr.Addr(), service, time.Now()), rules
}

// shuns is why a session of a client is to end, "" where it is not.
func (s *said) shuns(c *client, service string) string {
	w, err := s.now()
	if err != nil || w.index == nil {
		return ""
	}
	if w.index.Ends(c.peer.Addr.Addr(), service, time.Now()) {
		return "its client was banned"
	}
	if w.narrowed == c.judged {
		return ""
	}
	if c.judged = w.narrowed; w.narrowed > 0 && w.admits.Decide(c.asked(time.Now())).Verdict != acl.Allow {
		return "the policy that was loaded does not admit its client"
	}
	return ""
}

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

	mu      sync.Mutex
	version uint64
	index   *ban.Index
	admits  *decide.Matcher // whom sessions may go on for, nil is everybody
}

// untorn bounds the wait for a version that is half written.
const untorn = time.Second

// now is what stands there now: a look at its version, as long as that is the same.
func (s *said) now() (*ban.Index, error) {
	if s.from == nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for until := time.Now().Add(untorn); ; time.Sleep(10 * time.Microsecond) {
		version, state, err := far.DecodeSaid(s.from, s.version)
		switch {
		case err == nil && state != nil:
			s.version, s.index, s.admits = version, ban.NewIndex(&state.State), nil
			if state.Narrowed {
				s.admits, err = decide.Compile(state.Admits)
			}
			return s.index, err
		case err == nil:
			return s.index, nil
		case !errors.Is(err, far.ErrTorn) || time.Now().After(until):
			return nil, err
		}
	}
}

// refuses is why a client is not served, "" where nothing speaks against it. What cannot be read speaks against everybody.
func (s *said) refuses(c *client, service string) string {
	index, err := s.now()
	if err != nil {
		return ban.ReasonDrain
	}
	return index.Refuses(c.peer.Addr.Addr(), service, time.Now())
}

// shuns is why a session of a client is to end, "" where it is not.
func (s *said) shuns(c *client, service string) string {
	index, err := s.now()
	if err != nil || index == nil {
		return ""
	}
	if index.Ends(c.peer.Addr.Addr(), service, time.Now()) {
		return "its client was banned"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admits != nil && s.admits.Decide(c.asked(time.Now())).Verdict != acl.Allow {
		return "the policy that was loaded does not admit its client"
	}
	return ""
}

package builtin

import (
	"errors"
	"io"
	"sync"
	"time"

	"casemate/acl/ban"
	"casemate/listener/wire/far"
)

// said is what an operator has said of the service, as it stands in the worker's file. It is safe for concurrent use.
type said struct {
	from io.ReaderAt // nil: nobody says anything

	mu      sync.Mutex
	version uint64
	index   *ban.Index
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
			s.version, s.index = version, ban.NewIndex(state)
			return s.index, nil
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

// shuns tells whether a session of a client is to end.
func (s *said) shuns(c *client, service string) bool {
	index, err := s.now()
	if err != nil || index == nil {
		return false
	}
	b := index.Find(c.peer.Addr.Addr(), service, time.Now())
	return b != nil && b.Ends
}

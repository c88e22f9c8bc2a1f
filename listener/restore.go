package listener

import (
	"errors"
	"fmt"
)

// Restore gives a socket back what a program that held it may have changed of its
// file status flags, options and backlog. All of
// them belong to the socket, not to the holder, and would reach the next one.
// What waits in the queue stays. An error means that the socket is beyond that: then it
// must be closed and opened anew. What else makes it useless, inbound.Socket knows.
func (s *Socket) Restore() error { return errors.Join(s.listen(), s.restoreOptions()) }

// keepOptions notes what Restore goes back to.
func (s *Socket) keepOptions() {
	s.options = make([]string, len(options))
	for i, o := range options {
		s.options[i] = getOption(s.FD, o)
	}
}

// restoreOptions sets what differs. An option that the socket does not have
// reads as "" both times.
func (s *Socket) restoreOptions() error {
	for i, was := range s.options {
		o := options[i]
		if err := o.put(s.FD, was); err != nil {
			return fmt.Errorf("option %d of level %d cannot be restored: %w", o.name, o.level, err)
		}
	}
	return nil
}

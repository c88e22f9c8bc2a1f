package inbound

import (
	"casemate/listener"
)

// Socket is a listening or datagram socket that root has opened, as a process without rights has
// it. It owns FD. It is not safe for concurrent use: the broker's event loop is its only user.
type Socket struct {
	// FD is the descriptor, -1 when it is closed or spent.
	FD int
	// Spec is what it was opened with.
	Spec listener.Spec
	// Owner has the same socket, with root's rights.
	Owner Owner
	// hidden is how many heads must leave before the queue can be walked again (SplitPeer).
	hidden int
}

// Owner does what takes root's rights, as the methods of a listener.Socket that have these names.
type Owner interface {
	// Sibling opens another socket on its address, or on one that overlaps it.
	Sibling(to listener.Spec) (*Socket, error)
	Reconfigure(to listener.Spec) error
	Restore() error
	// Close closes the owner's, and removes the file.
	Close() error
	// Spent closes the owner's of a socket that has become a peer's.
	Spent()
}

// Reconfigure adopts another generation's Spec of the same Key on the living socket.
func (s *Socket) Reconfigure(to listener.Spec) error {
	err := s.Owner.Reconfigure(to)
	if err == nil {
		s.Spec = to
	}
	return err
}

// Close closes the socket, and removes the file that it has made. It may be called twice.
func (s *Socket) Close() error {
	if s.FD < 0 {
		return nil
	}
	err := s.Owner.Close()
	listener.Close(s.FD)
	s.FD = -1
	return err
}

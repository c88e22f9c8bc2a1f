package hands

import (
	"casemate/sandbox/cgroup/events"
	"casemate/sandbox/zygote"
)

// Starter is a zygote as whoever sends sessions to it uses it.
type Starter interface {
	Send(*zygote.Request) error
	Recv() (zygote.Reply, error)
	FD() int
	PID() int
	TakeListener() int
	Marks() []zygote.Reply
	Close() error
	Abandon() error
}

// Cell is a prepared sandbox. Spawn and Close block for milliseconds and never run on the
// loop; whoever wants a zygote asks Hands.Spawn, which knows it from then on.
type Cell interface {
	Spawn() (Starter, error)
	// Proof is equal for cells of which one Spawn proves all.
	Proof() (string, error)
	Losses() []string
	Log() bool // its programs have a /dev/log
	// State is what a session for that user is handed of its state directory, -1 for nothing; the caller closes it.
	State(uid, gid uint32) (fd int, err error)
	// Events are what the limits of its control group have done so far.
	Events() events.Events
	Close() error
}

// NoCell stands for the sandbox of a service that could not be prepared.
type NoCell struct{ Err error }

func (c NoCell) Spawn() (Starter, error)         { return nil, c.Err }
func (c NoCell) Proof() (string, error)          { return "", c.Err }
func (NoCell) Losses() []string                  { return nil }
func (NoCell) Log() bool                         { return false }
func (NoCell) State(uint32, uint32) (int, error) { return -1, nil }
func (NoCell) Events() (e events.Events)         { return e }
func (NoCell) Close() error                      { return nil }

package broker

import (
	"casemate/sandbox"
	"casemate/sandbox/zygote"
)

// starter is a zygote as the loop uses it.
type starter interface {
	Send(*zygote.Request) error
	Recv() (zygote.Reply, error)
	FD() int
	PID() int
	TakeListener() int
	Marks() []zygote.Reply
	Close() error
	Abandon() error
}

// cell is a prepared sandbox as the broker uses it. Spawn and Close block for
// milliseconds and never run on the loop.
type cell interface {
	Spawn() (starter, error)
	// Proof is equal for cells of which one Spawn proves all.
	Proof() (string, error)
	Losses() []string
	Log() bool // its programs have a /dev/log
	// State is what a session for that user is handed of its state directory, -1 for nothing; the caller closes it.
	State(uid, gid uint32) (fd int, err error)
	// Events are what the limits of its control group have done so far.
	Events() sandbox.Events
	Close() error
}

// prepared makes a *sandbox.Sandbox a cell.
type prepared struct{ *sandbox.Sandbox }

func (p prepared) Spawn() (starter, error) {
	z, err := p.Sandbox.Spawn()
	if err != nil {
		return nil, err // not z: a nil *Zygote would make an interface that is not nil
	}
	return z, nil
}

// noCell stands for the sandbox of a service that could not be prepared.
type noCell struct{ error }

func (c noCell) Spawn() (starter, error)         { return nil, c.error }
func (c noCell) Proof() (string, error)          { return "", c.error }
func (noCell) Losses() []string                  { return nil }
func (noCell) Log() bool                         { return false }
func (noCell) State(uint32, uint32) (int, error) { return -1, nil }
func (noCell) Events() (e sandbox.Events)        { return e }
func (noCell) Close() error                      { return nil }

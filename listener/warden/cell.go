package warden

import (
	"casemate/sandbox"
	"casemate/sandbox/zygote"
)

// Starter is a zygote.
type Starter interface {
	Send(*zygote.Request) error
	Recv() (zygote.Reply, error)
	FD() int
	PID() int
	Close() error
}

// Cell is a prepared sandbox. Spawn and Close block for milliseconds and never run on the
// loop; whoever wants a zygote asks Warden.Spawn, which knows it from then on.
type Cell interface {
	Spawn() (Starter, error)
	Losses() []string
	Close() error
}

// prepared makes a *sandbox.Sandbox a Cell.
type prepared struct{ *sandbox.Sandbox }

func (p prepared) Spawn() (Starter, error) {
	z, err := p.Sandbox.Spawn()
	if err != nil {
		return nil, err // not z: a nil *Zygote would make an interface that is not nil
	}
	return z, nil
}

package far

import (
	"casemate/listener"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"errors"
	"slices"
)

// Open is hands.Hands'.
func (h *Hands) Open(spec listener.Spec) (*listener.Socket, error) {
	o := h.OpenAll([]listener.Spec{spec})[0]
	return o.Socket, o.Err
}

// OpenAll is hands.Hands'.
func (h *Hands) OpenAll(specs []listener.Spec) (out []hands.Opened) {
	for some := range slices.Chunk(specs, warden.MaxOpen) {
		out = append(out, h.opened(warden.Asked{Do: warden.DoOpen, Specs: some}, len(some))...)
	}
	return out
}

// opened are n sockets that root opens.
func (h *Hands) opened(q warden.Asked, n int) []hands.Opened {
	out := make([]hands.Opened, n)
	a, err := h.ask(q)
	if err == nil && len(a.Opened) != n {
		warden.CloseAll(a.fds)
		err = errors.New("an answer without its sockets")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range out {
		if out[i].Err = err; err != nil {
			continue
		}
		if o := a.Opened[i]; o.Fault != nil {
			out[i].Err = asError(o.Fault)
		} else if len(a.fds) == 0 {
			out[i].Err = errors.New("an answer without its descriptor")
		} else {
			out[i].Socket = &listener.Socket{FD: a.fds[0], Spec: o.Spec, Far: (*sockets)(h)}
			h.sockets[out[i].Socket], a.fds = o.Number, a.fds[1:]
		}
	}
	return out
}

// sockets are Hands as listener.Far.
type sockets Hands

func (x *sockets) number(s *listener.Socket) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sockets[s]
}

func (x *sockets) forget(s *listener.Socket) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.sockets, s)
}

func (x *sockets) Sibling(s *listener.Socket, to listener.Spec) (*listener.Socket, error) {
	o := (*Hands)(x).opened(warden.Asked{Do: warden.DoSibling, Number: x.number(s), Spec: &to}, 1)[0]
	return o.Socket, o.Err
}

func (x *sockets) Reconfigure(s *listener.Socket, to listener.Spec) error {
	_, err := (*Hands)(x).ask(warden.Asked{Do: warden.DoReconfigure, Number: x.number(s), Spec: &to})
	if err == nil {
		to.Addr = s.Spec.Addr // keeps a kernel-chosen port
		s.Spec = to
	}
	return err
}

func (x *sockets) Restore(s *listener.Socket) error {
	_, err := (*Hands)(x).ask(warden.Asked{Do: warden.DoRestore, Number: x.number(s)})
	return err
}

func (x *sockets) Close(s *listener.Socket) error {
	n := x.number(s)
	x.forget(s)
	_, err := (*Hands)(x).ask(warden.Asked{Do: warden.DoClose, Number: n})
	return err
}

func (x *sockets) Spent(s *listener.Socket) {
	n := x.number(s)
	x.forget(s)
	_, _ = (*Hands)(x).ask(warden.Asked{Do: warden.DoSpent, Number: n})
}

var _ hands.Hands = (*Hands)(nil)

package far

import (
	"errors"
	"fmt"
	"slices"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
)

// Open is hands.Hands'.
func (h *Hands) Open(spec listener.Spec) (*inbound.Socket, error) {
	o := h.OpenAll([]listener.Spec{spec})[0]
	return o.Socket, o.Err
}

// OpenAll is hands.Hands'.
func (h *Hands) OpenAll(specs []listener.Spec) (out []hands.Opened) {
	for some := range slices.Chunk(specs, warden.MaxOpen) {
		out = append(out, h.opened(warden.Asked{Do: warden.DoOpen, Specs: some}, len(some), true)...)
	}
	return out
}

// opened are n sockets that root opens. One that a program has left useless to the broker before is opened once more with again, anew.
func (h *Hands) opened(q warden.Asked, n int, again bool) []hands.Opened {
	out := make([]hands.Opened, n)
	a, err := h.ask(q)
	if err == nil && len(a.Opened) != n {
		warden.CloseAll(a.fds)
		err = errors.New("an answer without its sockets")
	}
	for i := range out {
		if out[i].Err = err; err != nil {
			continue
		}
		if o := a.Opened[i]; o.Fault != nil {
			out[i].Err = asError(o.Fault)
		} else if len(a.fds) == 0 {
			out[i].Err = errors.New("an answer without its descriptor")
		} else {
			s := &inbound.Socket{FD: a.fds[0], Spec: o.Spec, Owner: owner{h, o.Number}}
			a.fds = a.fds[1:]
			if err := s.Check(); err == nil {
				out[i].Socket = s
			} else if _ = s.Close(); again {
				out[i] = h.opened(warden.Asked{Do: warden.DoOpen, Specs: []listener.Spec{s.Spec}}, 1, false)[0]
			} else {
				out[i].Err = fmt.Errorf("listen %s: %w", s.Spec.Key(), err)
			}
		}
	}
	return out
}

// owner is a socket of root's, by its number.
type owner struct {
	h      *Hands
	number uint64
}

func (o owner) Sibling(to listener.Spec) (*inbound.Socket, error) {
	s := o.h.opened(warden.Asked{Do: warden.DoSibling, Number: o.number, Spec: &to}, 1, false)[0]
	return s.Socket, s.Err
}

func (o owner) Reconfigure(to listener.Spec) error {
	_, err := o.h.ask(warden.Asked{Do: warden.DoReconfigure, Number: o.number, Spec: &to})
	return err
}

func (o owner) Restore() error {
	_, err := o.h.ask(warden.Asked{Do: warden.DoRestore, Number: o.number})
	return err
}

func (o owner) Close() error {
	_, err := o.h.ask(warden.Asked{Do: warden.DoClose, Number: o.number})
	return err
}

func (o owner) Spent() { _, _ = o.h.ask(warden.Asked{Do: warden.DoSpent, Number: o.number}) }

var _ hands.Hands = (*Hands)(nil)

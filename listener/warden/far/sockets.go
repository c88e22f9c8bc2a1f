package far

import (
	"casemate/listener"
	"casemate/listener/warden"
)

// Open is warden.Hands'.
func (h *Hands) Open(spec listener.Spec) (*listener.Socket, error) {
	return h.socket(warden.Asked{Do: warden.DoOpen, Spec: &spec})
}

// socket is one that root opens.
func (h *Hands) socket(q warden.Asked) (*listener.Socket, error) {
	a, err := h.ask(q)
	fd, err := one(a, err)
	if err != nil {
		return nil, err
	}
	s := &listener.Socket{FD: fd, Spec: *a.Spec, Far: (*sockets)(h)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sockets[s] = a.Number
	return s, nil
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
	return (*Hands)(x).socket(warden.Asked{Do: warden.DoSibling, Number: x.number(s), Spec: &to})
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

func (x *sockets) Prioritize(s *listener.Socket, conn int) error {
	_, err := (*Hands)(x).ask(warden.Asked{Do: warden.DoPrioritize, Number: x.number(s)}, conn)
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

var _ warden.Hands = (*Hands)(nil)

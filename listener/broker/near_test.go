package broker

import (
	"errors"
	"slices"
	"sync/atomic"

	"casemate/listener"
	"casemate/listener/host"
	"casemate/listener/inbound"
	"casemate/listener/lease"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// near are the hands of a Warden in the test's own process, which what is started here are children of.
type near struct {
	*warden.Warden
	loop   *loop.Loop
	blocks *host.Blocks
	leases *lease.Leases
	open   *atomic.Int64 // sites that are not closed
	finds  *atomic.Int64 // services that were looked up
}

// nearSite is a site without a way to go, so it asks for nothing ahead.
type nearSite struct {
	*warden.Site
	doc   *policy.Document
	all   []*granted.Service
	open  *atomic.Int64
	finds *atomic.Int64
}

// granted is what root has of a program of the document, or of one that looks like it.
func (s nearSite) granted(of *policy.Service) *granted.Service {
	i := slices.IndexFunc(s.doc.Policy.Programs(), func(p *policy.Service) bool {
		return p.Name == of.Name && p.Argv0 == of.Argv0 && slices.Equal(p.Command, of.Command)
	})
	return s.all[i]
}

func (s nearSite) Find(of *policy.Service) (warden.Found, error) {
	s.finds.Add(1)
	return s.Site.Find(s.granted(of))
}

func (s nearSite) Stamp(of *policy.Service) string { return s.Site.Stamp(s.granted(of)) }

func (nearSite) All() {}

func (s nearSite) Close() {
	s.Site.Close()
	s.open.Add(-1)
}

// nearCell has a cell's zygotes as the Warden wants them.
type nearCell struct{ hands.Cell }

func (c nearCell) Spawn() (warden.Starter, error) { return c.Cell.Spawn() }

func (n near) InForce(*policy.Document, warden.Cause) {}
func (n near) Helper(name string) hands.Role          { return n.Warden.Helper(name) }
func (n near) Left() ([]warden.Survivor, error)       { return nil, nil }
func (n near) Leave() error                           { return n.blocks.Leave() }
func (n near) Leases() *lease.Leases                  { return n.leases }

func (n near) Site(doc *policy.Document) hands.Ground {
	n.open.Add(1)
	g := canon.Granted(doc.Policy)
	return nearSite{n.Warden.Site(&granted.Document{Policy: g}), doc, g.All(), n.open, n.finds}
}

// Compile is for none of these tests, which have documents of their own.
func (n near) Compile(string) (*policy.Document, []policy.Diagnostic, error) {
	return nil, nil, errors.New("the test has its own documents")
}

func (n near) Adopt(_ int, _ func(warden.Exit), done func(bool)) { done(false) }

func (n near) Prepare(*warden.Job) (hands.Cell, error) {
	return nil, errors.New("the test has its own cells")
}

func (n near) Spawn(c hands.Cell) (hands.Starter, error) {
	z, err := n.Warden.Spawn(nearCell{c})
	if err != nil {
		return nil, err
	}
	return z.(hands.Starter), nil
}

func (n near) Retire(z hands.Starter) {
	z.Close()
	if n.loop.Post(func() { n.Bury(z.PID()) }) != nil { // nobody else looks any more
		n.Bury(z.PID())
	}
}

// nearSocket is the Owner of a socket in the test's own process.
type nearSocket struct{ *listener.Socket }

func (s nearSocket) Spent() { listener.Close(s.FD) }

func (s nearSocket) Sibling(to listener.Spec) (*inbound.Socket, error) {
	return nearby(s.Socket.Sibling(to))
}

func nearby(s *listener.Socket, err error) (*inbound.Socket, error) {
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	return &inbound.Socket{FD: fd, Spec: s.Spec, Owner: nearSocket{s}}, err
}

func (n near) Open(spec listener.Spec) (*inbound.Socket, error) { return nearby(n.Warden.Open(spec)) }

func (n near) OpenAll(specs []listener.Spec) (out []hands.Opened) {
	for _, spec := range specs {
		s, err := n.Open(spec)
		out = append(out, hands.Opened{Socket: s, Err: err})
	}
	return out
}

func (n near) Settle(r zygote.Reply, _ func(int) []byte, ended func(warden.Exit), done func(bool, error)) {
	runs := r.Err() == nil
	if !runs {
		ended = nil
	}
	if (runs || r.PID != 0) && !n.Take(r.PID, nil, ended) {
		done(false, warden.ErrForged)
		return
	}
	done(runs, nil)
}

package broker

import (
	"errors"
	"fmt"
	"log/slog"

	"casemate/acl/limit"
	"casemate/listener"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/policy"
)

// commit puts a candidate into force, on the loop. It either does all of it, or
// leaves the old generation as it was and returns why.
func (b *Broker) commit(c *candidate) error {
	if b.stopping {
		return loop.ErrStopped
	}
	if c.gen.doc.Policy.OnStop == policy.StopLeave {
		if err := b.leases.Leave(); err != nil {
			return fmt.Errorf("on_stop: note it for the next broker: %w", err)
		}
	}
	undo, err := b.reconfigure(c)
	if err != nil {
		return err
	}
	if err := b.displace(c); err != nil {
		undo()
		return err
	}
	// Nothing below can fail.
	c.inForce = true
	old := b.gen
	b.gen = c.gen
	c.gen.loaded = b.wall()
	b.readFileLimit()
	for _, r := range c.fresh {
		b.runners[r] = true
	}
	for i := range c.plans {
		b.installTally(&c.plans[i])
		b.installSockets(c, &c.plans[i])
	}
	for key, at := range b.sockets {
		if at.svc == nil || at.svc.gen != c.gen {
			if b.sockets[key] == at {
				b.dropSocket(at)
			}
		}
	}
	b.retireOld(old, c)
	for r, z := range c.proven {
		if err := r.adopt(z); err != nil {
			r.noZygote(err)
		}
	}
	for _, at := range b.sockets {
		at.sync()
		if at.sock == nil {
			at.reopen()
		}
		at.regroup()
	}
	return nil
}

// reconfigure adopts changed backlogs and file modes on the sockets that stay.
// undo takes that back.
func (b *Broker) reconfigure(c *candidate) (undo func(), err error) {
	type change struct {
		at  *listening
		old listener.Spec
	}
	var done []change
	undo = func() {
		for _, d := range done {
			// It was so before; there is nobody better to tell than the log.
			if err := d.at.sock.Reconfigure(d.old); err != nil {
				b.limitedNote("socket "+d.old.Key(), "listener "+d.old.Key()+" not restored", err)
			}
		}
	}
	for i := range c.plans {
		for _, w := range c.plans[i].sockets {
			at := b.sockets[w.spec.Key()]
			if at == nil || at.sock == nil || at.spec == w.spec || at.holder != nil {
				continue // a held socket follows when its program gives it back
			}
			if err := at.sock.Reconfigure(w.spec); err != nil {
				undo()
				return nil, fmt.Errorf("services.%s: %w", c.plans[i].svc.name, err)
			}
			done = append(done, change{at, at.spec})
		}
	}
	return undo, nil
}

// displace opens what could not be opened beside the old generation: it closes
// the old sockets in the way first, and opens them again if that was in vain.
func (b *Broker) displace(c *candidate) error {
	if len(c.later) == 0 {
		return nil
	}
	wanted := make(map[string]bool)
	for i := range c.plans {
		for _, w := range c.plans[i].sockets {
			wanted[w.spec.Key()] = true
		}
	}
	var closed []*listening
	var errs []error
	for _, w := range c.later {
		for key, at := range b.sockets {
			if !wanted[key] && at.sock != nil && w.spec.Overlaps(at.spec.Endpoint) {
				at.close()
				closed = append(closed, at)
			}
		}
	}
	for key, w := range c.later {
		sock, err := listener.Open(w.spec)
		switch {
		case err == nil:
			c.opened[key] = sock
		case w.retry && (taken(err) || absent(err)):
			c.retry[key] = err
		default:
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	for key := range c.later {
		if sock := c.opened[key]; sock != nil {
			errs = append(errs, sock.Close())
			delete(c.opened, key)
		}
	}
	for _, at := range closed {
		at.reopen() // now, or by retry: never for good
		at.sync()
	}
	return errors.Join(errs...)
}

// installTally gives a service its counters and its limiter, which keep their
// state under a service's name.
func (b *Broker) installTally(p *planned) {
	t := b.tallies[p.svc.name]
	if t == nil {
		t = &tally{name: p.svc.name, limiter: limit.New(p.limit)}
		b.tallies[t.name] = t
	} else {
		t.limiter.Reconfigure(p.limit)
	}
	p.svc.tally = t
	p.svc.run.linger = p.svc.spec.Linger
}

// installSockets gives a service its sockets: kept, new, or yet to be opened.
func (b *Broker) installSockets(c *candidate, p *planned) {
	for _, w := range p.sockets {
		key := w.spec.Key()
		if c.missing[key] != nil {
			continue
		}
		at := b.sockets[key]
		if at == nil {
			at = newListening(b, w.spec, c.opened[key])
			b.sockets[key] = at
		} else if sock := c.opened[key]; sock != nil {
			b.loop.Disarm(&at.retry)
			at.sock, at.spec, at.err = sock, w.spec, nil
			at.local = newListening(b, w.spec, sock).local
		}
		at.spec = w.spec
		at.err = c.retry[key]
		at.svc = p.svc
		p.svc.listen = append(p.svc.listen, at)
	}
}

// retireOld lets go of what the old generation had and the new one has not.
func (b *Broker) retireOld(old *generation, c *candidate) {
	inUse := make(map[*runner]bool, len(c.plans))
	for i := range c.plans {
		inUse[c.plans[i].svc.run] = true
	}
	if old != nil {
		for _, s := range old.services {
			if !inUse[s.run] && !s.run.retired {
				s.run.retire()
			}
		}
	}
	for _, s := range b.sessions {
		if s.held == nil || s.svc.spec.Builtin == "" {
			continue
		}
		// A builtin's worker decides by itself: one with old rules must not go on.
		if now := c.gen.service(s.svc.name); now == nil || now.run.rules != s.run.rules {
			b.terminate(s, mercyStop)
		}
	}
	for name, t := range b.tallies {
		if t.live == 0 && c.gen.service(name) == nil {
			b.loop.Disarm(&t.unsaid)
			delete(b.tallies, name)
		}
	}
	b.log.Put(&journal.Note{At: b.wall(), Level: slog.LevelInfo, Msg: "loaded", Generation: c.gen.number, Digest: c.gen.digest,
		Services: len(c.gen.services), Listeners: len(b.sockets)})
}

package broker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"

	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/listener"
	"casemate/listener/address"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/policy"
)

// commit puts a candidate into force, on the loop. It either does all of it, or
// leaves the old generation as it was and returns why.
func (b *Broker) commit(c *candidate, o *order) error {
	if b.stopping {
		return loop.ErrStopped
	}
	if err := cmp.Or(o.after(b.gen), o.admits(c.gen.doc)); err != nil {
		return err
	}
	if c.gen.doc.Policy.OnStop == policy.StopLeave {
		if err := b.hands.Leave(); err != nil {
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
	c.gen.loaded, c.gen.narrows = b.wall(), o.narrows(c.gen.doc.Policy)
	b.hands.InForce(c.gen.doc, o.cause)
	b.maxFiles = warden.FileLimit()
	for i := range c.plans {
		b.installTally(&c.plans[i])
		b.installSockets(c, &c.plans[i])
	}
	for _, left := range c.left {
		b.loop.Guard(func() { b.adopt(left) })
	}
	b.dropOthers(c.gen)
	c.pruned = b.bans.prune(c.gen)
	b.retireOld(old, c)
	b.log.Put(b.noteOf(o, slog.LevelInfo, "loaded", slog.Uint64("generation", c.gen.number), slog.Int("services", len(c.gen.doc.Policy.Services)),
		slog.Int("listeners", len(b.sockets)), slog.String("digest", c.gen.digest)))
	b.launched(c)
	for _, at := range b.sockets {
		at.sync()
		at.reopen()
		at.regroup()
	}
	for i := range c.plans {
		if p := &c.plans[i]; p.fault != nil {
			p.svc.failed(p.fault)
		}
	}
	b.shields.settle()
	b.loop.After(&b.checks, checkEvery)
	b.tellServing()
	return nil
}

// dropOthers lets the sockets go that no service of gen has, and tells of those that nobody took.
func (b *Broker) dropOthers(gen *generation) {
	for _, at := range b.sockets {
		if at.svc == nil || at.svc.gen != gen {
			b.dropSocket(at)
		}
	}
	for _, key := range b.conf.Passed {
		if b.sockets[key] == nil {
			b.limitedNote("", "unused "+key, "socket passed by the service manager is not used", errors.New(key+": no service listens there"))
		}
	}
}

// launched takes over the runners that were made, with their zygotes.
func (b *Broker) launched(c *candidate) {
	c.inForce = true
	for _, r := range c.fresh {
		b.runners[r] = true
	}
	for r, z := range c.proven {
		if err := r.adopt(z); err != nil {
			r.noZygote(err)
		}
	}
}

// reconfigure adopts changed options and file modes on the sockets that stay.
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
				b.limitedNote(d.at.name(), "socket "+d.old.Key(), "listener "+d.old.Key()+" not restored", err)
			}
		}
	}
	for i := range c.plans {
		for _, w := range c.plans[i].Sockets {
			at := b.sockets[w.Spec.Key()]
			if at == nil || at.sock == nil || at.spec == w.Spec || at.holder != nil {
				continue // a held socket follows when its program gives it back
			}
			for _, l := range append(at.lanes[:len(at.lanes):len(at.lanes)], at) {
				if l.sock == nil {
					continue // it is opened as it should be
				}
				if err := l.sock.Reconfigure(w.Spec); err != nil {
					undo()
					return nil, c.unopened(&c.plans[i], w, err)
				}
				done = append(done, change{l, l.spec})
			}
		}
	}
	return undo, nil
}

// displace opens what could not be opened beside the old generation: it closes
// the old sockets in the way first, and opens them again if that was in vain. One
// that a wait program holds would stay in the way: then nothing is touched. The worker of a
// built-in gives its own up in a moment, and the new one is opened beside.
func (b *Broker) displace(c *candidate) error {
	if len(c.later) == 0 {
		return nil
	}
	wanted := c.wanted()
	var closed, leaving []*listening
	var errs []error
	for _, w := range c.later {
		for key, at := range b.sockets {
			switch {
			case wanted[key] || at.sock == nil || !address.Overlap(w.Spec.Endpoint, at.spec.Endpoint):
			case at.holder != nil && at.holder.svc.spec.Builtin != "" && w.Spec.Addr.IsValid():
				leaving = append(leaving, at)
			case at.holder != nil:
				return fmt.Errorf("listen %s: %s is in the way, which the program of %s (pid %d) holds: load the policy again when it has ended",
					w.Spec.Key(), key, at.holder.svc.name, at.holder.pid)
			default:
				closed = append(closed, at)
			}
		}
	}
	for _, at := range closed {
		at.close()
	}
	for key, w := range c.later {
		sock, err := b.hands.Open(w.Spec)
		for _, at := range leaving {
			if taken(err) && address.Overlap(w.Spec.Endpoint, at.spec.Endpoint) {
				sock, err = at.sock.Owner.Sibling(w.Spec)
			}
		}
		switch {
		case err == nil:
			c.opened[key] = sock
		case w.Retry && (taken(err) || absent(err)):
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
	t, held := b.tallies[p.svc.name], *p.svc.limit
	if p.svc.spec.Builtin != "" {
		held = limit.Spec{} // its worker holds the limits of its clients; a start of it is nobody's session, and not refused for theirs
	}
	if t == nil {
		t = &tally{name: p.svc.name, limiter: admission.New(held)}
		t.limiter.Draw = rand.Uint64
		t.turn.Owner = loop.Func(func() { b.serveQueue(t) })
		b.tallies[t.name] = t
	} else {
		t.limiter.Reconfigure(held)
	}
	p.svc.tally = t
	p.svc.run.linger = p.svc.spec.Linger
	p.svc.dynamic, p.svc.uid = p.Dynamic, p.UID
	if p.svc.of == nil {
		b.shield(p)
	}
}

// installSockets gives a service its sockets: kept, new, or yet to be opened.
func (b *Broker) installSockets(c *candidate, p *planned) {
	for _, w := range p.Sockets {
		key := w.Spec.Key()
		at := b.sockets[key]
		if c.missing[key] != nil || w.Optional && at == nil && c.opened[key] == nil && c.retry[key] == nil {
			continue // the host has no such family, or had none when the policy was loaded
		}
		if at == nil {
			at = newListening(b, w.Spec, c.opened[key])
			b.sockets[key] = at
		} else if sock := c.opened[key]; sock != nil {
			b.loop.Disarm(&at.retry)
			at.sock, at.spec, at.err, at.attached = sock, w.Spec, nil, attached{}
			at.local = newListening(b, w.Spec, sock).local
		}
		at.spec = w.Spec
		for _, l := range at.lanes {
			l.spec = w.Spec
		}
		at.err = c.retry[key]
		at.svc = p.svc
		p.svc.listen = append(p.svc.listen, at)
	}
}

// endOutdated lets go of the workers of built-ins that are outdated.
func (b *Broker) endOutdated() {
	for _, s := range b.sessions {
		switch {
		case len(s.held) > 0 && s.outdated():
			b.release(s)
		case s.counts != nil && s.counts.leave && s.mercy == "":
			b.tellRules(s) // which it holds to those who come while it does not hear
		}
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
			b.loop.Disarm(&s.again)
			if !inUse[s.run] && !s.run.retired {
				s.run.retire()
			}
		}
	}
	b.endOutdated()
	names := make(map[string]bool, len(c.plans))
	for _, s := range c.gen.services {
		names[s.name] = true
	}
	for name, t := range b.tallies {
		if len(t.queue) > 0 {
			b.loop.After(&t.turn, 0)
		} else if t.live == 0 && !names[name] {
			b.loop.Disarm(&t.unsaid)
			if t.shield != nil {
				b.loop.Disarm(&t.shield.over)
				b.loop.Disarm(&t.shield.timer)
			}
			_ = t.kept.Close() // fails for nil alone
			delete(b.tallies, name)
		}
	}
}

package broker

import (
	"log/slog"

	"casemate/listener/loop"
	"casemate/listener/warden/hands"
	"casemate/sandbox/panics"
)

// A service is prepared again under the policy that it has: after it could not be
// (when casemated started, or because the host has changed since), and when its
// program, a path of its profile or its user is another one than its sandbox was
// made with. The sandbox before serves on until there is one that replaces it.

// Expire tries again to prepare the service.
func (s *service) Expire(*loop.Timer) { s.b.renew(func() {}, s) }

// renew looks at services on another goroutine, one after another, and then calls done.
func (b *Broker) renew(done func(), list ...*service) {
	if b.stopping || len(list) == 0 {
		done()
		return
	}
	b.apart(func() error {
		on := b.hands.Site(list[0].gen.doc)
		defer on.Close()
		for _, s := range list {
			s.renew(on)
		}
		return nil
	}, func(error) { _ = b.loop.Post(done) })
}

// service is the one that r is for, nil if a later try is due anyway.
func (r *runner) service() *service {
	if r.b.gen != nil {
		for _, s := range r.b.gen.services {
			if s.run == r && !s.again.Armed() {
				return s
			}
		}
	}
	return nil
}

// renew prepares the service anew if it has to be, and reports whether it did. It blocks. A
// load that is under way looks at everything itself.
func (s *service) renew(on hands.Ground) bool {
	b := s.b
	now := on.Stamp(s.spec) // it may take its time, so nobody waits for it
	if !b.load.TryRLock() {
		_ = b.loop.Post(func() {
			if s.fault != nil && s.gen == b.gen {
				b.loop.After(&s.again, firstRetry)
			}
		})
		return false
	}
	defer b.load.RUnlock()
	var key string
	var due bool
	if b.loop.Do(func() { key, due = s.run.key, s.fault != nil || s.run.stamp != now }) != nil || !due {
		return false
	}
	c := b.candidate(s.gen)
	c.plans = []planned{{svc: s}}
	p := &c.plans[0]
	err := panics.Try(func() error { return c.remake(p, key) })
	b.Bug(err)
	_ = b.loop.Do(func() {
		switch {
		case s.gen != b.gen || b.stopping:
		case err != nil:
			s.failed(s.gen.placed(s, err))
		default:
			b.renewed(c, p)
		}
	})
	if !c.inForce {
		c.discard()
	}
	return c.inForce
}

// remake makes the sandbox of p, unless it would be as that of the key.
func (c *candidate) remake(p *planned, key string) error {
	defer c.site.Close()
	err := c.site.Read()
	if err == nil {
		err = c.find(p)
	}
	if err != nil || p.Key == key {
		return err
	}
	if err = c.b.plan(p.Job); err == nil {
		p.run, err = c.newRunner(p)
	}
	return err
}

// renewed puts a sandbox in the place of the service's old one, on the loop. Sessions
// keep what they were started in.
func (b *Broker) renewed(c *candidate, p *planned) {
	s, old := p.svc, p.svc.run
	b.loop.Disarm(&s.again)
	s.sockets = p.Sockets // for the next load: the owner of a file may be another one
	if p.run == nil {     // nothing of its own has changed, or it has changed back
		s.fault, s.tries, old.stamp = nil, 0, p.Stamp
		return
	}
	if _, err := b.reconfigure(c); err != nil {
		s.failed(err)
		return
	}
	s.run, s.fault, s.tries, s.listen = p.run, nil, 0, nil
	b.launched(c)
	b.installTally(p)
	b.installSockets(c, p)
	waiting := old.waiting
	old.waiting = nil
	for _, w := range waiting {
		if w.run = s.run; !w.leased {
			w.uid = s.uid
		}
		b.loop.Guard(func() { s.run.start(w) })
	}
	old.retire()
	b.endOutdated()
	for _, at := range s.listen {
		at.reopen()
		at.sync()
	}
	b.log.Put(b.note(slog.LevelInfo, "service prepared anew, as the host is now", slog.String("service", s.name)))
	b.tellServing()
}

// check looks at the services in use.
func (b *Broker) check() {
	var list []*service
	for _, s := range b.gen.services {
		if s.fault == nil && (s.run.zygote != nil || s.run.live > 0) {
			list = append(list, s)
		}
	}
	b.renew(func() { b.loop.After(&b.checks, checkEvery) }, list...) // a look may take its time
}

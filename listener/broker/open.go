package broker

import (
	"errors"
	"fmt"

	"casemate/listener"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/granted"

	"golang.org/x/sys/unix"
)

// inForce is what a candidate may keep of the generation that serves now.
type inForce struct {
	number  uint64
	runners map[string]*runner
	sockets map[string]listener.Spec
	faulty  []*service       // those that could not be prepared
	closed  map[string]bool  // sockets that could not be opened
	doc     *policy.Document // its own
	had     []kept           // by service, zero where there is none
	alike   *likeness        // of that document and the candidate's
}

// kept is what a service that has not changed was made with.
type kept struct {
	svc   *service
	run   *runner
	stamp string
	// who it runs as
	uid     uint32
	dynamic bool
}

// snapshot reads inForce from the loop, for a candidate of doc.
func (b *Broker) snapshot(doc *policy.Document) (now inForce, err error) {
	now = inForce{runners: make(map[string]*runner), sockets: make(map[string]listener.Spec), closed: make(map[string]bool)}
	err = b.loop.Do(func() {
		if b.gen != nil {
			now.number, now.doc = b.gen.number, b.gen.doc
			now.had = make([]kept, len(b.gen.services))
			for i, s := range b.gen.services {
				now.runners[s.run.key] = s.run
				if s.fault != nil {
					now.faulty = append(now.faulty, s)
				} else {
					now.had[i] = kept{s, s.run, s.run.stamp, s.uid, s.dynamic}
				}
			}
		}
		for key, at := range b.sockets {
			if at.sock != nil {
				now.sockets[key] = at.spec
			}
			now.closed[key] = at.sock == nil && at.err != nil
		}
	})
	if now.doc != nil && now.doc != doc {
		now.alike = newLikeness(now.doc.Policy, doc.Policy)
	}
	return now, err
}

// open opens the sockets that are not open yet. What only the old generation
// stands in the way of is left to commit.
func (c *candidate) open(have map[string]listener.Spec) error {
	wanted := c.wanted()
	var errs []error
	var specs []listener.Spec
	fresh := func(p *planned, w granted.Socket) bool {
		_, ok := have[w.Spec.Key()]
		return !ok && !p.svc.broken()
	}
	for i := range c.plans {
		for _, w := range c.plans[i].Sockets {
			if fresh(&c.plans[i], w) {
				specs = append(specs, w.Spec)
			}
		}
	}
	opened := c.b.hands.OpenAll(specs)
	for i := range c.plans {
		for _, w := range c.plans[i].Sockets {
			if !fresh(&c.plans[i], w) {
				continue
			}
			key, err := w.Spec.Key(), opened[0].Err
			sock := opened[0].Socket
			opened = opened[1:]
			switch {
			case err == nil:
				c.opened[key] = sock
			case w.Optional && absent(err) && !errors.Is(err, unix.ENODEV):
				c.missing[key] = err
			case taken(err) && displaces(w.Spec, have, wanted):
				c.later[key] = w
			case w.Retry && (taken(err) || absent(err)), c.lenient, c.now.closed[key]:
				c.retry[key] = err
			default:
				errs = append(errs, c.unopened(&c.plans[i], w, err))
			}
		}
	}
	return errors.Join(errs...)
}

// unopened says what of the policy err is about, which kept a socket from being opened.
func (c *candidate) unopened(p *planned, w granted.Socket, err error) error {
	at := fmt.Sprintf("listen.%d: ", w.Listen)
	if errors.As(err, new(*listener.SettingError)) {
		at = "socket."
	}
	return c.gen.placed(p.svc, fmt.Errorf("services.%s.%s%w", p.svc.name, at, err))
}

// wanted are the keys of the sockets that it has.
func (c *candidate) wanted() map[string]bool {
	wanted := make(map[string]bool)
	for i := range c.plans {
		for _, w := range c.plans[i].Sockets {
			wanted[w.Spec.Key()] = true
		}
	}
	return wanted
}

// displaces reports whether a socket that goes away stands in the way of spec.
func displaces(spec listener.Spec, have map[string]listener.Spec, wanted map[string]bool) bool {
	for key, old := range have {
		if !wanted[key] && address.Overlap(spec.Endpoint, old.Endpoint) {
			return true
		}
	}
	return false
}

// serves fails if a start has found nothing at all that can be served.
func (c *candidate) serves() error {
	var errs []error
	for i := range c.plans {
		p := &c.plans[i]
		errs = append(errs, p.fault)
		closed := 0
		for _, w := range p.Sockets {
			if err := c.retry[w.Spec.Key()]; err != nil && !w.Retry {
				errs = append(errs, c.unopened(p, w, err))
				closed++
			}
		}
		if p.fault == nil && closed < len(p.Sockets) {
			return nil
		}
	}
	return errors.Join(errs...)
}

// taken reports whether err of listener.Open means that somebody has the
// address: then our own old socket may be in the way, or a retry helps.
func taken(err error) bool {
	return errors.Is(err, unix.EADDRINUSE) || errors.Is(err, listener.ErrLive)
}

// absent reports whether err means that the host has no such family, address or interface (yet).
func absent(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV)
}

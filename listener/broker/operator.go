package broker

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"casemate/acl/ban"
	"casemate/listener/journal"
	"casemate/listener/wire"
	"casemate/policy/control"
)

// What operators say beside the policy: who is shut out, and which services take no new clients.

// operate does one of these requests, of who has that uid.
func (b *Broker) operate(q control.Request, uid uint32) (a control.Response, err error) {
	switch q.Verb {
	case control.VerbBan:
		a.Unkept, err = b.bans.change(func(s *ban.State) error { return b.ban(s, &q, uid, &a) })
		if err == nil && q.Ends {
			err = b.loop.Do(func() { a.Sessions = b.shun(a.Bans) })
		}
	case control.VerbUnban:
		a.Unkept, err = b.bans.change(func(s *ban.State) error { return b.unban(s, &q, uid, &a) })
	case control.VerbDrain:
		a.Unkept, err = b.bans.change(func(s *ban.State) error { return b.drain(s, &q, uid) })
	case control.VerbUndrain:
		a.Unkept, err = b.bans.change(func(s *ban.State) error { return b.undrain(s, &q, uid, &a) })
	case control.VerbBans:
		err = b.loop.Do(func() {
			part := b.bans.copy()
			part.Expire(b.wall())
			a.Bans, a.Drains = part.Bans, part.Drains
		})
	}
	return a, err
}

// holdable finds a service that can be held to what operators say.
func (b *Broker) holdable(name string) error {
	s := b.gen.service(name)
	switch {
	case s == nil:
		return fmt.Errorf("service %q is not in the policy in force", name)
	case s.takesItself():
		return fmt.Errorf("service %q has wait = true: its program takes its clients itself, and casemated does not see them; refuse them in its acl or its program, or end it with casemate kill --service %s", name, name)
	}
	return nil
}

// takesItself tells whether a service's clients come to its program past everybody.
func (s *service) takesItself() bool { return s.spec.Wait && s.spec.Builtin == "" }

// ban shuts a source out of the services that are named, or of all.
func (b *Broker) ban(s *ban.State, q *control.Request, uid uint32, a *control.Response) error {
	if err := ban.CheckPrefix(q.Prefix); err != nil {
		return fmt.Errorf("ban: %w", err)
	}
	if q.For < 0 || q.For > ban.MaxFor {
		return fmt.Errorf("ban: %v is not between 0, which has no end, and %v", q.For, ban.MaxFor)
	}
	for _, name := range q.Services {
		if err := b.holdable(name); err != nil {
			return fmt.Errorf("ban: %w", err)
		}
	}
	one := ban.Ban{Prefix: q.Prefix, Since: b.wall(), UID: uid, Ends: q.Ends}
	if q.For > 0 {
		one.Until = one.Since.Add(q.For)
	}
	services := slices.Compact(slices.Sorted(slices.Values(q.Services)))
	if len(services) == 0 {
		services = []string{""}
		for _, o := range b.gen.all() {
			if o.takesItself() {
				a.Unheld = append(a.Unheld, o.name)
			}
		}
	}
	for _, one.Service = range services {
		if !s.Set(one) {
			return fmt.Errorf("ban: there are %d bans, as many as there may be: casemate bans lists them, and casemate unban takes one back; a prefix is one ban", ban.MostBans)
		}
		a.Bans = append(a.Bans, one)
	}
	for i := range a.Bans {
		b.bans.log("banned", &a.Bans[i], uid)
	}
	return nil
}

// unban takes bans of a source back.
func (b *Broker) unban(s *ban.State, q *control.Request, uid uint32, a *control.Response) error {
	if err := ban.CheckPrefix(q.Prefix); err != nil {
		return fmt.Errorf("unban: %w", err)
	}
	a.Bans = s.Lift(q.Prefix, q.Services)
	for i := range a.Bans {
		a.Bans[i].Until = time.Time{}
		b.bans.log("unbanned", &a.Bans[i], uid)
	}
	for _, o := range s.Bans {
		named := len(q.Services) == 0 || o.Service == "" || slices.Contains(q.Services, o.Service)
		if named && o.Prefix.Contains(q.Prefix.Addr()) && o.Prefix.Bits() <= q.Prefix.Bits() && !o.Over(b.wall()) {
			a.Still = append(a.Still, o)
		}
	}
	return nil
}

// drain has a service take no new clients.
func (b *Broker) drain(s *ban.State, q *control.Request, uid uint32) error {
	if err := b.holdable(q.Service); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if !s.Drained(q.Service) && !s.Drain(ban.Drain{Service: q.Service, Since: b.wall(), UID: uid}) {
		return fmt.Errorf("drain: there are %d drained services, as many as there may be", ban.MostDrains)
	}
	b.bans.log("drained", &ban.Ban{Service: q.Service}, uid)
	return nil
}

// undrain has it take them again.
func (b *Broker) undrain(s *ban.State, q *control.Request, uid uint32, a *control.Response) error {
	if b.gen.service(q.Service) == nil {
		return fmt.Errorf("undrain: service %q is not in the policy in force", q.Service)
	}
	if i := slices.IndexFunc(s.Drains, func(d ban.Drain) bool { return d.Service == q.Service }); i >= 0 {
		a.Drains = []ban.Drain{s.Drains[i]}
		s.Undrain(q.Service)
		b.bans.log("undrained", &ban.Ban{Service: q.Service}, uid)
	}
	return nil
}

// whyBan stands in the record of a session that a ban ends.
const whyBan = "its client was banned"

// shun ends the sessions of banned sources, on the loop, and returns those that have a program of their own. Of a
// built-in the worker does it.
func (b *Broker) shun(bans []ban.Ban) (list []control.SessionStatus) {
	index := ban.NewIndex(&ban.State{Bans: bans})
	for _, s := range b.sessions {
		switch {
		case s.svc.spec.Builtin != "":
			s.hint(wire.Shun)
		case s.held == nil && index.Find(s.peer.Addr.Addr(), s.svc.name, b.wall()) != nil:
			s.why = cmp.Or(s.why, whyBan)
			list = append(list, s.status())
			b.terminate(s, journal.Killed)
		}
	}
	return list
}

// forbids tells in live what operators say of a client.
func (b *Broker) forbids(live *control.Live, s *service, client netip.Addr) {
	if s.takesItself() {
		return
	}
	now := b.wall()
	if live.Refusal = b.bans.index.Refuses(client, s.name, now); live.Refusal == ban.ReasonBan {
		if one := b.bans.index.Find(client, s.name, now); !one.Until.IsZero() {
			live.Retry = one.Until.Sub(now)
		}
	}
}

// drained is since when a service takes no new clients, the zero time where it does.
func (b *Broker) drained(service string) time.Time {
	for _, d := range b.bans.state.Drains {
		if d.Service == service {
			return d.Since
		}
	}
	return time.Time{}
}

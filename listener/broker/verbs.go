package broker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"casemate/acl/limit/admission"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/control"
)

// answer runs one control request of who has that uid. It is called off the loop. doc is the document
// that follows the answer, and does not change any more.
func (b *Broker) answer(q control.Request, uid uint32) (a control.Response, doc *policy.Document) {
	var err error
	b.settle()
	switch q.Verb {
	case control.VerbStatus:
		if q.Written {
			b.written()
		}
		if a.Status, err = b.status(q); err == nil {
			a.Digest = a.Status.Digest
		}
	case control.VerbReload, control.VerbRollback:
		out := b.fulfil(order{cause: warden.Cause{How: q.Verb, UID: uid}, ran: q.Digest, ifDigest: q.IfDigest, ifRunning: q.IfRunning, ends: q.Ends})
		a.Sessions = out.narrowed
		a.Digest, a.Replaced, a.EndedRollback, a.Unkept, a.Diagnostics, err = out.digest, out.replaced, out.ended, out.unkept, out.diags, out.err
		var u *unmet
		if errors.As(err, &u) {
			a.Unmet = u.condition
		}
	case control.VerbHistory:
		a.Runs, err = b.history()
	case control.VerbDocument:
		if doc, a.Live, err = b.document(q); err == nil {
			a.Digest = doc.Digest
		}
	case control.VerbBan, control.VerbUnban, control.VerbBans, control.VerbDrain, control.VerbUndrain:
		a, err = b.operate(q, uid)
	case control.VerbKill:
		a.Sessions, err = b.end(q)
	default:
		err = fmt.Errorf("verb %q is not known", q.Verb)
	}
	a.OK = err == nil
	if err != nil {
		a.Error = err.Error()
	}
	return a, doc
}

// settle waits a moment for what has been started to be known: who is served may ask.
func (b *Broker) settle() {
	for end, settling := time.Now().Add(time.Second), 1; settling > 0 && time.Now().Before(end); {
		settling = 0
		if b.loop.Do(func() {
			for r := range b.runners {
				settling += r.settling
			}
		}) != nil {
			return
		}
		if settling > 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// status collects the broker's state, all of it or what is of one service.
func (b *Broker) status(q control.Request) (*control.Status, error) {
	st := &control.Status{Version: b.conf.Version, PID: b.conf.PID, Started: b.conf.Started, PolicyPaths: b.conf.Policy, Log: b.conf.LogPath,
		Services: []control.ServiceStatus{}, Sessions: []control.SessionStatus{}}
	err := b.loop.Do(func() {
		st.LastReload, st.ReloadFailed = b.lastReload, b.reloadFailed
		if b.gen == nil {
			return
		}
		st.Generation, st.Digest, st.Loaded = b.gen.number, b.gen.digest, b.gen.loaded
		st.RolledBack, st.Sources = b.rolledBack()
		for _, s := range b.gen.all() {
			if q.Service == "" || s.name == q.Service {
				if q.Now && s.name == q.Service {
					s.run.warm()
				}
				st.Services = append(st.Services, s.status())
			}
		}
		for _, s := range b.gen.doc.Policy.Disabled {
			if q.Service == "" || s.Name == q.Service {
				st.Disabled = append(st.Disabled, s.Name)
			}
		}
		st.Bans = len(b.bans.state.Bans)
		b.listSessions(st, q.Service)
	})
	if err == nil && q.Service != "" && st.Generation > 0 && len(st.Services)+len(st.Disabled) == 0 {
		err = fmt.Errorf("service %q is not in the policy in force", q.Service)
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (b *Broker) listSessions(st *control.Status, service string) {
	for _, s := range b.sessions {
		if service != "" && s.svc.name != service {
			continue
		}
		if len(st.Sessions) == control.MaxSessions {
			st.SessionsLeftOut++
			continue
		}
		st.Sessions = append(st.Sessions, s.status())
	}
	slices.SortFunc(st.Sessions, func(x, y control.SessionStatus) int { return cmp.Compare(x.ID, y.ID) })
}

// status is one session's part.
func (s *session) status() control.SessionStatus {
	b, gen := s.svc.b, s.svc.gen
	st := control.SessionStatus{ID: s.id, Service: s.svc.name, Client: s.peer.String(), PID: int(s.pid), UID: s.uid,
		Started: b.wall().Add(-time.Duration(b.loop.Now() - s.started)), Generation: gen.number, Digest: gen.digest, Name: s.peer.Name}
	if s.local.IsValid() {
		st.Local = s.local.String()
	}
	return st
}

// end asks the sessions to end that q is for, or makes them, and returns them. Asked
// again it returns those that have not ended yet.
func (b *Broker) end(q control.Request) (list []control.SessionStatus, err error) {
	err = b.loop.Do(func() {
		for _, s := range b.sessions {
			if q.Service != s.svc.name && !slices.Contains(q.Sessions, s.id) {
				continue
			}
			list = append(list, s.status())
			if b.terminate(s, journal.Killed); q.Now {
				s.destroy()
			}
		}
	})
	return list, err
}

// status is one service's part.
func (s *service) status() control.ServiceStatus {
	t, r := s.tally, s.run
	st := control.ServiceStatus{
		Name: s.name, Listeners: make([]control.ListenerStatus, 0, len(s.listen)), User: string(s.spec.User), ACL: s.spec.ACL, Limit: s.spec.Limit,
		Profile: s.spec.Profile, Builtin: s.spec.Builtin, Losses: r.cell.Losses(),
		Live: t.live, Peak: t.peak, Queued: len(t.queue), Admitted: t.admitted, Refused: t.refused, Failed: t.failed, Zygote: r.zygote != nil, Drained: s.b.drained(s.name),
	}
	if s.spec.Redirects() {
		st.Redirect = s.spec.Redirect.String()
	}
	if st.Builtin != "" {
		st.Live, st.Peak = t.clients, t.mostClients
	}
	st.RefusedBy, st.EndedBy = maps.Clone(t.refusedBy), maps.Clone(t.endedBy)
	if r.zygote != nil {
		st.ZygotePID = r.zygote.PID()
	}
	if r.unheard && s.gen.doc.Policy.Profile(s.spec.Profile).Syscalls.OnViolation == "errno" {
		st.Losses = append(st.Losses[:len(st.Losses):len(st.Losses)],
			"denied calls are not named: this kernel has no listener to give (Linux 5.7), or casemated runs below somebody else's")
	}
	if why := s.b.shields.lacks(t.shield); why != nil {
		st.Losses = append(st.Losses[:len(st.Losses):len(st.Losses)], s.unheld(why))
	}
	if o := s.loose(); o != nil {
		st.Losses = append(st.Losses[:len(st.Losses):len(st.Losses)], "acl: "+o.looseness())
	}
	if t.shield != nil && t.shield.missing == nil {
		st.Shield = t.shield.says
	}
	for _, at := range s.listen {
		st.Listeners = append(st.Listeners, at.status())
	}
	for _, name := range s.spec.Mux {
		st.Listeners = append(st.Listeners, control.ListenerStatus{Key: "tcpmux:" + name, State: map[bool]string{false: "listening", true: "broken"}[s.broken()]})
	}
	for _, o := range s.others {
		if o.fault != nil {
			st.Error = o.fault.Error()
		}
	}
	switch {
	case s.fault != nil:
		st.Error, st.Broken = s.fault.Error(), s.broken()
	case r.backoff.Armed() && r.lastErr != nil:
		st.Error = r.lastErr.Error()
	}
	return st
}

// document finds the document in force and, when q names a service that it has,
// what the running counters and the host add to it.
func (b *Broker) document(q control.Request) (doc *policy.Document, live *control.Live, err error) {
	err = b.loop.Do(func() {
		if b.gen == nil {
			return
		}
		doc = b.gen.doc
		s := b.gen.service(q.Service)
		if s == nil {
			return
		}
		live = &control.Live{ServiceStatus: s.status()}
		if b.forbids(live, s, q.Client.Unmap()); live.Refusal == "" && s.spec.Builtin == "" { // its worker counts its clients
			r := s.tally.limiter.Peek(b.loop.Now(), admission.Peer(q.Client.Unmap().WithZone(""), inbound.Peer{UID: q.UID, VM: q.CID > 0, CID: q.CID}.Key()))
			if live.Refusal, live.Retry = string(r.Reason), r.RetryAfter; live.Refusal == "" && s.overloaded() {
				live.Refusal = reasonLoad
			}
		}
	})
	if err == nil && doc == nil {
		err = errors.New("no policy is in force")
	}
	if err == nil && q.Digest != "" && q.Digest != doc.Digest {
		live = nil
		doc, err = b.recall(q.Digest)
	}
	return doc, live, err
}

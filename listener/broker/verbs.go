package broker

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"casemate/acl/limit"
	"casemate/policy"
)

// answer runs one control request. It is called off the loop.
func (b *Broker) answer(q policy.ControlRequest) (a policy.ControlResponse) {
	var err error
	switch q.Verb {
	case policy.VerbStatus:
		a.Status, err = b.status(q.Service)
		if a.Status != nil {
			a.Digest = a.Status.Digest
		}
	case policy.VerbReload:
		a.Digest, a.Diagnostics, err = b.Load()
	case policy.VerbExplain:
		a.Explanation, err = b.explain(q)
		if a.Explanation != nil {
			a.Digest = a.Explanation.Digest
		}
	default:
		err = fmt.Errorf("verb %q is not known", q.Verb)
	}
	a.OK = err == nil
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// status collects the broker's state; service "" is all of them.
func (b *Broker) status(service string) (*policy.Status, error) {
	st := &policy.Status{Version: b.conf.Version, PID: os.Getpid(), Started: b.started, PolicyPaths: b.conf.Policy,
		Services: []policy.ServiceStatus{}, Sessions: []policy.SessionStatus{}}
	var unknown error
	err := b.loop.Do(func() {
		st.LastReload = b.lastReload
		if b.gen == nil {
			return
		}
		st.Generation, st.Digest, st.Loaded = b.gen.number, b.gen.digest, b.gen.loaded
		if service != "" && b.gen.service(service) == nil {
			unknown = fmt.Errorf("service %q is not in the policy in force", service)
			return
		}
		for _, s := range b.gen.services {
			if service == "" || s.name == service {
				st.Services = append(st.Services, s.status())
			}
		}
		b.listSessions(st, service)
	})
	if err == nil {
		err = unknown
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (b *Broker) listSessions(st *policy.Status, service string) {
	for _, s := range b.sessions {
		if service != "" && s.svc.name != service {
			continue
		}
		if len(st.Sessions) == policy.MaxSessions {
			st.SessionsLeftOut++
			continue
		}
		st.Sessions = append(st.Sessions, policy.SessionStatus{
			ID: s.id, Service: s.svc.name, Client: s.peer.String(), PID: int(s.pid), UID: s.uid,
			Started: b.wall().Add(-time.Duration(b.loop.Now() - s.started)), Generation: s.svc.gen.number, Digest: s.svc.gen.digest,
		})
	}
	slices.SortFunc(st.Sessions, func(x, y policy.SessionStatus) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
}

// status is one service's part.
func (s *service) status() policy.ServiceStatus {
	t, r := s.tally, s.run
	st := policy.ServiceStatus{
		Name: s.name, Listeners: []policy.ListenerStatus{}, User: s.spec.User, ACL: s.spec.ACL, Limit: s.spec.Limit,
		Profile: s.spec.Profile, Builtin: s.spec.Builtin, Layers: r.layers, Losses: r.cell.Losses(),
		Live: t.live, Peak: t.peak, Admitted: t.admitted, Refused: t.refused, Failed: t.failed, Zygote: r.zygote != nil,
	}
	if len(t.refusedBy) > 0 {
		st.RefusedBy = make(map[string]uint64, len(t.refusedBy))
		for k, v := range t.refusedBy {
			st.RefusedBy[k] = v
		}
	}
	if r.zygote != nil {
		st.ZygotePID = r.zygote.PID()
	}
	if r.backoff.Armed() && r.lastErr != nil {
		st.Error = r.lastErr.Error()
	}
	for _, at := range s.listen {
		st.Listeners = append(st.Listeners, at.status())
	}
	return st
}

// explain answers from the policy in force and the running counters.
func (b *Broker) explain(q policy.ControlRequest) (*policy.Explanation, error) {
	query := policy.Query{Service: q.Service, Name: q.Name}
	var err error
	if query.Client, err = netip.ParseAddr(q.Client); err != nil {
		return nil, fmt.Errorf("explain: client: %w", err)
	}
	query.Client = query.Client.Unmap().WithZone("")
	if q.Local != "" {
		if query.Local, err = netip.ParseAddr(q.Local); err != nil {
			return nil, fmt.Errorf("explain: local: %w", err)
		}
	}
	var doc *policy.Document
	var live string
	var losses []string
	err = b.loop.Do(func() {
		s := b.gen.service(q.Service)
		if b.gen != nil {
			doc = b.gen.doc
		}
		if s == nil {
			return
		}
		losses = s.run.cell.Losses()
		if r := s.tally.limiter.Peek(b.loop.Now(), limit.Addr(query.Client)); r.Refused() {
			live = r.String()
		}
	})
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, fmt.Errorf("explain: no policy is in force")
	}
	// The document is not changed once it is in force: no need to hold the loop.
	e, err := policy.Explain(doc, query)
	if err != nil {
		return nil, err
	}
	e.Live, e.Losses = live, losses
	return e, nil
}

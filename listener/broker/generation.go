package broker

import (
	"time"

	"casemate/policy"
)

// generation is one loaded policy. Everything in it is made before it comes
// into force, and it is not changed afterwards.
type generation struct {
	number   uint64
	digest   string
	doc      *policy.Document
	loaded   time.Time
	narrows  bool       // sessions end that it does not admit
	services []*service // as policy.Programs has them
}

// service finds a service by name.
func (g *generation) service(name string) *service {
	if g == nil {
		return nil
	}
	for _, s := range g.services {
		if s.name == name {
			return s
		}
	}
	return nil
}

// all are the services of the policy, without the programs of their rules.
func (g *generation) all() []*service {
	if g == nil {
		return nil
	}
	return g.services[:len(g.doc.Policy.Services)]
}

// placed adds to why a service is refused where the policy has what is at fault.
func (g *generation) placed(s *service, err error) error { return g.doc.Place(s.spec, err) }

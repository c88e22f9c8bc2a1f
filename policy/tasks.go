package policy

import (
	"casemate/policy/granted"
	"casemate/sandbox"
)

// Sessions is how many programs of a service may run at once; 0 is no bound.
func (p *Policy) Sessions(s *Service) int64 {
	if s.Wait {
		return 1
	}
	if l := p.Limit(s.Limit); l != nil {
		return int64(l.Concurrent)
	}
	return 0
}

// Tasks is how many processes and threads a service may have in all: its
// sessions, each with what its profile gives it. 0 is no bound.
func (p *Policy) Tasks(s *Service) int64 {
	if f := p.Profile(s.Profile); f != nil {
		return p.Sessions(s) * f.Resources[sandbox.Tasks]
	}
	return 0
}

// UserTasks is granted.UserTasks of the services, by what user says of each.
func UserTasks[U comparable](p *Policy, user func(*Service) (U, bool)) map[U]int64 {
	return granted.UserTasks(p.Services, func(s *Service) (U, int64, bool) {
		u, counted := user(s)
		return u, p.Tasks(s), counted
	})
}

package policy

import "casemate/sandbox"

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

// UserTasks adds up Tasks of the services that run as one user, which the
// kernel counts together (setrlimit(2), RLIMIT_NPROC): by what user says of a
// service, without those for which it says nothing. 0 is no bound.
func UserTasks[U comparable](p *Policy, user func(*Service) (U, bool)) map[U]int64 {
	sums := make(map[U]int64)
	for i := range p.Services {
		s := &p.Services[i]
		u, counted := user(s)
		if !counted {
			continue
		}
		sum, more := sums[u]
		if n := p.Tasks(s); n == 0 || more && sum == 0 {
			sums[u] = 0 // for good
		} else {
			sums[u] = sum + n
		}
	}
	return sums
}

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
// kernel counts together (setrlimit(2), RLIMIT_NPROC). 0 is no bound.
func (p *Policy) UserTasks(runs func(*Service) bool) (sum int64) {
	for i := range p.Services {
		s := &p.Services[i]
		if !runs(s) {
			continue
		}
		n := p.Tasks(s)
		if n == 0 {
			return 0
		}
		sum += n
	}
	return sum
}

package main

import (
	"casemate/cmd/casemate/facts"
	"casemate/cmd/casemate/output"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/seccomp/launch"
)

// hostReport is what check --host adds: facts of this host's kernel.
type hostReport struct {
	// LandlockABI is the kernel's, 0 when it has no Landlock.
	LandlockABI int           `json:"landlock_abi"`
	Services    []hostService `json:"services"`
}

// hostService is one service that the host cannot give everything.
type hostService struct {
	Name string `json:"name"`
	// Refused is why casemated would not load it here.
	Refused string `json:"refused,omitempty"`
	// Losses are what best_effort gives up here.
	Losses []string `json:"losses,omitempty"`
}

// onKernel tells what a kernel of that Landlock ABI does not enforce of a policy.
func onKernel(p *policy.Policy, abi int) *hostReport {
	h := &hostReport{LandlockABI: abi, Services: []hostService{}}
	for i := range p.Services {
		s := &p.Services[i]
		// The program means nothing to the question, and a built-in's is the broker's to find.
		h.add(s.Name, *p.Profile(s.Profile), hostCommand(p, s, "/", nil), abi)
	}
	return h
}

// hostCommand is what the broker makes of a service, as far as a plan asks for it.
// Without accounts it runs as nobody in particular.
func hostCommand(p *policy.Policy, s *policy.Service, program string, a *facts.Facts) sandbox.Command {
	c := sandbox.Command{
		Service: s.Name, Path: program, Argv: []string{s.Name}, Dir: s.Dir, Stdio: s.Stdio, Sockets: 1,
		Listens: s.Wait, UnixDatagrams: s.UnixDatagrams(), Log: s.Syslog(p.Profile(s.Profile)), Dynamic: s.User == policy.Dynamic || a == nil,
	}
	if !c.Dynamic {
		c.UID, c.GID, _ = a.User(string(s.User)) // what is wrong with it is told of itself
	}
	if s.Together() {
		c.Sockets = 0
		for _, l := range s.Listen {
			c.Sockets += len(l.Endpoints())
		}
		if s.Builtin == policy.Tcpmux {
			c.Sockets++ // where it hands its clients over
		}
	}
	if s.Redirects() && !s.Redirect.Unix() {
		c.Sockets = 2
	}
	return c
}

func (h *hostReport) add(name string, p sandbox.Profile, c sandbox.Command, abi int) {
	s := hostService{Name: name}
	plan, err := sandbox.NewPlan(p, c)
	if err == nil {
		plan.Filter, err = launch.Facts(plan.Shape(abi))
		s.Losses, s.Refused = plan.Filter.Losses, plan.Filter.Refused
	}
	if err != nil {
		s.Refused = err.Error()
	}
	if s.Refused != "" || len(s.Losses) > 0 {
		h.Services = append(h.Services, s)
	}
}

// answer is no where the host would refuse a service.
func (h *hostReport) answer() error {
	if h != nil {
		for _, s := range h.Services {
			if s.Refused != "" {
				return errNo
			}
		}
	}
	return nil
}

// host prints the report for people; of is the file that has the host's facts, "" for this host.
func (a *app) host(h *hostReport, of string) {
	if h == nil {
		return
	}
	kernel, host := "this kernel", "this host"
	if of != "" {
		kernel, host = "the kernel of "+output.OneLine(of), "the host of "+output.OneLine(of)
	}
	a.printf("\n%s has Landlock ABI %d\n", kernel, h.LandlockABI)
	var lost losses
	for _, s := range h.Services {
		if s.Refused != "" {
			a.printf("%s: refused on %s: %s\n", s.Name, host, s.Refused)
		}
		lost.add(s.Name, s.Losses...)
	}
	a.losses(&lost, host)
}

package valid

import (
	"fmt"
	"slices"
	"strings"

	"casemate/listener/address"
	"casemate/policy"
)

const (
	maxMux     = 250 // names of the whole policy: a byte counts them
	maxMuxName = 64
)

// muxed checks the names by which tcpmux reaches s, or who may be a tcpmux.
func (c *checker) muxed(at string, p *policy.Policy, s *policy.Service) {
	if s.Builtin == policy.Tcpmux {
		if i := slices.IndexFunc(s.Listen, func(l address.Listen) bool { return l.Datagram() || !l.Inet() }); i >= 0 {
			c.add(fmt.Sprintf("%s.listen.%d", at, i), "listen on tcp", "tcpmux is served by tcp alone")
		}
		return
	}
	for i, name := range s.Mux {
		at := fmt.Sprintf("%s.mux.%d", at, i)
		switch bare := strings.TrimPrefix(name, "+"); {
		case !named(bare, maxMuxName, letters+digits+"_-./", "") || strings.ToLower(bare) != bare:
			c.add(at, "use at most 64 letters, digits, _, -, . and /", "%q is no name for tcpmux", name)
		case bare == "help":
			c.add(at, "choose another", "tcpmux answers help itself")
		default:
			c.muxedOnce(at, p, s, i, bare)
		}
	}
	switch isMux := func(s policy.Service) bool { return s.Builtin == policy.Tcpmux }; {
	case len(s.Mux) == 0:
	case s.Wait:
		instead := "remove the name, or serve it with wait = false"
		if s.Builtin != "" {
			instead = "remove the name: what is handed over needs a command"
		}
		c.add(at+".mux", instead, "tcpmux hands one client over, and a program with wait or a builtin takes its clients itself")
	case !slices.ContainsFunc(p.Services, isMux) && !slices.ContainsFunc(p.Disabled, isMux):
		c.add(at+".mux", `write a service with listen = ["tcp://:tcpmux"], builtin = "tcpmux" and an acl`, "no service of the policy is a tcpmux")
	}
}

// muxedOnce reports a name that another service has, or this one twice.
func (c *checker) muxedOnce(at string, p *policy.Policy, s *policy.Service, i int, bare string) {
	count := 0
	for k := range p.Services {
		for n, name := range p.Services[k].Mux {
			if count++; count > maxMux {
				c.add(at, "use fewer", "the policy has more than %d names for tcpmux", maxMux)
				return
			}
			if &p.Services[k] == s && n == i {
				return
			}
			if strings.TrimPrefix(name, "+") == bare {
				if e := c.add(at, "choose another", "tcpmux knows %q already", bare); e != nil {
					e.Other = fmt.Sprintf("services.%s.mux.%d", p.Services[k].Name, n)
				}
				return
			}
		}
	}
}

package valid

import (
	"strings"

	"casemate/acl/shield"
	"casemate/policy"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/filter"
)

// screened checks what it takes for the kernel alone to hold a service's host rules: a filter has to be all that they say, and the
// program, which has the listening socket, must not change it.
func (c *checker) screened(at string, p *policy.Policy, s *policy.Service) {
	if list := p.ACL(s.ACL); list == nil {
		c.add(at+".acl", "name the acl whose clients it is for", "with wait = true and without an acl it would be started for nobody")
	} else if _, err := shield.Whole(list); err != nil {
		c.add(at+".acl", "name addresses and prefixes alone, or serve it with wait = false",
			`with wait = true the kernel alone refuses clients (refuse = "silent"), and acl %q %v`, s.ACL, err)
	}
	f := p.Profile(s.Profile)
	if f == nil {
		return
	}
	rules, err := filter.Decode(f.Syscalls.Rules)
	if err != nil {
		return // which is reported of the filter
	}
	if calls := advise.Unfilter(seccomp.Named(rules)); len(calls) > 0 {
		c.add(at+".profile", "name a profile that allows options of sockets one by one, as profile.server does, or take the calls away with syscalls { deny = [...] }",
			`with wait = true the kernel's filter at the listening socket (refuse = "silent") is all that refuses clients, and under profile %q the program can take it off: %s`, s.Profile, strings.Join(calls, ", "))
	}
}

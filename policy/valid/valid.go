// Package valid says whether a policy is well-formed, and of each value that is
// not: where it stands, why, and what to write instead. The compiler asks it in its
// sandbox, also about a document that somebody else has compiled; what root itself
// depends on, package policy checks again.
package valid

import (
	"fmt"
	"strings"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/pattern"
	"casemate/policy"
	"casemate/policy/granted"
)

// Bounds of a policy, far above any real one. They are numbers, as the answer is the same on every host: so many
// services take casemated 130 to 250 MB, and 256 MB is where it begins to save memory.
const (
	MaxServices = 10000
	MaxBacklog  = 65535     // connections that wait in one of them
	LeastBuffer = 4 << 10   // bytes; less is what the kernel takes anyway
	MostBuffer  = 512 << 20 // it counts twice, in 32 bits
	// BannerBuffer takes two banners whatever the client's window and segments are; at half of it some do not go in.
	BannerBuffer = 16 << 10
	MaxPriority  = 6 // more takes a capability
	LeastNice    = -20
	MostNice     = 19
	// MostOOMScore is oom_score_adj of what is killed first. What runs at 0, as casemated may, is
	// never to be killed before a service.
	MostOOMScore = 1000
	maxBlocks    = 8192 // acls, limits, profiles or filters
	maxItems     = 4096 // items of one list
)

// Check checks every invariant and returns nil or an Errors. It is pure:
// whether users, files and addresses exist on the host is not its question.
func Check(p *policy.Policy) error {
	c := &checker{}
	if p.Edition != 1 {
		c.add("edition", "write edition = 1", "edition %d is not known to this version", p.Edition)
	}
	oneOf(c, "on_stop", p.OnStop, policy.StopModes...)
	oneOf(c, "on_broken", p.OnBroken, policy.BrokenModes...)
	if p.OnNarrow != "" {
		oneOf(c, "on_narrow", p.OnNarrow, policy.NarrowModes...)
	}
	between(c, "services", len(p.Services)+len(p.Disabled), 0, MaxServices)
	for path, n := range map[string]int{"acls": len(p.ACLs), "limits": len(p.Limits), "profiles": len(p.Profiles), "filters": len(p.Filters)} {
		between(c, path, n, 0, maxBlocks)
	}
	if len(c.errs) > 0 {
		return c.errs
	}
	for i := range p.ACLs {
		c.acl(p, i)
	}
	for i := range p.Limits {
		c.limit(p, i)
	}
	for i := range p.Profiles {
		c.profile(p, i)
	}
	c.filters(p)
	for i := range p.Services {
		c.service(p, i)
	}
	off := *p
	off.Services, off.Disabled = p.Disabled, p.Services
	for i := range off.Services {
		if c.service(&off, i); p.Service(off.Services[i].Name) != nil {
			c.add("services."+off.Services[i].Name, "leave one of them out", "the service is disabled, and is not")
		}
	}
	c.collisions(p)
	c.apart(p)
	if len(c.errs) == 0 {
		return nil
	}
	return c.errs
}

// order checks that blocks of a kind are sorted by name and none is there
// twice, and returns the path of block i.
func (c *checker) order(kind string, i int, name func(int) string) string {
	n := name(i)
	if !granted.ValidName(n) {
		path := fmt.Sprintf("%s.%d", kind, i)
		c.name(path, n)
		return path
	}
	path := kind + "." + n
	if i > 0 && name(i-1) >= n {
		c.add(path, "keep blocks sorted by name, each name once", "%q does not come after %q", n, name(i-1))
	}
	return path
}

// acl checks one list: verdicts, patterns in canonical spelling, prefixes
// without host bits.
func (c *checker) acl(p *policy.Policy, i int) {
	l := &p.ACLs[i]
	path := c.order("acls", i, func(i int) string { return p.ACLs[i].Name })
	oneOf(c, path+".default", l.Default, Verdicts...)
	between(c, path+".rules", len(l.Rules), 0, maxItems)
	if l.Zone != nil {
		c.text(path+".zone.name", l.Zone.Name, 64)
		if err := civil.CheckZone(l.Zone); err != nil {
			c.add(path+".zone", "compile the policy anew", "%v", err)
		}
	}
	for k := range l.Rules {
		r, at := &l.Rules[k], fmt.Sprintf("%s.rules.%d", path, k)
		oneOf(c, at+".verdict", r.Verdict, Verdicts...)
		if r.Name != "" {
			c.name(at+".name", r.Name)
		}
		if len(r.From) == 0 {
			c.add(at+".from", `write from = ["any"] or name the clients`, "the rule names no client")
		}
		c.patterns(at+".from", r.From)
		c.patterns(at+".except", r.Except)
		between(c, at+".to", len(r.To), 0, maxItems)
		between(c, at+".during", len(r.During), 0, maxItems)
		if err := civil.CheckSpans(r.During); err != nil {
			c.add(at+".during", "compile the policy anew", "%v", err)
		}
		c.ruleEnv(at, r)
		c.ruleCommand(at, r)
		for n, pre := range r.To {
			if !pre.IsValid() || pre != pre.Masked() || pre.Addr().Is4In6() {
				c.add(fmt.Sprintf("%s.to.%d", at, n), "write a prefix without host bits, as 192.0.2.0/24", "%q is not a canonical prefix", pre)
			}
		}
	}
}

func (c *checker) patterns(path string, list []acl.Pattern) {
	between(c, path, len(list), 0, maxItems)
	for i, pat := range list {
		canon, err := pattern.Parse(string(pat))
		switch at := fmt.Sprintf("%s.%d", path, i); {
		case err != nil:
			summary, next := err.Error(), "write an address, a prefix, a host name, .domain, any, known, unknown or paranoid"
			if i := strings.LastIndex(summary, ": write "); i >= 0 {
				summary, next = summary[:i], summary[i+2:]
			}
			c.add(at, next, "%s", summary)
		case canon != pat:
			c.add(at, fmt.Sprintf("write %q", canon), "%q is not the canonical spelling", pat)
		}
	}
}

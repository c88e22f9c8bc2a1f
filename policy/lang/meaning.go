package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/suggest"
	"casemate/policy/valid"

	"github.com/hashicorp/hcl/v2"
)

// assemble puts the policy together: the user's blocks and the shipped ones
// that services use, each kind sorted by name.
func (c *compiler) assemble(p *policy.Policy, services []policy.Service) {
	for _, s := range services {
		c.adopt(s)
	}
	for _, name := range sortedKeys(c.acls) {
		p.ACLs = append(p.ACLs, c.acls[name])
	}
	for _, name := range sortedKeys(c.limits) {
		p.Limits = append(p.Limits, c.limits[name])
	}
	for _, name := range sortedKeys(c.profiles) {
		if f := c.profiles[name]; f != nil { // nil after an error
			p.Profiles = append(p.Profiles, f.Profile)
		}
	}
	if err := calls.Fill(p, c.filter); err != nil && !c.failed(0) {
		c.report(codeValue, c.start(), "change its system calls", "%v", err)
	}
	slices.SortFunc(services, func(a, b policy.Service) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range services {
		if s.Disable {
			p.Disabled = append(p.Disabled, s)
		} else {
			p.Services = append(p.Services, s)
		}
	}
}

// adopt copies the shipped blocks that s refers to, with their places.
func (c *compiler) adopt(s policy.Service) {
	if c.base == nil {
		return
	}
	has := func(kind, name string) bool { _, ok := c.places[kind+"."+name]; return ok }
	if l, ok := c.base.acls[s.ACL]; ok && !has("acls", s.ACL) {
		c.acls[s.ACL] = l
		c.adoptPlaces("acls." + s.ACL)
	}
	if l, ok := c.base.limits[s.Limit]; ok && !has("limits", s.Limit) {
		c.limits[s.Limit] = l
		c.adoptPlaces("limits." + s.Limit)
	}
	if f, ok := c.base.profiles[s.Profile]; ok && !has("profiles", s.Profile) {
		c.profiles[s.Profile] = f
		c.adoptPlaces("profiles." + s.Profile)
	}
}

func (c *compiler) adoptPlaces(prefix string) {
	for path, rng := range c.base.places {
		if path == prefix || strings.HasPrefix(path, prefix+".") {
			c.put(path, rng)
		}
	}
	for path := range c.base.inner {
		if path == prefix || strings.HasPrefix(path, prefix+".") {
			c.inner[path] = true
		}
	}
}

// meaning validates the policy and reports each broken invariant where the
// value at fault was written. After other errors the policy has holes, and only
// what is wrong with a value that was read is reported.
func (c *compiler) meaning(p *policy.Policy) bool {
	if len(c.heads) == 0 || c.work < 0 {
		return false
	}
	before := len(c.found)
	failed := c.failed(0)
	errs, _ := valid.Check(p).(valid.Errors) // Check returns nothing else
	for _, e := range errs {
		if failed && c.hollow(e.Path, before) {
			continue
		}
		next := e.Next
		if w := suggest.Word(e.Word, e.Words); w != "" {
			next = fmt.Sprintf("did you mean %q? It is one of: %s", w, strings.Join(e.Words, ", "))
		}
		if e.Other != "" {
			next += "; the other is at " + place(c.near(e.Other))
		}
		c.report(codeMeaning, c.near(e.Path), next, "%s%s", c.ofInstance(e.Path), e.Summary)
	}
	return !c.failed(0)
}

// hollow tells whether an error about path may only be the echo of one of the
// first n findings: it is about a whole block, a reference, or a value that a
// finding is about already.
func (c *compiler) hollow(path string, n int) bool {
	rng, ok := c.places[path]
	if !ok || c.inner[path] {
		return true
	}
	switch path[strings.LastIndexByte(path, '.')+1:] {
	case kindACL, kindLimit, kindProfile, "listen", "from": // also empty lists: their items were not read
		return true
	}
	return slices.ContainsFunc(c.found[:n], func(f finding) bool {
		return f.rng.Filename == rng.Filename && f.rng.Start.Byte < rng.End.Byte && f.rng.End.Byte > rng.Start.Byte
	})
}

// near returns the place of the value at path, or of what is around it.
func (c *compiler) near(path string) hcl.Range {
	for path != "" {
		if rng, ok := c.places[path]; ok {
			return rng
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	return c.start()
}

package lang

import (
	"slices"

	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/inetd"
)

// usualLimit is the shipped limit of an entry for which nobody names one: as an inetd bounded
// it. What is internal and answers datagrams an inetd did not bound at all, and anybody can ask
// it in another one's name: that has the limit of every service, which bounds each source.
func usualLimit(e *inetd.Entry, s *policy.Service) string {
	switch {
	case s.Builtin != "" && e.Socket.Text == "dgram":
		return "default"
	case s.Wait && s.Builtin == "":
		return "wait"
	}
	return "classic"
}

// EntryLimit is the limit that an entry of inetd.conf has among the sources of a policy where
// nobody names one: a shipped one by its name, or that with the entry's own numbers. s is the
// service of the entry.
func EntryLimit(e *inetd.Entry, s *policy.Service) (spec limit.Spec, own bool) {
	c, of := newCompiler(shipped()), *s
	of.Limit = usualLimit(e, s)
	usual := of.Limit
	c.ownLimit(&inetdEntry{Entry: e}, &of, false)
	if spec, own = c.limits[of.Limit]; own {
		spec.Penalty.On = slices.Clone(spec.Penalty.On)
		return spec, true
	}
	return c.base.limits[usual], false
}

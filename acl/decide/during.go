package decide

import (
	"slices"

	"casemate/acl"
)

// matchTime tells whether it is the rule's time. One that is not known cannot free a
// client from a deny rule.
func (r *rule) matchTime(c *Client, zone *acl.Zone) bool {
	switch {
	case len(r.during) == 0:
		return true
	case c.At.Unix() <= 0:
		return r.verdict == acl.Deny
	}
	now := zone.Minute(c.At)
	return slices.ContainsFunc(r.during, func(s acl.Span) bool { return s[0] <= now && now < s[1] })
}

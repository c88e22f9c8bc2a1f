package decide

import (
	"slices"
	"time"

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
	now := Minute(zone, c.At)
	return slices.ContainsFunc(r.during, func(s acl.Span) bool { return s[0] <= now && now < s[1] })
}

// Minute is which minute of the week it is in z at t, which is after 1970.
func Minute(z *acl.Zone, t time.Time) int {
	at, offset := t.Unix(), int64(0)
	if z != nil {
		offset = z.Offset
		for i := 0; i < len(z.Changes) && z.Changes[i][0] <= at; i++ {
			offset = z.Changes[i][1]
		}
	}
	const thursday = 3 * 24 * 60 // 1970-01-01 was one
	return int((at+offset)/60+thursday) % acl.Week
}

package pace

import (
	"time"

	"casemate/acl/limit"
	"casemate/listener/journal"
)

// Class is what the end of a session counts as for a penalty. Most ends are no limit.Class.
func Class(reason string) limit.Class {
	if reason == journal.Silent {
		return limit.Slow
	}
	return limit.Class(reason)
}

// Bound is what a session ran into that ended for its client's sake, of its limit or of its service's idle time; Limit is "" for
// other ends.
func Bound(l *limit.Spec, service string, idle time.Duration, reason string) (b journal.Bound) {
	b = journal.Bound{Of: "limit." + l.Name, Count: 1}
	switch reason {
	case journal.Timeout:
		b.Limit, b.Value = "session", l.Session
	case journal.Idle:
		b.Of, b.Limit, b.Value = "service."+service, "idle", idle
	case journal.Silent:
		b.Limit, b.Value = "first_byte", l.FirstByte
	case journal.Slow:
		b.Limit, b.Value = "min_rate", l.MinRate
	}
	return b
}

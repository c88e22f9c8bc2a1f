package journal

// What of a service is recorded, where it is not everything.
const (
	OnlySessions = "sessions" // no refusal
	OnlyRefusals = "refusals" // and what went wrong: no client admitted, no session that came to an end in order
)

// Omits tells whether a record is one of those that a service at that level has
// not. Losses, failures, and what the service itself writes are none of them.
func Omits(level string, r Record) bool {
	switch r := r.(type) {
	case *Decision:
		return level == OnlySessions && r.Refused != "" || level == OnlyRefusals && r.Refused == ""
	case *Session:
		return level == OnlyRefusals && (r.Reason == Exit || r.Reason == Killed)
	}
	return false
}

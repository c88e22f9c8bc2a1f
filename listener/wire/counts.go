package wire

// Reasons are why a built-in refuses: the host rules, the limits, and what the
// worker itself holds. `casemate help log` says what each means.
var Reasons = [...]string{
	"acl", "penalty", "rate", "concurrency", "source-concurrency", "source-rate", "wider-concurrency", "wider-rate", "table-full", "early-drop",
	"sessions", "response-rate", "source-port", "source-address", "broadcast", "loopback-source", "own-address",
	"ban", "drain",
}

// Ends are how sessions of a built-in end that did not end by themselves (journal.Session.Reason).
var Ends = [...]string{"timeout", "idle", "silent", "slow", "stalled", "reset"}

// What Counts begins with; then comes one number for each of Reasons, and from CountEnded on one for each of Ends.
const (
	CountLive     = iota // clients that are there now
	CountPeak            // the most at a time
	CountAdmitted        // clients served, and datagrams answered or taken
	CountRefused
	CountEnded = CountRefused + len(Reasons)
)

// Counts is what the worker of a built-in has counted since it began.
type Counts [CountEnded + len(Ends)]uint64

// Package policytest runs unit tests of a policy: cases, each about clients who come to a
// service, and invariants, about all services. It decides with the code that casemated decides
// with (acl/decide and acl/limit/admission) on a clock of its own, so a test that passes says
// what the broker would do. It knows no HCL: package lang reads the files.
package policytest

import (
	"fmt"
	"net/netip"
	"time"

	"casemate/acl"
)

// Place is a range in a file; lines and columns count from 1.
type Place struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"end_line"`
	EndColumn int    `json:"end_column"`
}

// String is the file with the line, or the first and the last.
func (p Place) String() string {
	if p.EndLine > p.Line {
		return fmt.Sprintf("%s:%d-%d", p.File, p.Line, p.EndLine)
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Suite is what files of tests hold, in the order of the files and of their blocks.
type Suite struct {
	Cases      []Case
	Invariants []Invariant
}

// Case is one case block: who comes, and what is to become of it.
type Case struct {
	Name     string
	At       Place
	Services []string
	Visitor
	// Arrivals follow each other on one clock; without any, each client comes alone, as the
	// first of its day.
	Arrivals []Arrival
	Want     Want
}

// Visitor is all that decides about a client beside the policy.
type Visitor struct {
	// Clients come in turn.
	Clients []Client
	// Name is as explain.Query.Name: "" is that nobody asked.
	Name string
	// Local is the address the client connects to; the zero Addr is not known.
	Local netip.Addr
	// Network is that of the socket it comes to, as "udp"; "" is the service's first.
	Network string
	// Time is when the clock of the case begins; the zero Time is not known.
	Time time.Time
	// Load is the host's load of a minute, in hundredths.
	Load int
	// Draw is how each draw of early_drop ends, one of Draws; "" is not known.
	Draw string
}

// Draws are the ends of a draw of early_drop: the worst one for a client and the best.
var Draws = []string{"refuse", "admit"}

// Client is one client: an address in its one spelling, or who has none.
type Client struct {
	Text string // as written
	Addr netip.Addr
	Peer acl.Pattern // as explain.ParsePeer reads it
}

// Arrival is one arrive block: Count connections, evenly over Within, After a pause.
type Arrival struct {
	At Place
	Visitor
	Count         int
	After, Within time.Duration
	// Hold is how long an admitted session stays, Ends how it ends: "exit" or a limit.Class.
	Hold time.Duration
	Ends string
	Want Want
}

// EndsExit is the word of Arrival.Ends for an end that earns no penalty.
const EndsExit = "exit"

// The bounds of arrivals.
const (
	MaxCount  = 100_000            // of one arrive block
	MaxVisits = 2_000_000          // of all tests together
	MaxPause  = 7 * 24 * time.Hour // of after, within and hold
)

// Said is a value that a test wants, and where it is written.
type Said[T any] struct {
	Value T
	At    Place
}

// Want is what a test asserts; nil is not asserted.
type Want struct {
	Expect  *Said[acl.Verdict]
	Matched *Said[Match]
	// Reason are the words of the log for refusals: just these, and all of them, occur.
	Reason  *Said[[]string]
	Allowed *Said[int] // how many are admitted, at once or after they waited
	Waited  *Said[int] // how many wait in the queue
	// What an admitted client gets.
	User, Group, Profile, Limit *Said[string]
	Command                     *Said[[]string]    // the program and its arguments
	Env                         *Said[[][2]string] // variables that are set so, by its rule or its service
	Listen                      *Said[[]string]    // all addresses of the service
}

// Match names what decides by the rules: rule NAME or NUMBER (from 1) of an acl, "default", "none"
// of a service without acl, or "disabled".
type Match struct {
	ACL  string // "" is that of the service
	Rule string
}

// String is the match as it may be written.
func (m Match) String() string {
	if m.ACL == "" {
		return m.Rule
	}
	return "acl." + m.ACL + "." + m.Rule
}

// Invariant is one invariant block; exactly one of Never, Always and Condition is set.
type Invariant struct {
	Name          string
	At            Place
	Never, Always *Reach
	Condition     *Condition
	Message       string // error_message, "" for none
}

// Reach is what never and always are about: clients of networks, of services.
type Reach struct {
	At       Place
	Services []string
	Networks []netip.Prefix
}

// Condition is an expression over the compiled policy.
type Condition struct {
	At Place
	// Holds evaluates it. Where it is false, got says of what; an error is that it cannot be evaluated.
	Holds func() (ok bool, got string, err error)
}

package wire

import (
	"bytes"
	"encoding/json"
)

// Reasons are why a built-in refuses: the host rules, the limits, and what the
// worker itself holds. `casemate help log` says what each means.
var Reasons = [...]string{
	"acl", "penalty", "rate", "concurrency", "source-concurrency", "source-rate", "table-full",
	"sessions", "response-rate", "source-port", "source-address", "broadcast", "loopback-source", "own-address",
}

// What Counts begins with; then comes one number for each of Reasons.
const (
	CountLive     = iota // clients that are there now
	CountPeak            // the most at a time
	CountAdmitted        // clients served, and datagrams answered or taken
	CountRefused
)

// Counts is what the worker of a built-in has counted since it began.
type Counts [CountRefused + len(Reasons)]uint64

// countsLine is how a worker writes its counts, among its records.
type countsLine struct {
	Counts  []uint64 `json:"counts"`
	Service string   `json:"service"`
}

// Line makes the line, without its newline.
func (c *Counts) Line(service string) []byte {
	text, _ := json.Marshal(countsLine{c[:], service}) // numbers and a name: cannot fail
	return text
}

// CountsOf takes a line of a service's worker apart; ok is false for any other line.
func CountsOf(service string, line []byte) (c *Counts, ok bool) {
	var l countsLine
	if !bytes.HasPrefix(line, []byte(`{"counts":`)) || json.Unmarshal(line, &l) != nil || l.Service != service || len(l.Counts) != len(c) {
		return nil, false
	}
	return (*Counts)(l.Counts), true
}

package builtin

import (
	"bytes"
	"encoding/json"

	"casemate/listener/wire"
)

// countsLine is how a worker writes its counts, among its records.
type countsLine struct {
	Counts  []uint64 `json:"counts"`
	Service string   `json:"service"`
}

// countsText makes the line, without its newline.
func countsText(c *wire.Counts, service string) []byte {
	text, _ := json.Marshal(countsLine{c[:], service}) // numbers and a name: cannot fail
	return text
}

// CountsOf takes a line of a service's worker apart; ok is false for any other line.
func CountsOf(service string, line []byte) (c *wire.Counts, ok bool) {
	var l countsLine
	if !bytes.HasPrefix(line, []byte(`{"counts":`)) || json.Unmarshal(line, &l) != nil || l.Service != service || len(l.Counts) != len(c) {
		return nil, false
	}
	return (*wire.Counts)(l.Counts), true
}

package wire

import (
	"encoding/binary"

	"casemate/acl"
)

// Kind is the first byte of a message of a worker's link: of log, denials or names.
type Kind byte

// What the broker tells them, and what it hears.
const (
	Text    Kind = 'R' // session id u64, service name, with one descriptor: a session's stderr, to read
	Syslog  Kind = 'S' // likewise the socket that its /dev/log leads to, until that is shut down
	Records Kind = 'B' // likewise of a built-in, which writes records
	Audit   Kind = 'N' // with one descriptor: read the kernel's audit records
	Killed  Kind = 'K' // session id u64, pid u64, denied.Service as JSON: its filter has killed that program
	Filter  Kind = 'F' // 0 u64, denied.Service as JSON, with one descriptor: the listener of a service's filter
	Member  Kind = 'M' // session id u64 (0 = none), token u64: the answer to Whose
	Over    Kind = 'E' // session id u64: it has ended
	Ask     Kind = 'A' // question u64, an address (4 or 16 bytes, unmapped): what is the confirmed host name of that?
	Ping    Kind = 'P' // 0 u64, number u64: answer with Pong; where it is not 0, after all that is to be said of sessions that are over
	Last    Kind = 'Z' // read what there is, and end; from a denials worker: it has answered all that it took

	Done    Kind = 'D' // session id u64, which of the above u8: read to its end
	Pong    Kind = 'O' // number u64
	Lines   Kind = 'L' // whole lines for the log
	Counted Kind = 'C' // session id u64, counts u64 each: of a built-in's worker
	Whose   Kind = 'W' // token u64, pids u32 each: the session of the first that is its program or its init
	Named   Kind = 'H' // question u64, acl.NameState u8, the name, which only acl.Known has
)

// The largest messages of these links, and the most processes that one of them names.
const (
	MaxOrder  = 64 << 10
	MaxReport = 64 << 10
	MaxPIDs   = 8
)

// head is what all of them begin with: the kind and two numbers. A text follows, or more numbers.
const head = 1 + 8 + 8

func frame(k Kind, id, of uint64, text []byte) []byte {
	return append(le.AppendUint64(le.AppendUint64(append(make([]byte, 0, head+len(text)), byte(k)), id), of), text...)
}

// Order is a message to a worker.
type Order struct {
	Kind  Kind
	ID    uint64
	Token uint64 // of Member and Ping; of Killed, the pid
	Name  string
}

// forms are how many descriptors each comes with, and whether it has a text.
var forms = map[Kind]struct {
	fds  int
	text bool
}{Text: {1, true}, Syslog: {1, true}, Records: {1, true}, Filter: {1, true}, Killed: {0, true}, Ask: {0, true}, Audit: {1, false}, Member: {}, Over: {}, Ping: {}, Last: {}}

// Encode makes the message.
func (o Order) Encode() []byte { return frame(o.Kind, o.ID, o.Token, []byte(o.Name)) }

// DecodeOrder takes the message apart; fds is how many descriptors came with it.
func DecodeOrder(m []byte, fds int) (Order, error) {
	if len(m) >= head && len(m) <= MaxOrder {
		if f, ok := forms[Kind(m[0])]; ok && f.fds == fds && f.text == (len(m) > head) {
			return Order{Kind(m[0]), le.Uint64(m[1:]), le.Uint64(m[9:]), string(m[head:])}, nil
		}
	}
	return Order{}, malformed("order", m)
}

// Report is a message of a worker.
type Report struct {
	Kind    Kind
	ID      uint64 // of Whose, the token; of Named, the question; of Pong, the number
	Of      Kind   // of Done: Text, Syslog or Records
	PIDs    []int32
	LogText []byte // of Lines; in a decoded report, a part of its message
	Counts  *Counts
	Name    acl.Name
}

// Encode makes the message.
func (r Report) Encode() []byte {
	text, of := r.LogText, uint64(r.Of)
	switch r.Kind { // numbers are always encoded
	case Named:
		text, of = []byte(r.Name.Host), uint64(r.Name.State)
	case Whose:
		text, _ = binary.Append(nil, le, r.PIDs)
	case Counted:
		text, _ = binary.Append(nil, le, r.Counts[:])
	}
	return frame(r.Kind, r.ID, of, text)
}

// DecodeReport takes the message apart. Of lines it looks at the last byte alone.
func DecodeReport(m []byte) (Report, error) {
	if len(m) < head || len(m) > MaxReport || le.Uint64(m[9:]) > 0xff {
		return Report{}, malformed("report", m)
	}
	r, text, ok := Report{Kind: Kind(m[0]), ID: le.Uint64(m[1:]), Of: Kind(m[9])}, m[head:], false
	switch r.Kind {
	case Done, Pong, Last:
		ok = len(text) == 0
	case Lines:
		r.LogText, ok = text, len(text) > 0 && text[len(text)-1] == '\n'
	case Named:
		r.Of, r.Name = 0, acl.Name{State: acl.NameState(r.Of), Host: string(text)}
		known := r.Name.State == acl.Known
		ok = r.Name.State != acl.NotAsked && r.Name.State <= acl.NoAnswer && known == (len(text) > 0) && (!known || acl.HostText(r.Name.Host))
	case Whose:
		r.PIDs = make([]int32, len(text)/4)
		_, err := binary.Decode(text, le, r.PIDs)
		ok = err == nil && len(text)%4 == 0 && len(r.PIDs) > 0 && len(r.PIDs) <= MaxPIDs
	case Counted:
		r.Counts = new(Counts)
		_, err := binary.Decode(text, le, r.Counts[:])
		ok = err == nil && len(text) == binary.Size(r.Counts[:])
	}
	if !ok {
		return Report{}, malformed("report", m)
	}
	return r, nil
}

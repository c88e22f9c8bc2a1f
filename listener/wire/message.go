package wire

import (
	"encoding/binary"

	"casemate/acl/decide"
)

// Kind is the first byte of a message of a worker's link: of log, denials or names.
type Kind byte

// What the broker tells them, and what it hears.
const (
	Text    Kind = 'R' // session id u64, service name, with one descriptor: a session's stderr, to read
	Stdout  Kind = 'U' // likewise its stdout, where that is for the log
	Syslog  Kind = 'S' // likewise the socket that its /dev/log leads to, until that is shut down
	Records Kind = 'B' // likewise of a built-in, which writes records
	Audit   Kind = 'N' // with one descriptor: read the kernel's audit records
	Killed  Kind = 'K' // session id u64, pid u64, denied.Service as JSON: its filter has killed that program
	Filter  Kind = 'F' // 0 u64, denied.Service as JSON, with one descriptor: the listener of a service's filter
	Member  Kind = 'M' // session id u64 (0 = none), token u64: the answer to Whose
	Carry   Kind = 'T' // session id u64, with two descriptors: its client, and a socket to send a program's end of a new socket pair to
	Over    Kind = 'E' // session id u64, u64: it has ended; for a relay, its program has: 1 is that its client gets no more
	Attach  Kind = 'J' // with two descriptors: a listener, and a file of the filter that it is to have, which casemate-worker shield may give it
	Ask     Kind = 'A' // question u64, an address (4 or 16 bytes, unmapped): what is the confirmed host name of that?
	Ping    Kind = 'P' // 0 u64, number u64: answer with Pong; where it is not 0, after all that is to be said of sessions that are over
	Last    Kind = 'Z' // read what there is, and end; from a denials worker: it has answered all that it took

	Done    Kind = 'D' // session id u64, which of the above u8: read to its end; of Carry, both ways have ended
	Pong    Kind = 'O' // number u64
	Lines   Kind = 'L' // whole lines for the log
	Counted Kind = 'C' // session id u64, counts u64 each: of a built-in's worker
	Whose   Kind = 'W' // token u64, pids u32 each: the session of the first that is its program or its init
	Refused Kind = 'Y' // 0 u64, errno u8: an Attach could not be done
	Named   Kind = 'H' // question u64, decide.NameState u8, the name, which only decide.Known has
)

// The largest messages of these links, and the most processes that one of them names.
const (
	MaxOrder  = 64 << 10
	MaxReport = 64 << 10
	MaxPIDs   = 8
)

// Head is the size of what all of them begin with: the kind and two numbers. A text follows, or more numbers.
const Head = 1 + 8 + 8

// Frame makes a message.
func Frame(k Kind, id, of uint64, text []byte) []byte {
	return append(le.AppendUint64(le.AppendUint64(append(make([]byte, 0, Head+len(text)), byte(k)), id), of), text...)
}

// Order is a message to a worker.
type Order struct {
	Kind  Kind
	ID    uint64
	Token uint64 // of Member, Ping and Over; of Killed, the pid
	Name  string
}

// Encode makes the message, which far.DecodeOrder takes apart.
func (o Order) Encode() []byte { return Frame(o.Kind, o.ID, o.Token, []byte(o.Name)) }

// Report is a message of a worker.
type Report struct {
	Kind    Kind
	ID      uint64 // of Whose, the token; of Named, the question; of Pong, the number
	Of      Kind   // of Refused, the errno; of Done: Text, Stdout, Syslog, Records or Carry
	PIDs    []int32
	LogText []byte // of Lines; in a decoded report, a part of its message
	Counts  *Counts
	Name    decide.Name
}

// DecodeReport takes the message of far.EncodeReport apart. Of lines it looks at the last byte alone.
func DecodeReport(m []byte) (Report, error) {
	if len(m) < Head || len(m) > MaxReport || le.Uint64(m[9:]) > 0xff {
		return Report{}, Malformed("report", m)
	}
	r, text, ok := Report{Kind: Kind(m[0]), ID: le.Uint64(m[1:]), Of: Kind(m[9])}, m[Head:], false
	switch r.Kind {
	case Done, Pong, Last, Refused:
		ok = len(text) == 0
	case Lines:
		r.LogText, ok = text, len(text) > 0 && text[len(text)-1] == '\n'
	case Named:
		r.Of, r.Name = 0, decide.Name{State: decide.NameState(r.Of), Host: string(text)}
		known := r.Name.State == decide.Known
		ok = r.Name.State != decide.NotAsked && r.Name.State <= decide.NoAnswer && known == (len(text) > 0) && (!known || decide.HostText(r.Name.Host))
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
		return Report{}, Malformed("report", m)
	}
	return r, nil
}

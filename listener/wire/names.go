package wire

import (
	"net/netip"

	"casemate/acl"
)

// The largest messages of the names worker's link.
const (
	MaxQuestion = 8 + 16
	MaxAnswer   = 8 + 2 + acl.MaxHost
)

// Question asks the names worker for the confirmed host name of a peer: its id
// (u64) and the address (4 or 16 bytes).
type Question struct {
	ID   uint64
	Addr netip.Addr // unmapped and without zone
}

// Encode makes the message.
func (q Question) Encode() []byte {
	return append(le.AppendUint64(make([]byte, 0, MaxQuestion), q.ID), q.Addr.AsSlice()...)
}

// DecodeQuestion takes the message apart.
func DecodeQuestion(m []byte) (Question, error) {
	if len(m) != 8+4 && len(m) != 8+16 {
		return Question{}, malformed("question", m)
	}
	addr, _ := netip.AddrFromSlice(m[8:])
	if addr.Is4In6() {
		return Question{}, malformed("question", m)
	}
	return Question{le.Uint64(m), addr}, nil
}

// Answer is the names worker's: the question's id (u64), the state (a byte), the
// length of the name (a byte) and the name, which only acl.Known has.
type Answer struct {
	ID   uint64
	Name acl.Name
}

// states are the states of an answer by their byte.
var states = [...]acl.NameState{acl.Known, acl.Unknown, acl.Paranoid, acl.NoAnswer}

// Encode makes the message. A state that no answer has is sent as no answer.
func (a Answer) Encode() []byte {
	state := byte(len(states) - 1)
	for i, s := range states {
		if s == a.Name.State {
			state = byte(i)
		}
	}
	m := append(le.AppendUint64(make([]byte, 0, MaxAnswer), a.ID), state, byte(len(a.Name.Host)))
	return append(m, a.Name.Host...)
}

// DecodeAnswer takes the message apart.
func DecodeAnswer(m []byte) (Answer, error) {
	if len(m) < 10 || len(m) != 10+int(m[9]) || int(m[8]) >= len(states) {
		return Answer{}, malformed("answer", m)
	}
	a := Answer{le.Uint64(m), acl.Name{State: states[m[8]], Host: string(m[10:])}}
	if known := a.Name.State == acl.Known; known != (a.Name.Host != "") || known && !acl.HostText(a.Name.Host) {
		return Answer{}, malformed("answer", m)
	}
	return a, nil
}

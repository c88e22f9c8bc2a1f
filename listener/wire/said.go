package wire

import (
	"crypto/sha256"
	"encoding/json"
	"syscall"

	"casemate/acl"
	"casemate/acl/ban"
)

// SaidAt is where in the file of a built-in worker that begins which changes while it runs: what an operator has said of its
// service. What it is told once, and that with a newline behind it, lies before.
const SaidAt = 32 << 20

// The parts of what is said: a version, which is written last and read first, how long the text is, its sum and that of the version, and the
// text, Said as JSON. A file that is not so long has version 0: nothing.
const (
	SaidVersion = 8
	SaidHead    = SaidVersion + 8 + sha256.Size
	MaxSaid     = 32 << 20 // bytes of the text
)

// Said is what an operator has said of one service.
type Said struct {
	ban.State
	// Narrowed numbers the last load by which sessions are to end whose client Admits does not, as far as that is known without a name: each
	// session is judged once by each, and null admits nobody. 0 is none.
	Narrowed uint64    `json:"narrowed,omitempty"`
	Admits   *acl.List `json:"admits,omitempty"`
	// Leave is that signal, for a worker that may be too young to hear it. Who comes before it has seen this is held to Admits.
	Leave bool `json:"leave,omitempty"`
}

// Shun tells the built-in worker to end the sessions of clients that are banned with ban.Ban.Ends, or that Said.Admits does not where that is Narrowed.
const Shun = syscall.SIGUSR2

// EncodeSaid makes it, which far.DecodeSaid takes apart.
func EncodeSaid(version uint64, s *Said) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	out := le.AppendUint64(le.AppendUint64(nil, version), uint64(len(text)))
	sum := SumSaid(version, text)
	return append(append(out, sum[:]...), text...), nil
}

// SumSaid tells a text that is half written from one that is whole.
func SumSaid(version uint64, text []byte) [sha256.Size]byte {
	return sha256.Sum256(append(le.AppendUint64(nil, version), text...))
}

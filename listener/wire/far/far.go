// Package far is the workers' end of the messages of package wire: what the broker
// encodes is decoded here, and what it decodes is encoded here.
package far

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"casemate/listener/wire"
)

var le = binary.LittleEndian

// forms are how many descriptors each order comes with, and whether it has a text.
var forms = map[wire.Kind]struct {
	fds  int
	text bool
}{
	wire.Text: {1, true}, wire.Stdout: {1, true}, wire.Syslog: {1, true}, wire.Records: {1, true}, wire.Filter: {1, true}, wire.Killed: {0, true}, wire.Ask: {0, true},
	wire.Audit: {1, false}, wire.Attach: {2, false}, wire.Carry: {2, false}, wire.Member: {}, wire.Over: {}, wire.Ping: {}, wire.Last: {},
}

// DecodeOrder takes an order apart; fds is how many descriptors came with it.
func DecodeOrder(m []byte, fds int) (wire.Order, error) {
	if len(m) >= wire.Head && len(m) <= wire.MaxOrder {
		if f, ok := forms[wire.Kind(m[0])]; ok && f.fds == fds && f.text == (len(m) > wire.Head) {
			return wire.Order{Kind: wire.Kind(m[0]), ID: le.Uint64(m[1:]), Token: le.Uint64(m[9:]), Name: string(m[wire.Head:])}, nil
		}
	}
	return wire.Order{}, wire.Malformed("order", m)
}

// EncodeReport makes the message of a report.
func EncodeReport(r wire.Report) []byte {
	text, of := r.LogText, uint64(r.Of)
	switch r.Kind { // numbers are always encoded
	case wire.Named:
		text, of = []byte(r.Name.Host), uint64(r.Name.State)
	case wire.Whose:
		text, _ = binary.Append(nil, le, r.PIDs)
	case wire.Counted:
		text, _ = binary.Append(nil, le, r.Counts[:])
	}
	return wire.Frame(r.Kind, r.ID, of, text)
}

// DecodeBuiltin reads the file of a built-in worker strictly: unknown fields and a second
// value are errors. What its values mean is for the worker to judge.
func DecodeBuiltin(r io.Reader) (*wire.Builtin, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	var c wire.Builtin
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("decode the configuration: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode the configuration: data after its end")
	}
	return &c, nil
}

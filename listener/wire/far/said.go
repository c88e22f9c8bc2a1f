package far

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"casemate/listener/wire"
)

// ErrTorn is DecodeSaid's while another version is being written: it is whole in a moment.
var ErrTorn = errors.New("what an operator has said is half written")

// DecodeSaid reads what lies at wire.SaidAt of a file; nil where the version is still known.
func DecodeSaid(r io.ReaderAt, known uint64) (version uint64, s *wire.Said, err error) {
	var head [wire.SaidHead]byte
	if n, err := r.ReadAt(head[:wire.SaidVersion], wire.SaidAt); n == 0 && errors.Is(err, io.EOF) {
		return known, nil, nil // nothing was ever said
	} else if err != nil {
		return 0, nil, fmt.Errorf("read what an operator has said: %w", err)
	}
	if version = le.Uint64(head[:]); version == known {
		return known, nil, nil
	}
	if _, err := r.ReadAt(head[:], wire.SaidAt); err != nil {
		return 0, nil, ErrTorn
	}
	length := le.Uint64(head[wire.SaidVersion:])
	if length > wire.MaxSaid {
		return 0, nil, ErrTorn
	}
	text := make([]byte, length)
	if _, err := r.ReadAt(text, wire.SaidAt+wire.SaidHead); err != nil {
		return 0, nil, ErrTorn
	}
	version = le.Uint64(head[:])
	if sum := wire.SumSaid(version, text); !bytes.Equal(sum[:], head[wire.SaidVersion+8:]) {
		return 0, nil, ErrTorn
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	s = new(wire.Said)
	if err := dec.Decode(s); err != nil {
		return 0, nil, fmt.Errorf("decode what an operator has said: %w", err)
	}
	if err := s.Check(); err != nil {
		return 0, nil, fmt.Errorf("what an operator has said: %w", err)
	}
	return version, s, nil
}

package launch

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"casemate/sandbox/seccomp/program"
)

// Request is what casemated asks.
type Request struct {
	FormatVersion int             `json:"format_version"`
	Shapes        []program.Shape `json:"shapes"`
}

// Serve answers one Request with its program.Response.
func Serve(in io.Reader, out io.Writer) error {
	var q Request
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if q.FormatVersion != program.Format {
		return fmt.Errorf("request has format_version %d, expected %d: casemated is of another version", q.FormatVersion, program.Format)
	}
	return json.NewEncoder(out).Encode(program.Response{FormatVersion: program.Format, Filters: all(q.Shapes)})
}

// unpack reads what Words.Pack writes.
func unpack(b []byte) (words program.Words, err error) {
	for len(b) > 0 {
		rule := make([]uint32, b[0])
		n, err := binary.Decode(b[1:], binary.NativeEndian, rule)
		if err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
		words, b = append(words, rule), b[1+n:]
	}
	return words, nil
}

// all compiles every shape, on each processor one.
func all(shapes []program.Shape) []program.Filter {
	out := make([]program.Filter, len(shapes))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(shapes); i = next.Add(1) - 1 {
				out[i] = Compile(shapes[i])
			}
		})
	}
	wg.Wait()
	return out
}

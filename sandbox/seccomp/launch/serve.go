package launch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"casemate/sandbox/seccomp/program"
)

// Serve answers one program.Request with its program.Response.
func Serve(in io.Reader, out io.Writer) error {
	var q program.Request
	if err := decode(in, &q); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if q.FormatVersion != program.Format {
		return fmt.Errorf("request has format_version %d, expected %d: casemated is of another version", q.FormatVersion, program.Format)
	}
	return json.NewEncoder(out).Encode(program.Response{FormatVersion: program.Format, Filters: all(q.Shapes)})
}

func decode(in io.Reader, v any) error {
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// all compiles every shape, on each processor one.
func all(shapes []json.RawMessage) []program.Filter {
	out := make([]program.Filter, len(shapes))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(shapes); i = next.Add(1) - 1 {
				var s program.Shape
				if err := decode(bytes.NewReader(shapes[i]), &s); err != nil {
					out[i].Error = err.Error()
				} else {
					out[i] = Compile(s)
				}
			}
		})
	}
	wg.Wait()
	return out
}

package launch

import (
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

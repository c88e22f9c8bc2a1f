package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Resource is one limit on what a service uses up: a row of ResourceRows.
type Resource int

// The resources, in the order of their rows. A new one is a name here and a row.
const (
	Memory Resource = iota
	Processes
	CPU
	AddressSpace
	Data
	CPUTime
	FileSize
	OpenFiles
	Tasks
	Stack
	Locked
	resourceCount
)

// Unit is how a limit is written and counted.
type Unit int

// The units. A Share is in thousandths of one processor (1000 = one whole).
const (
	Count Unit = iota
	Bytes
	Seconds
	Share
)

// ResourceRow is all there is to know of one resource.
type ResourceRow struct {
	// Name is the attribute in the policy language and in the compiled policy.
	Name string
	Unit Unit
	// Min and Max bound what a policy may set; 0 is no limit.
	Min, Max int64
	// Example is how it may be written.
	Example string
	// Doc says in a few words what it limits.
	Doc string
	// Group says that cgroup v2 counts it for the whole service; the others are of
	// each process, and Rlimit their number of getrlimit(2).
	Group  bool
	Rlimit int
}

// ResourceRows are the rows, by Resource.
var ResourceRows = [resourceCount]ResourceRow{
	Memory:       {Name: "memory", Unit: Bytes, Min: 1 << 20, Max: 1 << 50, Example: "64MiB", Group: true, Doc: "of the service's processes together (cgroup)"},
	Processes:    {Name: "processes", Unit: Count, Min: 1, Max: 1 << 22, Example: "8", Group: true, Doc: "and threads of the service together (cgroup)"},
	CPU:          {Name: "cpu", Unit: Share, Min: 10, Max: 4_096_000, Example: "50%", Group: true, Doc: "of one processor, of the service together (cgroup)"},
	AddressSpace: {Name: "address_space", Unit: Bytes, Min: 1 << 20, Max: 1 << 50, Example: "256MiB", Rlimit: unix.RLIMIT_AS, Doc: "of each process"},
	Data:         {Name: "data", Unit: Bytes, Min: 1 << 20, Max: 1 << 50, Example: "64MiB", Rlimit: unix.RLIMIT_DATA, Doc: "of each process: what it may write and shares with nobody"},
	CPUTime:      {Name: "cpu_time", Unit: Seconds, Min: 1, Max: 1 << 31, Example: "10s", Rlimit: unix.RLIMIT_CPU, Doc: "of processor, of each process"},
	FileSize:     {Name: "file_size", Unit: Bytes, Min: 1, Max: 1 << 50, Example: "1MiB", Rlimit: unix.RLIMIT_FSIZE, Doc: "of a file that it writes"},
	OpenFiles:    {Name: "open_files", Unit: Count, Min: minOpenFiles, Max: 1 << 20, Example: "64", Rlimit: unix.RLIMIT_NOFILE, Doc: "descriptors of each process"},
	Tasks:        {Name: "tasks", Unit: Count, Min: 1, Max: 1 << 22, Example: "32", Rlimit: unix.RLIMIT_NPROC, Doc: "of a connection; with a fixed user, times concurrent for all of the user's"},
	Stack:        {Name: "stack", Unit: Bytes, Min: 128 << 10, Max: 1 << 40, Example: "8MiB", Rlimit: unix.RLIMIT_STACK, Doc: "of each process"},
	Locked:       {Name: "locked", Unit: Bytes, Min: 4096, Max: 1 << 50, Example: "64KiB", Rlimit: unix.RLIMIT_MEMLOCK, Doc: "memory that is never swapped out, of each process"},
}

// Resources are a profile's limits, by Resource; 0 is no limit.
type Resources [resourceCount]int64

// MarshalJSON writes an object with every resource, in the order of the rows.
func (r Resources) MarshalJSON() ([]byte, error) {
	var b []byte
	for i, row := range ResourceRows {
		b = append(b, ',')
		b = strconv.AppendQuote(b, row.Name)
		b = append(b, ':')
		b = strconv.AppendInt(b, r[i], 10)
	}
	b[0] = '{'
	return append(b, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes; a name that is no resource is an error.
func (r *Resources) UnmarshalJSON(text []byte) error {
	var m map[string]int64
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&m); err != nil {
		return err
	}
	*r = Resources{}
	for name, n := range m {
		i := slices.IndexFunc(ResourceRows[:], func(row ResourceRow) bool { return row.Name == name })
		if i < 0 {
			return fmt.Errorf("resource %q is not known", name)
		}
		r[i] = n
	}
	return nil
}

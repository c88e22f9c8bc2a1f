package sandbox

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"
)

// Resource is one limit on what a service uses up: a row of ResourceRows.
type Resource int

// The resources, in the order of their rows. A new one is a name here, a row, and one in package resource.
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

// ResourceRow is all that whoever sets one limit knows of it; how it is written says package resource.
type ResourceRow struct {
	// Name is the attribute in the policy language and in the compiled policy.
	Name string
	// Min and Max bound what a policy may set, in the unit of resource.Rows; 0 is no limit.
	Min, Max int64
	// Group says that cgroup v2 counts it for the whole service; the others are of
	// each process, and Rlimit their number of getrlimit(2).
	Group  bool
	Rlimit int
}

// ResourceRows are the rows, by Resource.
var ResourceRows = [resourceCount]ResourceRow{
	Memory:       {Name: "memory", Min: 1 << 20, Max: 1 << 50, Group: true},
	Processes:    {Name: "processes", Min: 1, Max: 1 << 22, Group: true},
	CPU:          {Name: "cpu", Min: 10, Max: 4_096_000, Group: true},
	AddressSpace: {Name: "address_space", Min: 1 << 20, Max: 1 << 50, Rlimit: unix.RLIMIT_AS},
	Data:         {Name: "data", Min: 1 << 20, Max: 1 << 50, Rlimit: unix.RLIMIT_DATA},
	CPUTime:      {Name: "cpu_time", Min: 1, Max: 1 << 31, Rlimit: unix.RLIMIT_CPU},
	FileSize:     {Name: "file_size", Min: 1, Max: 1 << 50, Rlimit: unix.RLIMIT_FSIZE},
	OpenFiles:    {Name: "open_files", Min: minOpenFiles, Max: 1 << 20, Rlimit: unix.RLIMIT_NOFILE},
	Tasks:        {Name: "tasks", Min: 1, Max: 1 << 22, Rlimit: unix.RLIMIT_NPROC},
	Stack:        {Name: "stack", Min: 128 << 10, Max: 1 << 40, Rlimit: unix.RLIMIT_STACK},
	Locked:       {Name: "locked", Min: 4096, Max: 1 << 50, Rlimit: unix.RLIMIT_MEMLOCK},
}

// Resources are a profile's limits, by Resource; 0 is no limit.
type Resources [resourceCount]int64

// MarshalJSON writes an object with every resource, in the order of the rows.
func (r Resources) MarshalJSON() ([]byte, error) {
	var b []byte
	for i, row := range ResourceRows {
		b = fmt.Appendf(b, ",%q:%d", row.Name, r[i])
	}
	b[0] = '{'
	return append(b, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes; a name that is no resource is an error.
func (r *Resources) UnmarshalJSON(text []byte) error {
	var m map[string]int64
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	for i, row := range ResourceRows {
		r[i] = m[row.Name]
		delete(m, row.Name)
	}
	for name := range m {
		return fmt.Errorf("resource %q is not known", name)
	}
	return nil
}

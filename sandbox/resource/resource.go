// Package resource says how a policy writes a limit of sandbox.ResourceRows, and what it is for.
package resource

import "casemate/sandbox"

// Unit is how a limit is written and counted.
type Unit int

// The units. A Share is in thousandths of one processor (1000 = one whole).
const (
	Count Unit = iota
	Bytes
	Seconds
	Share
)

// Row is all of that: an example, and in a few words what it limits.
type Row struct {
	Unit    Unit
	Example string
	Doc     string
}

// Rows are the rows, by sandbox.Resource.
var Rows = [...]Row{
	sandbox.Memory:       {Bytes, "64MiB", "of the service's processes together (cgroup)"},
	sandbox.Processes:    {Count, "8", "and threads of the service together (cgroup)"},
	sandbox.CPU:          {Share, "50%", "of one processor, of the service together (cgroup)"},
	sandbox.AddressSpace: {Bytes, "256MiB", "of each process"},
	sandbox.Data:         {Bytes, "64MiB", "of each process: what it may write and shares with nobody"},
	sandbox.CPUTime:      {Seconds, "10s", "of processor, of each process"},
	sandbox.FileSize:     {Bytes, "1MiB", "of a file that it writes"},
	sandbox.OpenFiles:    {Count, "64", "descriptors of each process"},
	sandbox.Tasks:        {Count, "32", "of a connection; with a fixed user, times concurrent for all of the user's"},
	sandbox.Stack:        {Bytes, "8MiB", "of each process"},
	sandbox.Locked:       {Bytes, "64KiB", "memory that is never swapped out, of each process"},
}

// Every resource has a row.
var _ = [len(sandbox.ResourceRows)]Row(Rows)

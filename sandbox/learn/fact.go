// Package learn makes sense of what sessions were seen to do: which of their calls
// were refused and by what, which of those the program minded, and which profile
// has all that they need. It is pure: who observes, and who asks the host, is elsewhere.
package learn

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"casemate/sandbox/seccomp"
)

// Fact is one kind of system call that one process made: all calls that are alike in
// every field above Count.
type Fact struct {
	Call string // its name, or its number where it has none
	// Args are the arguments that rules of the groups compare, and their values.
	Args []seccomp.Arg
	// Path and To are what the call names, absolute and as the program sees them; Root is what it takes for "/".
	Path, To, Root string
	Addr           string // a socket's, as "inet 127.0.0.1:80" or "unix /run/x"
	Err            syscall.Errno
	Killed         bool // it did not come back: the filter killed the process
	PID            int  // of the process, on the host
	Program        string

	Count int
	// First and Last number the calls of the process, from 1: the first and the last of these.
	First, Last int
	At          time.Time // of the first
}

// Rule is the call as the filter sees it.
func (f *Fact) Rule() seccomp.Rule { return seccomp.Rule{Name: f.Call, Args: f.Args} }

// Failed tells whether the call was refused or found nothing.
func (f *Fact) Failed() bool { return f.Err != 0 || f.Killed }

// Host is a path of the fact on the host, where the program has changed its root.
func (f *Fact) Host(path string) string {
	if f.Root == "" || f.Root == "/" || path == "" {
		return path
	}
	return strings.TrimSuffix(f.Root+path, "/")
}

// End is how one process of a session ended, or changed into another program.
type End struct {
	PID     int
	Program string
	Calls   int // it had made
	Status  int // of exit
	Signal  syscall.Signal
	Exec    bool // it became another program; Status and Signal say nothing
}

// Bad tells whether a process ended in a way that says that something went wrong.
func (e *End) Bad() bool { return !e.Exec && (e.Status != 0 || e.Signal != 0) }

// Complaint is what a process wrote to descriptor 2, its beginning.
type Complaint struct {
	PID, Call int // Call numbers the process's calls
	Text      string
}

// Session is what the processes of one connection were seen to do.
type Session struct {
	PID        int // of its first process, on the host
	Program    string
	Started    time.Time
	Took       time.Duration
	Facts      []Fact
	Ends       []End // of those that are not bad, one of each program; and its first process's
	Complaints []Complaint
	LeftOut    int // calls, and ends of processes, that were too many to keep
	Processes  int
}

// Compared gives the arguments of a call that rules of some group compare, sorted.
func Compared(call string) []uint { return compared()[call] }

var compared = sync.OnceValue(func() map[string][]uint {
	m := map[string][]uint{}
	for _, g := range seccomp.Groups() {
		for _, r := range seccomp.GroupRules(g) {
			for _, a := range r.Args {
				if !slices.Contains(m[r.Name], a.Index) {
					m[r.Name] = append(m[r.Name], a.Index)
				}
			}
		}
	}
	for _, indexes := range m {
		slices.Sort(indexes)
	}
	return m
})

// Options of prctl(2) whose second argument a rule compares; of others it may be a pointer.
var prctlPairs = []uint32{1 /* PR_SET_PDEATHSIG */, 4 /* PR_SET_DUMPABLE */, 0x53564d41 /* PR_SET_VMA */}

// Args gives the arguments of a call that a profile can speak of, with their values.
func Args(call string, raw [6]uint64) []seccomp.Arg {
	var out []seccomp.Arg
	for _, i := range Compared(call) {
		if speaks(call, i, raw) {
			out = append(out, seccomp.Arg{Index: i, Value: uint32(raw[i])})
		}
	}
	return out
}

// Alike gives the arguments of a call without what no profile can speak of: calls that
// are equal in it are one fact.
func Alike(call string, raw [6]uint64) (out [6]uint64) {
	for _, i := range Compared(call) {
		if speaks(call, i, raw) {
			out[i] = uint64(uint32(raw[i]))
		}
	}
	return out
}

// speaks tells whether an argument that rules compare says anything.
func speaks(call string, index uint, raw [6]uint64) bool {
	if a := access[call]; a.mode > 0 && a.mode == int(index) && raw[a.flags]&(oCreat|oTmpfile) == 0 {
		return false // the kernel does not look at it
	}
	return call != "prctl" || index != 1 || slices.Contains(prctlPairs, uint32(raw[0]))
}

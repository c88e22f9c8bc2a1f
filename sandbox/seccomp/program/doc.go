// Package program is all of seccomp that runs as root: what the filter of a sandbox
// depends on (Shape), the answer of the unprivileged process that compiles it
// (casemate-filter), which is checked here and has its blanks filled in, and the
// calls that casemated takes from itself.
package program

import "encoding/binary"

// Action is what happens to a known call that is not allowed.
type Action string

// The actions, each letting through more than the one before.
const (
	Kill  Action = "kill"  // the process dies with SIGSYS
	Errno Action = "errno" // the call fails with EPERM
)

// Words are rules as a compiled policy holds them: of each the number of its call,
// then index, mask and value of each argument. Package filter reads them.
type Words [][]uint32

// Pack gives them in fewer bytes, for casemate-filter: of each how many words it is, and those.
func (w Words) Pack() (out []byte) {
	for _, rule := range w {
		out = append(out, byte(len(rule)))
		for _, n := range rule {
			out = binary.NativeEndian.AppendUint32(out, n)
		}
	}
	return out
}

// FDCount is how many descriptor numbers the zygote has for itself, above those of the service (launch.FDCtl).
const FDCount = 7

// Blank is the first of the numbers that stand in a program for those which differ between
// services of one profile: FDCount descriptors, then the user. No
// descriptor, no uid, no flag is as high.
const Blank = 0x7a5e0000

// Shape is all that the filter of a sandbox depends on.
type Shape struct {
	// Rules are the profile's own, resolved. Names are calls and groups beside
	// them, as the broker's own helpers name theirs.
	Rules []byte   `json:"rules,omitempty"` // Words.Pack
	Names []string `json:"names,omitempty"`
	// Deny are names that nothing may be added of for the sake of a listening socket.
	Deny        []string `json:"deny,omitempty"`
	OnViolation Action   `json:"on_violation"`
	Seal        bool     `json:"seal,omitempty"`

	// ABI is the kernel's of Landlock, 0 for none; BestEffort are words for what may be missing.
	ABI        int      `json:"abi"`
	BestEffort []string `json:"best_effort,omitempty"`
	Lacks      []string `json:"lacks,omitempty"` // what of the processors the profile keeps to itself and this kernel has no control for
	// Bounded says that the address space and the stack are no larger than what a
	// program that executes once may have.
	Bounded bool `json:"bounded,omitempty"`
	// The network: the host's, any port of its lists, and whether a listening socket may send.
	Host, AnyConnect, AnyBind, Sends bool
	// A network of each session's own, and a client whose socket a relay has.
	Private, Relay bool
	// What is handed over: a listening socket, a unix datagram socket, a /dev/log if Landlock can hold it.
	Listens, UnixDatagrams, Log bool
	// What a launch does: its mounts, in a namespace that was made ahead, a late change of directory, a limit on the
	// processor, an init, capabilities to keep, no pid namespace of its own, a core of its own.
	Proc, Scratch, Pty, State, Ahead, Chdir, CPU, Init, Caps, HostPIDs, OwnCore bool

	// CloneFlags are those of a launch, but for a namespace of ipc objects.
	CloneFlags uint32 `json:"clone_flags"`
	// Leases are a number and a mask for whom it becomes, without them one user. That and the
	// descriptors of the launch are filled in, so that services of one profile share a shape.
	Leases *[2]uint32 `json:"leases,omitempty"`
}

// Filter is what a Shape comes to.
type Filter struct {
	// Program is what the zygote installs, Seal what each session installs on top.
	Program []byte `json:"program,omitempty"`
	Seal    []byte `json:"seal,omitempty"`
	// IPC and Queues say that the service can make System V objects or message queues, and
	// the latter; Code that it can have memory that it writes and executes; Watches that it can watch files.
	IPC     bool `json:"ipc,omitempty"`
	Queues  bool `json:"queues,omitempty"`
	Code    bool `json:"code,omitempty"`
	Watches bool `json:"watches,omitempty"`
	// Losses are what this kernel cannot enforce and best_effort lets go, each with the
	// reason; Refused is what it may not let go, with what to write.
	Losses  []string `json:"losses,omitempty"`
	Refused string   `json:"refused,omitempty"`
	// Error is why there is none.
	Error string `json:"error,omitempty"`
}

// Format is the format_version of what is asked and answered.
const Format = 1

// Response is the whole answer to the Shapes that casemated writes to casemate-filter, as JSON until the end
// of the stream: {"format_version":1,"shapes":[...]}.
type Response struct {
	FormatVersion int      `json:"format_version"`
	Filters       []Filter `json:"filters"`
}

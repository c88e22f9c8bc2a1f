// Package hands is what the broker sees of root: package far asks root's process, and tests stand in for it.
package hands

import (
	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/lease"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/input"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// Hands does for the broker what takes root's rights. What goes to and fro is plain data and descriptors. Methods that block are called off the loop, unless they say otherwise.
type Hands interface {
	// Compile has the policy compiled, or checks the document of a digest that ran before. It blocks.
	Compile(ran string) (*policy.Document, []policy.Diagnostic, error)
	// Forget has the next Compile ask the compiler, whatever there is to compile: what it gave last is not in force.
	Forget()
	// InForce is told, on the loop, which document is in force, and why.
	InForce(*policy.Document, warden.Cause)
	// Past writes down what is in force, and lists the documents that ran, the oldest first, as far as they are kept. It blocks.
	Past() ([]warden.Kept, error)
	// Recall gives the document of a digest among them. It blocks.
	Recall(digest string) ([]input.File, error)
	// Site begins to look at the host for a document that Compile gave.
	Site(*policy.Document) Ground
	// Plan gives each of the jobs its plan, unless that is at fault, and all plans their filters. It blocks.
	Plan(...*warden.Job) error
	// Prepare makes the sandbox of a job with a plan. It blocks.
	Prepare(*warden.Job) (Cell, error)
	// Spawn starts a cell's zygote, which has a record from then on. It blocks.
	Spawn(Cell) (Starter, error)
	// Retire ends a zygote that has nothing to lose; one that will not end is killed. It blocks.
	Retire(Starter)
	// Helper is the role of casemate-worker of that name.
	Helper(name string) Role
	// Settle takes what a zygote has answered, and calls done: with true the program runs, and ended will be
	// called; what has failed is reaped. An error is warden.ErrForged. text is what a broker after this one has to
	// know of a program that runs, at most warden.MaxText bytes. Where that takes time, done is told that the program runs before it is
	// known, and ended of one that is Forged.
	Settle(r zygote.Reply, text func(pid int) []byte, ended func(warden.Exit), done func(runs bool, err error))
	// Left are the programs that a broker before this one has left, and Adopt goes on with one: with true it runs, and
	// ended will be called. Left blocks.
	Left() ([]warden.Survivor, error)
	Adopt(pid int, ended func(warden.Exit), done func(bool))
	// Kill signals a child that has a record, and no other process.
	Kill(pid int, sig unix.Signal) bool
	// Bury reaps a zygote or a helper that is let go when it has ended.
	Bury(pid int)
	// End kills and reaps a child without a record.
	End(pid int)
	// Sweep looks for children that nobody knows, and ends them.
	Sweep()
	// Leave is told, on the loop, that sessions may outlive casemated.
	Leave() error
	// Leases has the uids to lease. They belong to the loop.
	Leases() *lease.Leases
	// OpenAll is Open of many, in their order. It blocks.
	OpenAll([]listener.Spec) []Opened
	// Open opens a socket that a document lists, or that a service manager has opened. It is called on the loop, too.
	Open(listener.Spec) (*inbound.Socket, error)
	// Audit gives a socket that receives the kernel's audit records.
	Audit() (int, error)
}

// Opened is a socket, or why there is none.
type Opened struct {
	Socket *inbound.Socket
	Err    error
}

// Ground is a document on this host, as the host was when it was looked at: each file once.
// One goroutine at a time uses it, off the loop. All of it blocks.
type Ground interface {
	// All says that all services will be asked about, in their order.
	All()
	// Read reads the host's users and groups, once.
	Read() error
	// Find looks up what the service names on this host, after Read. With an error what was found before is there.
	Find(*policy.Service) (warden.Found, error)
	// Stamp differs when what the service is made from has become another one.
	Stamp(*policy.Service) string
	// Close gives back what the sandboxes that were made have in common.
	Close()
}

// Role is what casemate-worker does for casemated itself, in a sandbox of its own. One goroutine at
// a time uses it, off the loop.
type Role interface {
	// Stamp differs when its program or a file of its profile has become another one. It blocks.
	Stamp() string
	// Made is the Stamp of what it was started from last.
	Made() string
	// Start starts it as a leased uid, at the other end of the socket fd. It blocks. losses says, once for a
	// sandbox, what of it this host cannot give.
	Start() (pid, fd int, losses []string, err error)
}

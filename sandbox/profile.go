// Package sandbox turns a profile into a confined process: a Plan is made from
// it (pure), prepared once for each service, and started for each connection.
//
// Only the broker calls Prepare and Start, with root; everybody may build and
// print a Plan.
package sandbox

import (
	"errors"
	"slices"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

// Profile is one profile block with its base already merged in: plain data,
// every value explicit. Sizes are in bytes; 0 means "no limit of this kind".
type Profile struct {
	Name string `json:"name"`
	// Base is the chain of profiles it was made from, nearest first.
	Base []string `json:"base,omitempty"`
	// Widens names the layers (see valid.Widenable) in which the profile grants more than its base.
	Widens []string `json:"widens,omitempty"`
	// Because is the reason that root, capabilities and host network need.
	Because string `json:"because,omitempty"`
	// BestEffort names the layers (see launch.Layers) that may be missing on this host.
	BestEffort []string `json:"best_effort,omitempty"`

	Network Network `json:"network"`
	// UserNamespace puts the service into a user namespace of its own.
	UserNamespace bool  `json:"user_namespace"`
	Files         Files `json:"files"`
	// Capabilities kept across exec, as "CAP_NET_BIND_SERVICE"; nearly always empty.
	Capabilities []string  `json:"capabilities,omitempty"`
	Syscalls     Syscalls  `json:"syscalls"`
	Resources    Resources `json:"resources"`
	Processor    Processor `json:"processor,omitzero"`
	// Init makes the program process 2 behind a tiny init: orphans are reaped, and
	// the default actions of signals hold, which process 1 does not have.
	Init bool `json:"init"`
}

// Network is what the service reaches beside the socket it was handed.
type Network struct {
	Mode NetworkMode `json:"mode"`
	// Connect and Bind are the TCP ports Landlock leaves open of the host's network. A
	// single 0 means any port, of that list alone.
	Connect []uint16 `json:"connect,omitempty"`
	Bind    []uint16 `json:"bind,omitempty"`
}

// Processor is what a service keeps to itself of the processors, which a whole host shares; "" is the host's own way.
type Processor struct {
	StoreBypass    string `json:"store_bypass,omitempty"`    // "off": no such speculation
	IndirectBranch string `json:"indirect_branch,omitempty"` // "off"
	Core           string `json:"core,omitempty"`            // at one time its own sessions' alone ("service"), or one session's ("session")
}

// NetworkMode is a word of network { mode }.
type NetworkMode string

// The modes, each reaching more than the one before.
const (
	NetworkNone     NetworkMode = "none"     // an empty namespace; the socket it is handed talks to the peers that come to it
	NetworkPrivate  NetworkMode = "private"  // a namespace for each connection, with a loopback of its own
	NetworkListener NetworkMode = "listener" // the same namespace, but that socket may send to any address
	NetworkHost     NetworkMode = "host"     // the broker's namespace
)

// NetworkModes are the modes in that order.
var NetworkModes = []NetworkMode{NetworkNone, NetworkPrivate, NetworkListener, NetworkHost}

// Files is the root tree. Everything not named does not exist inside.
type Files struct {
	// Read are host paths visible read-only. A missing one is a load error.
	Read []string `json:"read,omitempty"`
	// Exec are host paths visible read-only whose files may be executed or mapped executable.
	Exec []string `json:"exec,omitempty"`
	// Write are host paths visible read-write.
	Write []string `json:"write,omitempty"`
	// Devices are other character devices of the host to show, as "/dev/ttyS0".
	Devices []string `json:"devices,omitempty"`
	// Optional are those of Read, Exec, Write and Devices that may be missing on a host.
	Optional []string `json:"optional,omitempty"`
	// Map is where the host has what Read, Exec, Write and the program name, under other paths than these. It shows nothing.
	Map hostpath.Map `json:"map,omitempty"`
	// Tmp is the size of the private /tmp of each connection; 0 is none.
	Tmp int64 `json:"tmp"`
	// Shm is the size of the private /dev/shm of each connection; 0 is none. It is the
	// file system of /tmp, larger by that much: a mount is what costs.
	Shm int64 `json:"shm,omitempty"`
	// Log serves /dev/log: what syslog(3) says becomes records of the session.
	Log bool `json:"log,omitempty"`
	// Proc mounts a /proc of its own (its pids only, read-only).
	Proc bool `json:"proc"`
	// HostProc makes that the host's: all of its processes, read-only. The service
	// stays in a pid namespace of its own and can signal none of them.
	HostProc bool `json:"host_proc,omitempty"`
	// Pty mounts a /dev/pts of its own for each connection, with room for a few terminals.
	Pty   bool `json:"pty"`
	State bool `json:"state,omitempty"` // the service's own directory (state.go), which its sessions share and which stays
	// Dev are device nodes to show, as "null"; only nodes.Names.
	Dev []string `json:"dev,omitempty"`
}

// Paths yields the lists of host paths with their names.
func (f *Files) Paths(yield func(kind string, paths []string) bool) {
	_ = yield("read", f.Read) && yield("exec", f.Exec) && yield("write", f.Write) && yield("devices", f.Devices)
}

// Present is p without the optional paths that this host does not have.
func (p Profile) Present() Profile {
	for _, list := range []*[]string{&p.Files.Read, &p.Files.Exec, &p.Files.Write, &p.Files.Devices} {
		*list = slices.DeleteFunc(slices.Clone(*list), func(name string) bool {
			if !slices.Contains(p.Files.Optional, name) {
				return false
			}
			f, err := p.Files.Map.Open(name)
			if err == nil {
				f.Close()
			}
			return errors.Is(err, unix.ENOENT)
		})
	}
	return p
}

// ownProc tells whether each connection mounts a /proc.
func (f *Files) ownProc() bool { return f.Proc && !f.HostProc }

// logRoom is that of a connection which has but the socket of its /dev/log.
const logRoom = 4096

// Scratch is the size of what each connection has for itself: /tmp, /dev/shm and /dev/log are one file system.
func (f *Files) Scratch() int64 {
	if f.Log && f.Tmp+f.Shm == 0 {
		return logRoom
	}
	return f.Tmp + f.Shm
}

// mounts tells whether each connection has mounts of its own.
func (f *Files) mounts() bool { return f.ownProc() || f.Scratch() > 0 || f.Pty || f.State }

// Syscalls is the seccomp allow-list: in words, and what the words come to.
type Syscalls struct {
	// Allow holds names ("openat") and groups ("@file-read").
	Allow []string `json:"allow"`
	// Deny is taken out of Allow again (names and groups).
	Deny []string `json:"deny,omitempty"`
	// ByArgument allow a call only with certain argument values.
	ByArgument []SyscallRule `json:"rules,omitempty"`
	// NoWritten takes out of all these what executes memory that was written.
	NoWritten bool `json:"deny_write_execute,omitempty"`
	// Filter names the resolved rules in the policy's filters.
	Filter string `json:"filter"`
	// Rules are those of that name. They decide; the words above are for people.
	Rules       program.Words  `json:"-"`
	OnViolation program.Action `json:"on_violation"`
	// Seal adds a second filter for each connection that denies the launch calls.
	Seal bool `json:"seal"`
}

// SyscallRule allows Name when argument Arg (0..5), masked to 32 bits and then
// by Mask, equals one of Values. Mask 0 stands for 0xffffffff.
type SyscallRule struct {
	Name   string   `json:"name"`
	Arg    uint     `json:"arg"`
	Mask   uint32   `json:"mask,omitempty"`
	Values []uint32 `json:"values"`
}

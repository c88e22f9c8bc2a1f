package sandbox

import "casemate/sandbox/zygote"

// MaxSockets is how many descriptors one Start can hand over.
const MaxSockets = zygote.MaxFDs - 4 // and stderr, stdout, /dev/log and the state directory

// Command is what a sandbox runs, with everything resolved that needs a look
// at the host's user tables.
type Command struct {
	// Service is the name for messages and the cgroup.
	Service string
	// Path is the absolute host path of the program; Argv includes argv[0].
	Path string
	Argv []string
	// Dir is the working directory inside.
	Dir string
	// Env is the fixed part of the environment ("NAME=value").
	Env []string
	// UID, GID and Groups are the service's ids. With Dynamic set, UID and GID
	// arrive with each Start instead, out of LeaseBase..LeaseBase+LeaseCount-1.
	UID, GID uint32
	Groups   []uint32
	Dynamic  bool
	Umask    uint32
	// Nice is from -20 to 19 and OOMScore from 1 to 1000 or AsCasemated; 0 is what casemated has, and more than that.
	Nice, OOMScore int
	// Sessions is how many may run at once; 0 is no bound.
	Sessions int64
	// UserTasks is what all services that run as UID may have together: RLIMIT_NPROC
	// counts by user over the whole host, so only a leased uid has a count of its
	// own. 0 is no bound.
	UserTasks int64
	Stdio     Stdio // "" is StdioSocket
	// Outputs is how many descriptors each Start brings after the sockets: the program's 2, and its 1. Without
	// them these are the client, where Stdio has it there, or /dev/null.
	Outputs uint8
	// Sockets is how many descriptors each Start hands over (1 but for listen_fds).
	Sockets int
	// Listens says that a descriptor is a listening or unconnected socket, which
	// the program must accept or receive from.
	Listens bool
	// Log gives each session a /dev/log. No descriptor that is handed over may be of a
	// kind that connect(2) aims elsewhere past Landlock: tcp and unix streams alone.
	Log bool
	// UnixDatagrams says that one is a unix datagram socket, which sends to any
	// address of the broker's network namespace.
	UnixDatagrams bool
	// Leave lets sessions outlive the broker.
	Leave bool
	// HostPIDs leaves it in the broker's pid namespace: it has none of its own.
	HostPIDs bool
}

// AsCasemated is an OOMScore: no more than casemated's own.
const AsCasemated = -1

// The range of leased uids and gids: above the ranges that systemd and
// container managers use, and aligned so that a seccomp mask can pin it.
const (
	LeaseBase  = 0x70000000
	LeaseCount = 0x10000
)

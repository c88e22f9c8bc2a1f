package sandbox

import "casemate/sandbox/zygote"

// MaxSockets is how many descriptors one Start can hand over.
const MaxSockets = zygote.MaxFDs - 4 // and stderr, stdout, /dev/log and the state directory

// Command is what a sandbox runs, with everything resolved that needs a look
// at the host's user tables.
type Command struct {
	// Service is the name for messages and the cgroup.
	Service string `json:"service"`
	// Path is the absolute host path of the program; Argv includes argv[0].
	Path string   `json:"path,omitempty"`
	Argv []string `json:"argv"`
	// Dir is the working directory inside.
	Dir string `json:"dir"`
	// Env is the fixed part of the environment ("NAME=value").
	Env []string `json:"env,omitempty"`
	// UID, GID and Groups are the service's ids. With Dynamic set, UID and GID
	// arrive with each Start instead, out of LeaseBase..LeaseBase+LeaseCount-1.
	UID     uint32   `json:"uid,omitempty"`
	GID     uint32   `json:"gid,omitempty"`
	Groups  []uint32 `json:"groups,omitempty"`
	Dynamic bool     `json:"dynamic,omitempty"`
	Umask   uint32   `json:"umask"`
	// Nice is from -20 to 19 and OOMScore from 1 to 1000 or AsCasemated; 0 is what casemated has, and more than that.
	Nice     int `json:"nice,omitempty"`
	OOMScore int `json:"oom_score,omitempty"`
	// Sessions is how many may run at once; 0 is no bound.
	Sessions int64 `json:"sessions,omitempty"`
	// UserTasks is what all services that run as UID may have together: RLIMIT_NPROC
	// counts by user over the whole host, so only a leased uid has a count of its
	// own. 0 is no bound.
	UserTasks int64 `json:"user_tasks,omitempty"`
	Stdio     Stdio `json:"stdio,omitempty"` // "" is StdioSocket
	// Outputs is how many descriptors each Start brings after the sockets: the program's 2, and its 1. Without
	// them these are the client, where Stdio has it there, or /dev/null.
	Outputs uint8 `json:"outputs"`
	// Sockets is how many descriptors each Start hands over (1 but for listen_fds).
	Sockets int `json:"sockets"`
	// Listens says that a descriptor is a listening or unconnected socket, which
	// the program must accept or receive from.
	Listens bool `json:"listens,omitempty"`
	// Log gives each session a /dev/log. No descriptor that is handed over may be of a
	// kind that connect(2) aims elsewhere past Landlock: tcp and unix streams alone.
	Log bool `json:"log,omitempty"`
	// UnixDatagrams says that one is a unix datagram socket, which sends to any
	// address of the broker's network namespace.
	UnixDatagrams bool `json:"unix_datagrams,omitempty"`
	// Leave lets sessions outlive the broker.
	Leave bool `json:"leave,omitempty"`
	// HostPIDs leaves it in the broker's pid namespace: it has none of its own.
	HostPIDs bool `json:"host_pids,omitempty"`
}

// AsCasemated is an OOMScore: no more than casemated's own.
const AsCasemated = -1

// The range of leased uids and gids: above the ranges that systemd and
// container managers use, and aligned so that a seccomp mask can pin it.
const (
	LeaseBase  = 0x70000000
	LeaseCount = 0x10000
)

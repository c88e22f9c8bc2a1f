// Package listener owns the sockets casemated listens on: opening them, giving them
// back what programs changed, and closing them. Package inbound is what comes in there.
//
// It deals in raw descriptors because both halves of Go's net package are wrong
// here: net listeners are non-blocking through the shared file description, so a
// child that is handed the socket would inherit that, and they are MPTCP by
// default, which Landlock does not govern and SO_ATTACH_BPF refuses.
//
// It runs as root inside casemated and reads no byte a client sent.
package listener

import (
	"strings"

	"casemate/listener/endpoint"

	"golang.org/x/sys/unix"
)

// KeepID as a Spec's UID or GID leaves the owner or group of a new unix socket
// as the kernel made it (the same number chown(2) uses for "no change").
const KeepID = ^uint32(0)

// Spec is one endpoint to listen on, and how. Two generations that both name
// its Key share its socket: Reconfigure can change all the rest on a living one.
type Spec struct {
	endpoint.Endpoint
	// Mode is the permission bits of a unix socket file, taken as they are (0 lets nobody but root in).
	Mode uint32 `json:"mode,omitempty"`
	// UID and GID own a unix socket file; KeepID leaves them.
	UID uint32 `json:"uid,omitempty"`
	GID uint32 `json:"gid,omitempty"`
	// Backlog is the listen(2) queue; 0 means net.core.somaxconn. The kernel cuts larger numbers down to that.
	Backlog int `json:"backlog,omitempty"`
	// Settings are further options, as far as the socket's network has them.
	Settings Settings `json:"settings,omitzero"`
	// Wait says that the socket itself is handed to a program. It is then never
	// made non-blocking, because the flag would be shared with that program.
	Wait bool `json:"wait,omitempty"`
}

// file tells whether it makes one: a unix socket outside the abstract namespace.
func (s Spec) file() bool { return strings.HasPrefix(s.Path, "/") }

// kinds are the arguments of socket(2) for each network.
var kinds = map[string]struct{ domain, of, proto int }{
	"tcp4":       {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP},
	"tcp6":       {unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP},
	"udp4":       {unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP},
	"udp6":       {unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP},
	"unix":       {unix.AF_UNIX, unix.SOCK_STREAM, 0},
	"unixgram":   {unix.AF_UNIX, unix.SOCK_DGRAM, 0},
	"unixpacket": {unix.AF_UNIX, unix.SOCK_SEQPACKET, 0},
	"vsock":      {unix.AF_VSOCK, unix.SOCK_STREAM, 0},
}

// Package zygote starts processes inside a prepared sandbox: one small C
// process per active service enters the sandbox once, then clones and execs its
// one fixed command for each connection.
//
// zygote.c is that process, and the only C of the project; this side spawns it,
// hands it sockets and reads its answers. Only the privileged broker uses it.
package zygote

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Sizes and numbers of zygote.h; TestWireMatchesC holds the two sides equal.
const (
	maxArgs    = 1024
	maxEnv     = 512
	MaxFDs     = 68 // of one request
	maxGroups  = 64
	maxRlimits = 16
	MaxWorkers = 4
	MaxSlots   = 32
	maxEnvLen  = 32 * 1024
	// Those of Plan.Kept.
	NoStoreBypass, NoIndirectBranch, CoreOfService, CoreOfSession = 1, 2, 4, 8

	requestHead = 24
	ReplySize   = 24 // of a mark, too
	MarksSize   = 4096
	replyReady  = 0
	replyMap    = ^uint64(0)
)

// LogPath is LOG_PATH of zygote.h, where /dev/log is to lead, and StatePath its STATE_PATH.
const LogPath, StatePath = "/private/tmp/.log", "/private/state"

// Stdio tells where a request's descriptors go.
type Stdio uint32

// The ways of zygote.h: 0 and 1; 0, 1 and 2; 3 and up (with /dev/null on 0 and 1); or 0 and 1 what
// a message on the request's first brings.
const (
	StdioSocket Stdio = iota
	StdioAll
	StdioFDs
	StdioRelay
)

// Steps are the names of the steps that can fail, in the order of zygote.h.
var Steps = []string{
	"none", "block signals", "set parent-death signal", "read plan", "setsid", "join cgroup", "make namespaces",
	"join mount namespace", "move descriptors",
	"change directory", "set rlimit", "set groups", "set gid", "drop bounding set", "set securebits",
	"set capabilities", "set no_new_privs", "verify privileges", "install seccomp filter", "read request", "clone",
	"mount /proc", "mount /tmp", "set stdio", "close descriptors", "set uid", "restrict with landlock",
	"install seal filter", "exec", "start init", "enter user namespace", "mount /dev/pts",
	"raise oom_score_adj", "set personality", "place the launch's code", "make /dev/log", "set nice (below 0 it takes CAP_SYS_RESOURCE)", "mount state directory", "keep the processor to itself",
	"take the relay's socket", "set up the loopback interface",
}

// stepName never fails: the number comes from another process.
func stepName(n uint32) string {
	if int(n) < len(Steps) {
		return Steps[n]
	}
	return fmt.Sprintf("step %d", n)
}

// Numbers are those of a Plan: struct plan of zygote.h, field by field. A descriptor of -1
// leaves its step out.
type Numbers struct {
	size                             uint32
	Mnt, CgroupProcs, Landlock, Exec int32
	// Namespaces are the unshare(2) flags of those that the zygote makes for itself and
	// its sessions, empty: of the network, ipc, uts and cgroups.
	Namespaces uint32
	// High is the first descriptor number the service can never make
	// (its RLIMIT_NOFILE): the filter pins launch calls to numbers from there on.
	High       uint32
	CloneFlags uint32
	Stdio      Stdio
	Umask      uint32
	// Workers is how many starts may be under way at once, 1 to 4. With
	// StdioFDs it must be 1, or descriptors would not arrive in their places.
	Workers uint8
	// Keeps has those of Slots keep their tmpfs where it can be told that no session has touched it: the service can neither
	// watch it (inotify(7)), which could go on after the session, nor owns it.
	Keeps bool
	// Slots is how many mount namespaces are made ahead of their connections at most, up to MaxSlots: each a copy of the zygote's
	// with a tmpfs of its own, cleared when a session has ended. Without UserNS, and CloneFlags with CLONE_NEWNS and CLONE_NEWPID or Init.
	Slots uint16
	// Nice is what the zygote and all that it starts have, from -20 to 19; 0 is the broker's own.
	Nice              int32
	UID, GID, nGroups uint32

	Dynamic, Proc, Tmp, Pty, Init, Leave, ChdirLate bool
	// UserNS is a user namespace in which nothing exists but the ids that the Plan maps.
	UserNS bool
	// Outputs makes so many descriptors of each request after the sockets the program's 2, and 1; 2 is /dev/null without.
	// Log binds the next one in /tmp, where /dev/log leads: it needs Tmp. State mounts the last one at StatePath.
	Outputs    uint8
	Log, State bool
	// Listen has what Filter denies with EPERM wait for an answer (Zygote.TakeListener), where this host can.
	Listen bool

	// Caps stay with the service, ZygoteCaps with the zygote (bit masks by capability number).
	// Kept are bits of what is kept to itself of the processors.
	Caps, ZygoteCaps, Kept                     uint64
	Rlimits                                    [maxRlimits]uint64 // by RLIMIT_*, soft and hard
	groups                                     [maxGroups]uint32
	path, dir, tmp, argv, argvLen, env, envLen uint32 // offsets from the start, and lengths
	filter, filterLen, seal, sealLen, oom      uint32
}

// Plan is everything a zygote does, resolved to numbers, descriptors and bytes.
type Plan struct {
	Numbers
	Groups []uint32
	// OOMScoreAdj is what the zygote and all that it starts have, from -1000 to 1000 (proc_pid_oom_score_adj(5)).
	OOMScoreAdj int
	// Path is used when Exec is -1 (scripts need a path).
	Path, Dir  string
	TmpOptions string
	Argv, Env  []string
	// Filter and Seal are arrays of struct sock_filter.
	Filter, Seal []byte

	// UIDBase..+UIDCount are mapped one to one (and the same gids) with UserNS.
	UIDBase, UIDCount uint32
}

// check refuses what the fixed arrays of the C side cannot hold.
func (p *Plan) check() error {
	switch {
	case len(p.Argv) == 0 || len(p.Argv) > maxArgs:
		return fmt.Errorf("command has %d arguments, want 1 to %d", len(p.Argv), maxArgs)
	case len(p.Env) > maxEnv/2:
		return fmt.Errorf("environment has %d variables, at most %d", len(p.Env), maxEnv/2)
	case p.Workers > MaxWorkers || p.Workers > 1 && p.Stdio == StdioFDs:
		return fmt.Errorf("%d workers, at most %d, and 1 where descriptors have places", p.Workers, MaxWorkers)
	case len(p.Groups) > maxGroups:
		return fmt.Errorf("%d supplementary groups, at most %d", len(p.Groups), maxGroups)
	}
	for _, s := range append(append([]string{p.Path, p.Dir, p.TmpOptions}, p.Argv...), p.Env...) {
		if bytes.IndexByte([]byte(s), 0) >= 0 {
			return fmt.Errorf("string %q holds a NUL byte", s)
		}
	}
	return nil
}

// encode lays the plan out as zygote.h reads it: the header, then the strings
// and filters it points to.
func (p *Plan) encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	h := p.Numbers
	h.Workers, h.nGroups = max(p.Workers, 1), uint32(copy(h.groups[:], p.Groups))
	head := binary.Size(h)
	var body []byte
	put := func(b []byte) (off, length uint32) {
		for len(body)%8 != 0 { // struct sock_filter wants its alignment
			body = append(body, 0)
		}
		off = uint32(head + len(body))
		body = append(body, b...)
		return off, uint32(len(b))
	}
	h.path, _ = put(cstrings(p.Path))
	h.dir, _ = put(cstrings(p.Dir))
	h.tmp, _ = put(cstrings(p.TmpOptions))
	h.oom, _ = put(cstrings(strconv.Itoa(p.OOMScoreAdj)))
	h.argv, h.argvLen = put(cstrings(p.Argv...))
	h.env, h.envLen = put(cstrings(p.Env...))
	h.filter, h.filterLen = put(p.Filter)
	h.seal, h.sealLen = put(p.Seal)
	h.size = uint32(head + len(body))
	out, err := binary.Append(nil, binary.NativeEndian, h)
	return append(out, body...), err
}

// Entering digests what a zygote of the plan does before its first request. What it does only
// then (argv and the like) is left out, and of a descriptor all but that there is one.
func (p *Plan) Entering() (sum [sha256.Size]byte, err error) {
	if err := p.check(); err != nil {
		return sum, err
	}
	q := *p
	q.Path, q.Dir, q.Argv, q.Env = "", "", []string{""}, nil
	q.Mnt, q.CgroupProcs, q.Landlock, q.Exec = min(p.Mnt, 0), min(p.CgroupProcs, 0), min(p.Landlock, 0), min(p.Exec, 0)
	b, err := q.encode()
	return sha256.Sum256(fmt.Append(b, p.UIDBase, p.UIDCount)), err
}

func cstrings(ss ...string) []byte {
	var b []byte
	for _, s := range ss {
		b = append(append(b, s...), 0)
	}
	return b
}

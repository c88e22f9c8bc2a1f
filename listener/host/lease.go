package host

import (
	"errors"
	"os"
	"time"

	"casemate/sandbox"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// Leases hands out the uids of services with user = "dynamic": one for each connection,
// and the gid has the same number. They are those of the blocks that this broker holds, first in,
// first out, so that a uid is used again as late as possible: not within
// quarantine, as long as half the host's blocks are enough for that. One that any
// process of the host still has is never handed out.
type Leases struct {
	dir    string
	at     *hostpath.File       // dir, once it is open
	first  int                  // the block to look at first: seldom the one that the last broker used
	word   string               // what the files of our blocks say
	blocks [blockCount]*os.File // locked, nil = not ours
	held   int
	block  func() (uint32, error) // where another process holds them
	// fresh to last were never out; back holds the ones that came back, the first one first,
	// so an idle broker does not hold a block of them.
	fresh, last uint32
	back        []returned
	start       time.Time // what back counts from
	// How the host is asked; replaced in tests.
	inUse     func(uid uint32) bool
	processes func() ([]leased, error)
	end       func(leased) bool
}

// returned is a uid that came back, and when, in seconds since the start.
type returned struct{ uid, at uint32 }

// NewLeases are those whose files lie in dir; none is held before Open.
func NewLeases(dir string) *Leases {
	return &Leases{dir: dir, first: int(time.Now().Unix()) % blockCount, word: wordEnd, start: time.Now(), inUse: inUse, processes: leasedProcesses, end: leased.end}
}

// quarantine is how long a uid rests, in seconds: what is said or done by uid about
// the one that had it (audit records, lines in the log, somebody's kill) comes late by
// less. Up to 3,270 starts a second it is kept; beyond, a uid rests for as long as
// 32,768 starts take, for no client is turned away for the sake of it.
const quarantine = 10

// A broker takes eagerBlocks before it uses a uid again, and up to restBlocks to let
// them rest; more only where all are out.
const (
	eagerBlocks = 8
	restBlocks  = blockCount / 2
)

// maxTaken bounds how many uids in use one lease looks past.
const maxTaken = 1024

// Take leases a uid; ok is false when all are out.
func (l *Leases) Take() (uid uint32, ok bool) {
	for range maxTaken {
		if uid, ok = l.next(); !ok || !l.inUse(uid) {
			return uid, ok
		}
		l.Give(uid)
	}
	return 0, false
}

func (l *Leases) next() (uid uint32, ok bool) {
	if l.fresh == l.last && (len(l.back) == 0 || l.held < eagerBlocks || l.held < restBlocks && l.seconds()-l.back[0].at <= quarantine) {
		l.grow() // in vain where others hold the rest
	}
	if l.fresh < l.last {
		l.fresh++
		return l.fresh - 1, true
	}
	if len(l.back) == 0 {
		return 0, false
	}
	uid, l.back = l.back[0].uid, l.back[1:]
	return uid, true
}

// seconds since the start; rounded down at both ends, so a difference of more than n is n at least.
func (l *Leases) seconds() uint32 { return uint32(time.Since(l.start) / time.Second) }

// inUse asks the kernel whether any process has the real uid: a survivor of a
// broker that has died, or a helper of ours. It costs nothing where none has.
func inUse(uid uint32) bool {
	_, err := unix.Getpriority(unix.PRIO_USER, int(uid))
	return !errors.Is(err, unix.ESRCH)
}

// Give takes a uid back once its session's last process is gone.
func (l *Leases) Give(uid uint32) {
	if uid-sandbox.LeaseBase < sandbox.LeaseCount {
		l.back = append(l.back, returned{uid, l.seconds()})
	}
}

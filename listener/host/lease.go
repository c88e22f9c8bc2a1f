package host

import (
	"errors"
	"os"

	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// The uids leased to services with user = "dynamic": one for each connection,
// the gid has the same number.
const (
	leaseFirst = sandbox.LeaseBase
	leaseCount = sandbox.LeaseCount
)

// Leases hands out the uids of the blocks that this broker holds, first in,
// first out, so that a uid is used again as late as possible. One that any
// process of the host still has is never handed out.
type Leases struct {
	dir    string
	word   string               // what the files of our blocks say
	blocks [blockCount]*os.File // locked, nil = not ours
	held   int
	// fresh to last were never out; the ring below holds the ones that came back,
	// so an idle broker does not hold a block of them.
	fresh, last uint32
	ring        []uint32
	head        int
	n           int
	// How the host is asked; replaced in tests.
	inUse     func(uid uint32) bool
	processes func() ([]leased, error)
	end       func(leased) bool
}

// NewLeases are those whose files lie in dir; none is held before Open.
func NewLeases(dir string) *Leases {
	return &Leases{dir: dir, word: wordEnd, inUse: inUse, processes: leasedProcesses, end: leased.end}
}

// eagerBlocks is how many blocks a broker takes before it uses a uid again.
const eagerBlocks = 8

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
	if l.fresh == l.last && (l.n == 0 || l.held < eagerBlocks) {
		l.grow() // in vain where others hold the rest
	}
	if l.fresh < l.last {
		l.fresh++
		return l.fresh - 1, true
	}
	if l.n == 0 {
		return 0, false
	}
	uid = l.ring[l.head]
	l.head = (l.head + 1) % len(l.ring)
	l.n--
	return uid, true
}

// inUse asks the kernel whether any process has the real uid: a survivor of a
// broker that has died, or a helper of ours. It costs nothing where none has.
func inUse(uid uint32) bool {
	_, err := unix.Getpriority(unix.PRIO_USER, int(uid))
	return !errors.Is(err, unix.ESRCH)
}

// Give takes a uid back once its session's last process is gone.
func (l *Leases) Give(uid uint32) {
	if uid-leaseFirst >= leaseCount {
		return
	}
	if l.n == len(l.ring) {
		bigger := make([]uint32, max(64, 2*len(l.ring)))
		for i := range l.n {
			bigger[i] = l.ring[(l.head+i)%len(l.ring)]
		}
		l.ring, l.head = bigger, 0
	}
	l.ring[(l.head+l.n)%len(l.ring)] = uid
	l.n++
}

package broker

import "casemate/sandbox"

// The uids leased to services with user = "dynamic": one for each connection,
// the gid has the same number.
const (
	leaseFirst = sandbox.LeaseBase
	leaseCount = sandbox.LeaseCount
)

// leases hands out uids first in, first out, so that a uid is used again as
// late as possible: a process that outlived its session in spite of everything
// would not meet its successor soon.
type leases struct {
	// fresh is how many of the range were never out; the ring below holds the
	// ones that came back, so an idle broker does not hold 65,536 of them.
	fresh uint32
	ring  []uint32
	head  int
	n     int
}

// take leases a uid; ok is false when all are out.
func (l *leases) take() (uid uint32, ok bool) {
	if l.fresh < leaseCount {
		l.fresh++
		return leaseFirst + l.fresh - 1, true
	}
	if l.n == 0 {
		return 0, false
	}
	uid = l.ring[l.head]
	l.head = (l.head + 1) % len(l.ring)
	l.n--
	return uid, true
}

// give takes a uid back once its session's last process is gone.
func (l *leases) give(uid uint32) {
	if uid-leaseFirst >= leaseCount {
		return
	}
	if l.n == len(l.ring) {
		l.grow()
	}
	l.ring[(l.head+l.n)%len(l.ring)] = uid
	l.n++
}

func (l *leases) grow() {
	bigger := make([]uint32, max(64, 2*len(l.ring)))
	for i := range l.n {
		bigger[i] = l.ring[(l.head+i)%len(l.ring)]
	}
	l.ring, l.head = bigger, 0
}

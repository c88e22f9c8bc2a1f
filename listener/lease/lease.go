// Package lease hands out the uids of services with user = "dynamic": one for each connection,
// and the gid has the same number. Root, which holds the blocks that they are of, does not link it.
package lease

import (
	"time"

	"casemate/listener/host"
	"casemate/sandbox"
)

// Leases are the uids of blocks that root's process holds. They are given first in,
// first out, so that a uid is used again as late as possible: not within
// quarantine, as long as half the host's blocks are enough for that. One that any
// process of the host still has is never handed out.
type Leases struct {
	block func() (first uint32, err error) // takes one more
	held  int
	// fresh to last were never out; back holds the ones that came back, the first one first,
	// so an idle broker does not hold a block of them.
	fresh, last uint32
	back        []returned
	start       time.Time // what back counts from
	inUse       func(uid uint32) bool
}

// returned is a uid that came back, and when, in seconds since the start.
type returned struct{ uid, at uint32 }

// New makes leases of the blocks that block takes, of which it gives the first uid.
func New(block func() (first uint32, err error)) *Leases {
	return &Leases{block: block, start: time.Now(), inUse: host.InUse}
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
	restBlocks  = host.BlockCount / 2
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
		if first, err := l.block(); err == nil { // in vain where others hold the rest
			l.held, l.fresh, l.last = l.held+1, first, first+host.BlockSize
		}
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

// Give takes a uid back once its session's last process is gone.
func (l *Leases) Give(uid uint32) {
	if uid-sandbox.LeaseBase < sandbox.LeaseCount {
		l.back = append(l.back, returned{uid, l.seconds()})
	}
}

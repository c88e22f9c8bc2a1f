package main

import (
	"time"

	"casemate/listener/journal"
)

// What a service may write: each session, and all of them together.
var (
	lineRate    = journal.Rate{Every: time.Second / 20, Burst: 100}
	serviceRate = journal.Rate{Every: time.Second / 200, Burst: 1000}
)

const maxOwners = 1024

// quota is one service's line budget.
type quota struct {
	start  time.Time // the buckets' clock counts from here
	all    journal.Bucket
	owners map[uint64]*journal.Bucket
	others journal.Bucket // what owners beyond maxOwners share
	left   uint64         // lines left out since the last take of it
}

// allow takes one line of owner's, or counts it as left out. A line is taken from
// both budgets or from none, so a loud owner cannot use up what the service has.
func (q *quota) allow(owner uint64, at time.Time) bool {
	now := int64(at.Sub(q.start))
	b := q.owner(owner, now)
	if !b.Room(lineRate, now) || !q.all.Room(serviceRate, now) {
		q.left++
		return false
	}
	b.Take(lineRate, now)
	q.all.Take(serviceRate, now)
	return true
}

func (q *quota) owner(owner uint64, now int64) *journal.Bucket {
	if b := q.owners[owner]; b != nil {
		return b
	}
	if len(q.owners) >= maxOwners {
		for id, b := range q.owners {
			if b.Unused(now) {
				delete(q.owners, id)
			}
		}
	}
	if len(q.owners) >= maxOwners {
		return &q.others
	}
	if q.owners == nil {
		q.owners = make(map[uint64]*journal.Bucket)
	}
	b := new(journal.Bucket)
	q.owners[owner] = b
	return b
}

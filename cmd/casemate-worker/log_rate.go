package main

import "time"

// What a service may write: each session, and all of them together.
const (
	lineRate    = 20 // a second, for each owner
	lineBurst   = 100
	serviceMore = 10 // times that for the whole service
	maxOwners   = 1024
)

// bucket is a token bucket that is full when it is new.
type bucket struct {
	used float64
	at   time.Time
}

func (b *bucket) drain(now time.Time, rate float64) {
	b.used = max(b.used-now.Sub(b.at).Seconds()*rate, 0)
	b.at = now
}

// quota is one service's line budget.
type quota struct {
	all    bucket
	owners map[uint64]*bucket
	others bucket // what owners beyond maxOwners share
	left   uint64 // lines left out since the last take of it
}

// allow takes one line of owner's, or counts it as left out. A line is taken from
// both budgets or from none, so a loud owner cannot use up what the service has.
func (q *quota) allow(owner uint64, now time.Time) bool {
	b := q.owner(owner, now)
	b.drain(now, lineRate)
	q.all.drain(now, serviceMore*lineRate)
	if b.used+1 > lineBurst || q.all.used+1 > serviceMore*lineBurst {
		q.left++
		return false
	}
	b.used++
	q.all.used++
	return true
}

func (q *quota) owner(owner uint64, now time.Time) *bucket {
	if b := q.owners[owner]; b != nil {
		return b
	}
	if len(q.owners) >= maxOwners {
		// An empty bucket carries no information.
		for id, b := range q.owners {
			if b.drain(now, lineRate); b.used == 0 {
				delete(q.owners, id)
			}
		}
	}
	if len(q.owners) >= maxOwners {
		return &q.others
	}
	if q.owners == nil {
		q.owners = make(map[uint64]*bucket)
	}
	b := &bucket{at: now}
	q.owners[owner] = b
	return b
}

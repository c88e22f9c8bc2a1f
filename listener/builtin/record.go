package builtin

import (
	"sync"
	"sync/atomic"
	"time"

	"casemate/listener/journal"
)

// quiet is what a flood can make the service write: one record for each decision
// up to the rate, and a count of the others.
var quiet = journal.Rate{Every: time.Second / 20, Burst: 100}

// noteEvery is how often that count is written at most.
const noteEvery = 10 * time.Second

// records makes the records of the service. It is safe for concurrent use and
// never waits for whoever reads the log.
type records struct {
	log    func(journal.Record)
	config *Config
	ids    atomic.Uint64
	start  time.Time

	mu       sync.Mutex
	quiet    journal.Thinned
	noteTime time.Time
}

func newRecords(log func(journal.Record), c *Config) *records {
	now := time.Now()
	r := &records{log: log, config: c, start: now, noteTime: now}
	// Microseconds of the start: ids of one worker after the other stay apart.
	r.ids.Store(uint64(now.UnixMicro()))
	return r
}

// allowed takes a place for one decision record. Refusals and datagrams cost a
// client nothing, so they are what is counted out; sessions have limits of their own.
func (r *records) allowed(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.quiet.Allow(quiet, int64(now.Sub(r.start)))
}

// suppressed writes how many decisions were left out, at most every interval.
func (r *records) suppressed(now time.Time, interval time.Duration) {
	r.mu.Lock()
	n := r.quiet.Left
	if n == 0 || now.Sub(r.noteTime) < interval {
		r.mu.Unlock()
		return
	}
	r.quiet.Left, r.noteTime = 0, now
	r.mu.Unlock()
	r.log(&journal.Suppressed{At: now, What: journal.Refusals, Service: r.config.Service, Count: n})
}

// decision writes the record of one decision and returns its id. always writes
// it even when the log is over its rate.
func (r *records) decision(c client, v verdict, always bool) uint64 {
	id := r.ids.Add(1)
	now := time.Now()
	r.suppressed(now, noteEvery)
	d := &journal.Decision{At: now, ID: id, Service: r.config.Service, Client: c.peer, Network: c.network, Local: c.local,
		Refused: v.refused, Rule: journal.Origins(r.config.Origins).Text(v.rule), RuleName: r.config.ACL.RuleName(v.rule), Digest: r.config.Digest}
	if r.config.ACL != nil {
		d.ACL = r.config.ACL.Name
	}
	if !journal.Omits(r.config.Log, d) && (always || r.allowed(now)) {
		r.log(d)
	}
	return id
}

// session writes the record of a stream session that ended.
func (r *records) session(id uint64, c client, reason string, took time.Duration) {
	s := &journal.Session{At: time.Now(), ID: id, Service: r.config.Service, Client: c.peer, Reason: reason, Took: took, Digest: r.config.Digest}
	if !journal.Omits(r.config.Log, s) {
		r.log(s)
	}
}

package builtin

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"casemate/acl/ban"
	"casemate/acl/decide"
	"casemate/listener/journal"
	"casemate/listener/pace"
	"casemate/listener/wire"
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
	counts   wire.Counts
	due      *time.Timer // tells the counts; nil while nothing has changed

	sheets map[int]sheet // of clients that were admitted, by the rule
	over   sheet         // of sessions that ended in order; nil until the first
	text   []byte        // lines that wait for others
	waits  *time.Timer   // hands them over; nil while none waits
}

func newRecords(log func(journal.Record), c *Config) *records {
	now := time.Now()
	r := &records{log: log, config: c, start: now, noteTime: now, sheets: make(map[int]sheet)}
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
	r.put(&journal.Suppressed{At: now, What: journal.Refusals, Service: r.config.Service, Count: n})
}

// tellEvery bounds how often the counts are told.
const tellEvery = time.Second

// count notes a client that has come, gone or been refused; at is an index of wire.Counts.
func (r *records) count(at int, by uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.counts
	c[at] += by
	c[wire.CountPeak] = max(c[wire.CountPeak], c[wire.CountLive])
	if r.due == nil {
		r.due = time.AfterFunc(tellEvery, r.tell)
	}
}

// tell writes the counts for the broker, if they have changed.
func (r *records) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due != nil {
		r.due.Stop()
		r.due = nil
		r.hand()
		r.log(journal.Lines(append(countsText(&r.counts, r.config.Service), '\n')))
	}
}

// decision counts one decision, writes its record and returns its id. stream is set for
// a client that stays until session is called: its record is written even when
// the log is over its rate.
func (r *records) decision(c *client, v *verdict, stream bool, now time.Time) uint64 {
	switch {
	case v.refused != "":
		r.count(wire.CountRefused+slices.Index(wire.Reasons[:], v.refused), 1)
	default:
		r.count(wire.CountAdmitted, 1)
		if stream {
			r.count(wire.CountLive, 1)
		}
	}
	id := r.ids.Add(1)
	r.suppressed(now, noteEvery)
	if journal.Omits(r.config.Log, &journal.Decision{Refused: v.refused}) || !stream && !r.allowed(now) {
		return id
	}
	d := &journal.Decision{At: now, ID: id, Service: r.config.Service, Client: c.peer, Network: c.network, Local: c.local,
		Refused: v.refused, Rule: journal.Origins(r.config.Origins).Text(v.rule), RuleName: decide.RuleName(r.config.ACL, v.rule), Digest: r.config.Digest, Source: v.counted}
	if v.refused != "" && v.refused != reasonACL && !ban.Reason(v.refused) {
		d.Limit = r.config.Limit.Refusing()
	}
	if r.config.ACL != nil {
		d.ACL = r.config.ACL.Name
	}
	if !r.decided(d, v.rule) {
		r.put(d)
	}
	return id
}

// session counts a stream session that ended, and writes its record.
func (r *records) session(s *journal.Session) {
	r.count(wire.CountLive, ^uint64(0)) // one less
	if i := slices.Index(wire.Ends[:], s.Reason); i >= 0 {
		r.count(wire.CountEnded+i, 1)
	}
	s.At, s.Service, s.Digest = time.Now(), r.config.Service, r.config.Digest
	if b := pace.Bound(&r.config.Limit, s.Service, r.config.Idle, s.Reason); b.Limit != "" {
		s.Limits = []journal.Bound{b}
	}
	if !journal.Omits(r.config.Log, s) && !r.ordinary(s) {
		r.put(s)
	}
}

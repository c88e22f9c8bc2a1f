package main

import (
	"sync"
	"time"

	"casemate/listener/journal"
	"casemate/listener/said"
	"casemate/policy/denied"
	sysfilter "casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/spoken"

	"golang.org/x/sys/unix"
)

// denialRate is what may be written of one service's denied calls; each is counted all the same.
var denialRate = journal.Rate{Every: time.Second / 20, Burst: 200}

// maxDistinct is how many different calls of one session are named; further ones are counted together.
const maxDistinct = 64

// denialLedger counts denied calls by session, and writes the first of each kind at once
// and how many more there were at the session's end.
type denialLedger struct {
	out   func(journal.Record)
	start time.Time // the buckets' clock counts from here

	mu       sync.Mutex
	sessions map[denialKey]*denialTally
	rates    map[string]*journal.Thinned // by service
	past     map[uint64]bool             // sessions that are over
	order    [maxPast]uint64             // those of past, the next to be forgotten at oldest
	oldest   int
}

// maxPast is how many ended sessions are known to have ended. It takes but one for each call
// that is being attributed while its session ends.
const maxPast = 4096

// denialKey is a session; filter tells apart what could be attributed to none.
type denialKey struct {
	filter *filter
	id     uint64
}

type denialTally struct {
	kinds map[string]*denialKind // by the call in words
	rest  uint64                 // calls of further kinds
}

type denialKind struct {
	call   spoken.Call
	pid    int32
	unsaid uint64 // so many were not written
}

func newDenialLedger(out func(journal.Record)) *denialLedger {
	return &denialLedger{out: out, start: time.Now(), sessions: make(map[denialKey]*denialTally), rates: make(map[string]*journal.Thinned), past: make(map[uint64]bool)}
}

// note counts one call.
func (l *denialLedger) note(f *filter, id uint64, pid int32, c spoken.Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := denialKey{f, id}
	if l.past[id] { // a tally would have no end
		l.say(key, &denialKind{call: c, pid: pid, unsaid: 1}, true)
		return
	}
	t := l.sessions[key]
	if t == nil {
		t = &denialTally{kinds: make(map[string]*denialKind)}
		l.sessions[key] = t
	}
	words := c.String()
	k := t.kinds[words]
	if k == nil {
		if len(t.kinds) >= maxDistinct {
			t.rest++
			return
		}
		k = &denialKind{call: c, pid: pid}
		t.kinds[words] = k
		k.unsaid++
		l.say(key, k, false)
		return
	}
	k.unsaid++
}

// say writes what was not written of a kind of call, if the service's budget has room.
func (l *denialLedger) say(key denialKey, k *denialKind, last bool) {
	if k.unsaid == 0 || !l.allow(key.filter.of.Service, last) {
		return
	}
	of := &key.filter.of
	l.out(said.Denied(time.Now(), of.Service, key.id, said.Denial{PID: int(k.pid), Call: k.call.Name(), Args: k.call.Arguments(),
		Errno: unix.ErrnoName(sysfilter.Answer(k.call.Nr, k.call.Args)), Count: k.unsaid, Grant: denied.Grant(of, k.call), Digest: of.Digest}))
	k.unsaid = 0
}

// allow takes one record from a service's budget. One that is put off for want of room comes
// with the end of its session, and one that cannot come any more is counted as left out.
func (l *denialLedger) allow(service string, last bool) bool {
	rate := l.rates[service]
	if rate == nil {
		rate = new(journal.Thinned)
		l.rates[service] = rate
	}
	now := int64(time.Since(l.start))
	if !rate.Room(denialRate, now) {
		if last {
			rate.Left++
		}
		return false
	}
	rate.Take(denialRate, now)
	if rate.Left > 0 && rate.Room(denialRate, now) {
		rate.Take(denialRate, now)
		l.out(&journal.Suppressed{At: time.Now(), What: deniedSuppressed, Service: service, Count: rate.Left})
		rate.Left = 0
	}
	return true
}

// deniedSuppressed counts the records of denied calls that were not written, beyond denialRate.
const deniedSuppressed = "denied-suppressed"

// over is the end of a session.
func (l *denialLedger) over(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.sessions {
		if key.id == id {
			l.close(key)
		}
	}
	if !l.past[id] {
		delete(l.past, l.order[l.oldest])
		l.order[l.oldest], l.past[id] = id, true
		l.oldest = (l.oldest + 1) % maxPast
	}
}

// ended tells whether a session is known to be over.
func (l *denialLedger) ended(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past[id]
}

// gone is the end of a filter's last process.
func (l *denialLedger) gone(f *filter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.sessions {
		if key.filter == f {
			l.close(key)
		}
	}
}

// finish says what is left to say.
func (l *denialLedger) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.sessions {
		l.close(key)
	}
	for service, rate := range l.rates {
		if rate.Left > 0 {
			l.out(&journal.Suppressed{At: time.Now(), What: deniedSuppressed, Service: service, Count: rate.Left})
		}
	}
}

func (l *denialLedger) close(key denialKey) {
	t := l.sessions[key]
	delete(l.sessions, key)
	for _, k := range t.kinds {
		l.say(key, k, true)
	}
	if of := &key.filter.of; t.rest > 0 && l.allow(of.Service, true) {
		l.out(said.Denied(time.Now(), of.Service, key.id, said.Denial{Count: t.rest, Digest: of.Digest}))
	}
}

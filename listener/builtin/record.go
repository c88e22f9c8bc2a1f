package builtin

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// The log keeps what a flood can make it write within these: one record for
// each decision up to the rate, and a count of the others.
const (
	quietRate  = 20 // records a second
	quietBurst = 100
)

// journal writes the records of the service, in the broker's shapes. It is safe
// for concurrent use and never waits for whoever reads the log.
type journal struct {
	log    *slog.Logger
	config *Config
	ids    atomic.Uint64

	mu       sync.Mutex
	tokens   float64
	filled   time.Time
	left     uint64 // decisions not written since the last note
	noteTime time.Time
}

func newJournal(w io.Writer, c *Config) *journal {
	now := time.Now()
	j := &journal{log: slog.New(slog.NewJSONHandler(w, nil)), config: c, tokens: quietBurst, filled: now, noteTime: now}
	// Microseconds of the start: ids of one worker after the other stay apart.
	j.ids.Store(uint64(now.UnixMicro()))
	return j
}

// allowed takes a token for one decision record. Refusals and datagrams cost a
// client nothing, so they are what is counted out; sessions have limits of their own.
func (j *journal) allowed(now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tokens = min(j.tokens+now.Sub(j.filled).Seconds()*quietRate, quietBurst)
	j.filled = now
	if j.tokens < 1 {
		j.left++
		return false
	}
	j.tokens--
	return true
}

// suppressed writes how many decisions were left out, at most every interval.
func (j *journal) suppressed(now time.Time, interval time.Duration) {
	j.mu.Lock()
	n := j.left
	if n == 0 || now.Sub(j.noteTime) < interval {
		j.mu.Unlock()
		return
	}
	j.left, j.noteTime = 0, now
	j.mu.Unlock()
	j.log.LogAttrs(context.Background(), slog.LevelWarn, "refused-suppressed",
		slog.String("service", j.config.Service), slog.Uint64("count", n))
}

// attrs are the client part of a record.
func (c client) attrs(a []slog.Attr) []slog.Attr {
	if c.peer.Unix {
		return append(a, slog.String("client", "unix"), slog.Uint64("client_uid", uint64(c.peer.UID)))
	}
	return append(a, slog.String("client", c.peer.Addr.Addr().String()), slog.Int("client_port", int(c.peer.Addr.Port())))
}

// decision writes the record of one decision and returns its id. always writes
// it even when the log is over its rate.
func (j *journal) decision(w client, v verdict, proto string, always bool) uint64 {
	id := j.ids.Add(1)
	now := time.Now()
	j.suppressed(now, 10*time.Second)
	if !always && !j.allowed(now) {
		return id
	}
	word := "deny"
	if v.allowed {
		word = "allow"
	}
	a := w.attrs([]slog.Attr{slog.Uint64("id", id), slog.String("service", j.config.Service)})
	if w.local.IsValid() {
		a = append(a, slog.String("local", w.local.String()))
	}
	a = append(a, slog.String("proto", proto), slog.String("verdict", word), slog.String("reason", v.reason),
		slog.String("rule", v.rule), slog.String("acl", j.config.aclName()), slog.String("digest", j.config.Digest))
	j.log.LogAttrs(context.Background(), slog.LevelInfo, "decision", a...)
	return id
}

// session writes the record of a stream session that ended.
func (j *journal) session(id uint64, w client, reason string, took time.Duration) {
	level := slog.LevelInfo
	if reason != endExit {
		level = slog.LevelWarn
	}
	a := w.attrs([]slog.Attr{slog.Uint64("id", id), slog.String("service", j.config.Service)})
	a = append(a, slog.String("reason", reason),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("digest", j.config.Digest))
	j.log.LogAttrs(context.Background(), level, "session", a...)
}

// How a session ends, in its record.
const (
	endExit    = "exit"    // the protocol is through, or the client left
	endTimeout = "timeout" // the session limit
	endStalled = "stalled" // the client took nothing for writeStall
	endReset   = "reset"   // the client broke the connection
	endStopped = "stopped" // the worker was told to end
)

// Package limit says how often: rate, concurrency, session time and penalties, for
// a service as a whole and for each source prefix. It is data alone; package
// admission decides by it.
package limit

import (
	"net/netip"
	"slices"
	"time"
)

// Rate is Events per Per. The zero Rate is no limit.
type Rate struct {
	Events int           `json:"events"`
	Per    time.Duration `json:"per_ns"`
}

// Class names what a penalty answers to.
type Class string

// What a session can do to earn its source a penalty.
const (
	Crash     Class = "crash"     // ended by a signal that neither we nor the kernel's OOM killer sent, other than SIGSYS
	Violation Class = "violation" // ended by SIGSYS: the seccomp filter killed it
	Slow      Class = "slow"      // its client said nothing in time, or sent or took too little of what there was
	Timeout   Class = "timeout"   // outlived its session limit
)

// Classes are all of them.
var Classes = []Class{Crash, Slow, Timeout, Violation}

// Spec is one limit block. A zero number means "no limit of this kind".
type Spec struct {
	Name       string        `json:"name"`
	Concurrent int           `json:"concurrent"`
	Rate       Rate          `json:"rate"`
	Burst      int           `json:"burst"`
	Session    time.Duration `json:"session_ns"`
	// FirstByte is how long a tcp client may take to send its first byte, and MinRate how many bytes it
	// has to send or to take in a second while its program waits for it (package pace).
	FirstByte time.Duration `json:"first_byte_ns,omitempty"`
	MinRate   int           `json:"min_rate,omitempty"`
	// Queue is how long a connection waits for a place where Concurrent are taken, 0 = it is
	// refused; QueueLength is how many do.
	Queue       time.Duration `json:"queue_ns,omitempty"`
	QueueLength int           `json:"queue_length,omitempty"`
	EarlyDrop   EarlyDrop     `json:"early_drop,omitzero"`
	// MaxLoad is the host's load of a minute, in hundredths, from which on nobody is admitted.
	MaxLoad int `json:"max_load,omitempty"`
	// Responses is how many udp answers of a built-in one network gets, ResponsesTotal how many all
	// get together; the zero Rate is what package responses has for it.
	Responses      Rate      `json:"responses,omitzero"`
	ResponsesTotal Rate      `json:"responses_total,omitzero"`
	PerSource      PerSource `json:"per_source"`
	Penalty        Penalty   `json:"penalty"`
	// Exempt are the sources that nothing is counted of, sorted, at most MaxExempt: whatever holds for each source or
	// network (PerSource, Penalty, Responses, a source's part of the queue) does not for them, and none of
	// their sessions counts for a network around them. What holds for all clients together holds for them. Peers
	// without an address are never exempt.
	Exempt []netip.Prefix `json:"exempt,omitempty"`
}

// Refusing is what of s a refusal can be for, for its record: a list of those who are exempt is too long for a line of the log.
func (s *Spec) Refusing() *Spec {
	if len(s.Exempt) == 0 {
		return s
	}
	out := *s
	out.Exempt = nil
	return &out
}

// MaxExempt is how many prefixes are exempt at the most.
const MaxExempt = 1024

// EarlyDrop refuses at random before Concurrent sessions run, as MaxStartups of sshd_config(5)
// does: where Start run, Percent of 100 newcomers, and more with each further one, up to
// all of them at Concurrent. A flood that fills the places then loses as many of its own as it
// sends, and a client that comes again has its chance. The zero EarlyDrop is none.
type EarlyDrop struct {
	Start   int `json:"start"`   // sessions, 1 to Concurrent - 1
	Percent int `json:"percent"` // 1 to 100
}

// PerSource is the part of a Spec that is counted for each source prefix.
type PerSource struct {
	Concurrent int  `json:"concurrent"`
	Rate       Rate `json:"rate"`
	Burst      int  `json:"burst"`
	// Prefix4 and Prefix6 are the prefix lengths a source is cut to (0..32, 0..128).
	Prefix4 int `json:"prefix4"`
	Prefix6 int `json:"prefix6"`
	// Wider are the networks around the source that are counted as well, at most MaxWider, the
	// nearest first.
	Wider []Wider `json:"wider,omitempty"`
}

// MaxWider is how many networks around a source are counted.
const MaxWider = 3

// Wider is a network around a source, whose clients may together have Times what one source may: its
// Concurrent, Rate and Burst. Who has many addresses side by side then has no more than that of them.
type Wider struct {
	// Prefix4 and Prefix6 are the prefix lengths, shorter than those of the source and of the
	// Wider before; 0 counts no such network of that family.
	Prefix4 int `json:"prefix4,omitempty"`
	Prefix6 int `json:"prefix6,omitempty"`
	Times   int `json:"times"` // 2 or more, and more than of the Wider before
}

// Penalty shuts a source out for First after the first offence of a class in
// On; each further offence adds First again, up to Max outstanding.
type Penalty struct {
	On    []Class       `json:"on,omitempty"`
	First time.Duration `json:"first_ns"`
	Max   time.Duration `json:"max_ns"`
	// What an offence of the class adds in place of First; 0 is First. Offences of all classes add up
	// to one time.
	Crash     time.Duration `json:"crash_ns,omitempty"`
	Slow      time.Duration `json:"slow_ns,omitempty"`
	Timeout   time.Duration `json:"timeout_ns,omitempty"`
	Violation time.Duration `json:"violation_ns,omitempty"`
}

// Own is where a class's own amount stands, nil for no Class.
func (p *Penalty) Own(c Class) *time.Duration {
	switch c {
	case Crash:
		return &p.Crash
	case Slow:
		return &p.Slow
	case Timeout:
		return &p.Timeout
	case Violation:
		return &p.Violation
	}
	return nil
}

// Adds is what an offence of a class adds, 0 where that has no penalty.
func (p *Penalty) Adds(c Class) time.Duration {
	own := p.Own(c)
	switch {
	case own == nil || !slices.Contains(p.On, c):
		return 0
	case *own > 0:
		return *own
	}
	return p.First
}

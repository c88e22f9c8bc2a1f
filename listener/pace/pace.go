// Package pace holds a tcp client to what a policy says of slow ones (FirstByte and MinRate of a
// limit.Spec, Idle of a service), by what the kernel tells about its connection: no byte is read or carried
// for it. Whoever has a client's socket looks when Look says, on a clock of its own.
//
// A client is only slow while its program waits for it, which the kernel does not tell in
// so many words. So it is held to its rate in two cases alone:
//
//   - it sends, all of it has been read, and nothing is written to it: bytes of one
//     message, piece by piece. Each answer begins anew, so a dialogue is never slow, and
//     neither is a client that waits for a program that computes;
//   - what was written to it waits, and is not taken.
//
// A client of whom nothing comes and for whom nothing waits may be waited for, or wait
// itself: that is for an idle time or a session's.
package pace

import (
	"time"

	"casemate/acl/limit"
	"casemate/listener/inbound"
	"casemate/listener/journal"
)

const (
	// Window is the time over which a rate is a mean: longer than a lost segment of an honest client takes.
	Window = 30 * time.Second
	// every is how often a client that is held to a rate is looked at, so that one that is too
	// slow is found within Window and twice this.
	every = Window / 3
)

// Watch is one client's.
type Watch struct {
	limit *limit.Spec
	idle  time.Duration
	began int64
	spoke bool // its first byte has come, or its end

	in, out uint64 // at the last look
	sends   bool   // a message of its own is under way:
	sent    int64  // when the last byte of the first piece came
	from    uint64 // and how many had come by then
	takes   mark   // of the last time that it was even with what was written, or had been measured
}

// mark is where a measurement of what a client takes begins.
type mark struct {
	at             int64
	in, taken, due uint64
	stalled        time.Duration
}

// Of begins at now, in nanoseconds of any clock, under a limit and the time without a byte either way, 0 = any; nil where
// the two have nothing to say of slow clients.
func Of(l *limit.Spec, idle time.Duration, now int64) *Watch {
	if l.FirstByte == 0 && l.MinRate == 0 && idle == 0 {
		return nil
	}
	return &Watch{limit: l, idle: idle, began: now, takes: mark{at: now}}
}

// First is when Look is to be called first.
func (w *Watch) First() time.Duration {
	next := sooner(w.limit.FirstByte, w.idle)
	if w.limit.MinRate > 0 {
		next = sooner(next, again(w.began))
	}
	return next
}

// sooner is the shorter time; 0 is never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// again is how long it is to the next look: those of many clients fall on whole seconds of the clock, so that they
// cost one wake.
func again(now int64) time.Duration { return every - time.Duration(now%int64(time.Second)) }

// Leave is for the end of the session: what its program has written and the client has not taken is the kernel's
// to deliver then, which gives up where none is taken for a Window.
func (w *Watch) Leave(fd int) {
	if w.limit.MinRate > 0 {
		inbound.Patience(fd, Window)
	}
}

// Look judges the client. why is journal.Silent, journal.Slow or journal.Idle for one that is to go;
// else next is when to look again, 0 for never. unread is how many bytes of it wait for the program, and
// is asked only about a client that seems slow.
func (w *Watch) Look(now int64, t inbound.Talk, unread func() int) (why string, next time.Duration) {
	if w.spoke = w.spoke || t.In > 0 || t.Closed; !w.spoke && w.limit.FirstByte > 0 {
		if next = w.limit.FirstByte - time.Duration(now-w.began); next <= 0 {
			return journal.Silent, 0
		}
	}
	if w.idle > 0 {
		left := w.idle - t.Quiet
		if left <= 0 {
			return journal.Idle, 0
		}
		next = sooner(next, left)
	}
	if w.limit.MinRate > 0 {
		if w.sending(now, t) && unread() == 0 || w.taking(now, t) {
			return journal.Slow, 0
		}
		next = sooner(next, again(now))
	}
	return "", next
}

// sending tells whether the client's message came too slowly. Its first piece is not
// counted: that a program computes since then is nobody's pace.
func (w *Watch) sending(now int64, t inbound.Talk) (slow bool) {
	answered, more := t.Out != w.out, t.In > w.in
	w.in, w.out = t.In, t.Out
	last := now - int64(t.Heard)
	switch {
	case answered:
		w.sends = false
		return false
	case !more:
		return false
	case w.sends && last-w.sent < int64(Window):
		return false
	case w.sends:
		slow = !w.keeps(t.In-w.from, last-w.sent)
	}
	w.sends, w.sent, w.from = true, last, t.In
	return slow
}

// taking tells whether the client lets wait what was written to it: for the window it took less than its rate, and
// either not even what waited when that began, or its own window was closed for half of the time.
func (w *Watch) taking(now int64, t inbound.Talk) bool {
	m, is := &w.takes, mark{now, t.In, t.Taken, t.Due(), t.Stalled}
	span := now - m.at
	switch {
	case is.due == 0 || m.due == 0:
		*m = is
		return false
	case span < int64(Window):
		return false
	}
	took := is.taken - m.taken
	slow := (took < m.due || is.stalled-m.stalled >= time.Duration(span/2)) && !w.keeps(took+is.in-m.in, span)
	*m = is
	return slow
}

// keeps tells whether so many bytes in so many nanoseconds are the rate.
func (w *Watch) keeps(bytes uint64, span int64) bool {
	return float64(bytes) >= float64(w.limit.MinRate)*float64(span)/float64(time.Second)
}

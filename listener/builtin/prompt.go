package builtin

import (
	"bytes"
	"time"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/pace"

	"golang.org/x/sys/unix"
)

// prompt is one stream client of a prompt protocol.
type prompt struct {
	r       *reactor
	fd      int
	client  client
	verdict verdict
	id      uint64
	began   time.Time
	timer   loop.Timer
	polled  bool // it has a place in the loop
	over    bool

	// In loop time, 0 = never:
	start int64 // when it came
	ends  int64 // the session limit
	until int64 // when our patience ends: with what it does not take, or once it has all, with its end
	due   int64 // when pace is to look next

	pace   *pace.Watch // nil for none
	rest   []byte      // of ours that it has not taken
	taken  taking
	all    bool   // it gets no more: we wait for its end
	left   int    // how much it may still send then
	looks  int    // how often that was looked for
	reason string // why it ends, where that is not for what it does from here on
	detail string
	last   inbound.Talk // of one that pace ended
}

// begin serves a client.
func (r *reactor) begin(fd int, w client, v verdict, now time.Time) *prompt {
	s := r.s
	p := &prompt{r: r, fd: fd, client: w, verdict: v, began: now, start: r.loop.Now()}
	p.timer.Owner = p
	r.live[p] = struct{}{}
	p.id = s.records.decision(&w, &v, true, now)
	if s.config.Limit.Session > 0 {
		p.ends = p.start + int64(s.config.Limit.Session)
	}
	if w.network == "tcp" {
		if p.pace = pace.Of(&s.config.Limit, s.config.Idle, 0); p.pace != nil {
			p.due = p.start + int64(p.pace.First())
		}
	}
	if r.ending {
		p.kill("")
		return p
	}
	if s.protocol.opening != nil {
		p.say(s.protocol.opening(r.buf[:0], now), true)
	} else {
		p.poll(unix.EPOLLIN)
	}
	p.arm()
	return p
}

// poll waits for events of the client.
func (p *prompt) poll(events uint32) {
	set := p.r.loop.Add
	if p.polled {
		set = func(fd int, events uint32, _ loop.Source) error { return p.r.loop.Mod(fd, events) }
	}
	if err := set(p.fd, events, p); err != nil {
		p.end(journal.Reset) // no memory for it
		return
	}
	p.polled = true
}

// arm sets the clock to what comes first.
func (p *prompt) arm() {
	next := int64(0)
	for _, at := range [...]int64{p.ends, p.until, p.due} {
		if at > 0 && (next == 0 || at < next) {
			next = at
		}
	}
	if next == 0 || p.over {
		p.r.loop.Disarm(&p.timer)
	} else {
		p.r.loop.After(&p.timer, time.Duration(next-p.r.loop.Now()))
	}
}

// Expire ends a client whose time is over.
func (p *prompt) Expire(*loop.Timer) {
	now := p.r.loop.Now()
	switch {
	case p.ends > 0 && now >= p.ends:
		p.outstay(journal.Timeout)
	case p.until > 0 && now >= p.until && p.all:
		p.end(journal.Exit)
	case p.until > 0 && now >= p.until && p.takes():
		p.until = now + int64(writeStall)
	case p.until > 0 && now >= p.until:
		p.outstay(journal.Stalled)
	case p.due > 0 && now >= p.due:
		p.judge(now)
	}
	p.arm()
}

func (p *prompt) takes() bool {
	t, _ := inbound.Overhear(p.fd)
	return p.taken.more(t)
}

// judge asks for the client's pace. What lies in the socket of one that is too slow is thrown away by a reset.
func (p *prompt) judge(now int64) {
	p.due = 0
	t, ok := inbound.Overhear(p.fd)
	if !ok {
		return
	}
	why, next := p.pace.Look(now-p.start, t, func() int { return listener.Unread(p.fd) })
	if why != "" {
		p.last, p.reason = t, why
		p.end(why)
	} else if next > 0 {
		p.due = now + int64(next)
	}
}

// Ready goes on with the client.
func (p *prompt) Ready(uint32) {
	switch {
	case p.all:
		p.look()
	case p.rest != nil:
		rest := p.rest
		p.rest = nil
		if p.say(rest, p.r.s.protocol.opening != nil); p.rest == nil && !p.over && !p.all {
			p.until = 0
			p.poll(unix.EPOLLIN)
			p.arm()
		}
	default:
		p.hear()
	}
}

// hear reads once, and sends back what the protocol has for it.
func (p *prompt) hear() {
	n, err := take(p.fd, p.r.buf[:])
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
	case err != nil:
		p.end(journal.Reset)
	case n == 0:
		p.end(journal.Exit)
	default:
		if back := p.r.s.protocol.reply(p.r.buf[:n]); len(back) > 0 {
			p.say(back, false)
		}
	}
}

// say writes text, of which what has no room goes later. After the last of all its end is told, in one segment where it can be.
func (p *prompt) say(text []byte, all bool) {
	flags := 0
	if all {
		flags = unix.MSG_MORE
	}
	n, err := give(p.fd, text, flags)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR || err == nil && n < len(text):
		if p.until == 0 {
			p.takes()
			p.until = p.r.loop.Now() + int64(writeStall)
		}
		p.rest = bytes.Clone(text[max(n, 0):])
		p.poll(unix.EPOLLOUT)
		p.arm()
	case err == unix.EPIPE:
		p.end(journal.Exit)
	case err != nil:
		p.end(journal.Reset)
	case all:
		p.part()
	}
}

// part waits a moment for the client's end, after the last of what it gets. Closing at once would answer what it still
// sends with a reset, which may overtake the bytes that it is to get.
func (p *prompt) part() {
	if err := finish(p.fd); err != nil {
		p.end(journal.Exit) // it is gone, and had its bytes or will not miss them
		return
	}
	p.all, p.left, p.until = true, maxDrain, p.r.loop.Now()+int64(lastWords)
	p.arm()
	if p.polled {
		p.poll(unix.EPOLLIN)
		return
	}
	r := p.r
	r.answers = append(r.answers, p)
	if !r.glance.Armed() {
		r.loop.After(&r.glance, glanceEvery)
	}
}

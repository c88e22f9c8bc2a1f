package broker

import (
	"time"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/pace"

	"golang.org/x/sys/unix"
)

// client is a session as the events of its client's socket see it.
type client session

// attend begins to look after the client of a session that runs, as far as its service asks.
func (b *Broker) attend(s *session) {
	c, spec := (*client)(s), s.svc.spec
	s.client.Owner = c
	if spec.Hangup {
		if err := b.loop.Add(s.conn, unix.EPOLLRDHUP, c); err != nil {
			b.limitedNote("", "hangup", "a client's end will not be seen", err)
		}
	}
	next := spec.Idle
	if s.pace = pace.Of(s.svc.limit, b.loop.Now()); s.pace != nil {
		if _, tcp := inbound.Overhear(s.conn); !tcp {
			s.pace = nil
		} else if first := s.pace.First(); next == 0 || first < next {
			next = first
		}
	}
	if next > 0 {
		b.loop.After(&s.client, next)
	}
}

// Ready is called when the client has closed. Its program may be about to see that
// itself, or to answer somebody who has only said all: it has its grace. A reset is an end.
func (c *client) Ready(events uint32) {
	b := c.svc.b
	b.loop.Del(c.conn)
	if c.gone = true; events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.Expire(nil)
	} else {
		b.loop.After(&c.client, graceTime)
	}
}

// Expire ends a session whose client has gone, was idle for too long, or is slow.
func (c *client) Expire(*loop.Timer) {
	b := c.svc.b
	if c.gone {
		b.terminate((*session)(c), journal.Hangup)
		return
	}
	talk, _ := inbound.Overhear(c.conn)
	var why string
	var next time.Duration
	if c.pace != nil {
		why, next = c.pace.Look(b.loop.Now(), talk, func() int { return listener.Unread(c.conn) })
	}
	if idle := c.svc.spec.Idle; idle > 0 && why == "" {
		if left := idle - talk.Quiet; left <= 0 {
			why = journal.Idle
		} else if next == 0 || left < next {
			next = left
		}
	}
	if why != "" {
		b.terminate((*session)(c), why)
	} else if next > 0 {
		b.loop.After(&c.client, next)
	}
}

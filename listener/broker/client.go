package broker

import (
	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/pace"

	"golang.org/x/sys/unix"
)

// client is a session as the events of its client's socket see it.
type client session

// attend begins to look after the client of a session that runs, as far as its service or limit asks.
func (b *Broker) attend(s *session) {
	c, spec := (*client)(s), s.svc.spec
	s.client.Owner = c
	if spec.Hangup {
		if err := b.loop.Add(s.conn, unix.EPOLLRDHUP, c); err != nil {
			b.limitedNote("", "hangup", "a client's end will not be seen", err)
		}
	}
	if s.pace = pace.Of(s.svc.limit, spec.Idle, b.loop.Now()); s.pace != nil {
		if _, tcp := inbound.Overhear(s.conn); tcp {
			b.loop.After(&s.client, s.pace.First())
		} else {
			s.pace = nil
		}
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
	why, next := c.pace.Look(b.loop.Now(), talk, func() int { return listener.Unread(c.conn) })
	if why != "" {
		b.terminate((*session)(c), why)
	} else if next > 0 {
		b.loop.After(&c.client, next)
	}
}

package broker

import (
	"time"

	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"

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
	if spec.Idle > 0 {
		b.loop.After(&s.client, spec.Idle)
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

// Expire ends a session whose client has gone or was idle for too long.
func (c *client) Expire(*loop.Timer) {
	b := c.svc.b
	if c.gone {
		b.terminate((*session)(c), journal.Hangup)
		return
	}
	talk, _ := inbound.Overhear(c.conn)
	if left := c.svc.spec.Idle - time.Duration(talk.Quiet)*time.Millisecond; left > 0 {
		b.loop.After(&c.client, left)
		return
	}
	b.terminate((*session)(c), journal.Idle)
}

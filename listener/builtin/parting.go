package builtin

import (
	"time"

	"casemate/listener/inbound"
	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

// A client that has its answer is gone before long, most often by the time that the next one comes. Looking then costs less than to
// be told; one that is still there after some looks is polled.
const (
	glanceEvery = 2 * time.Millisecond
	maxLooks    = 4
)

// look looks after those who have their answer.
func (r *reactor) look() {
	kept := r.answers[:0]
	for _, p := range r.answers {
		if p.over {
			continue
		}
		if p.look(); p.over {
			continue
		}
		if p.looks++; p.looks < maxLooks {
			kept = append(kept, p)
		} else {
			p.poll(unix.EPOLLIN)
		}
	}
	clear(r.answers[len(kept):])
	if r.answers = kept; len(kept) > 0 {
		r.loop.After(&r.glance, glanceEvery)
	} else {
		r.loop.Disarm(&r.glance)
	}
}

// look ends a client that has ended, or that sends too much. What it sends is thrown away.
func (p *prompt) look() {
	for p.left > 0 {
		n, err := take(p.fd, p.r.buf[:])
		if err == unix.EAGAIN || err == unix.EINTR {
			return
		}
		if p.left -= n; n <= 0 {
			break
		}
	}
	p.end(journal.Exit)
}

// outstay ends a client after such an end. What one that outstayed has not taken in a moment, or one that takes nothing at all, would stay in
// the kernel for as long as it likes: it gets a reset.
func (p *prompt) outstay(reason string) {
	p.reason, p.ends, p.until, p.due = reason, 0, 0, 0
	if t, _ := inbound.Overhear(p.fd); reason != journal.Timeout || t.Due() == 0 {
		p.end(reason)
	} else if p.rest = nil; !p.all {
		p.part()
	} else {
		p.until = p.r.loop.Now() + int64(lastWords)
	}
}

// end closes the session, for its own reason or else for this.
func (p *prompt) end(reason string) {
	if p.over {
		return
	}
	p.over = true
	r, s := p.r, p.r.s
	delete(r.live, p)
	r.load.Add(-1)
	s.living.Add(-1)
	r.loop.Disarm(&p.timer)
	if p.polled {
		r.loop.Del(p.fd)
	}
	e := journal.Session{ID: p.id, Client: p.client.peer, Reason: reason, Detail: p.detail, Took: time.Since(p.began)}
	if p.reason != "" {
		e.Reason = p.reason
	}
	talk, tcp := p.last, p.client.network == "tcp"
	if tcp && talk == (inbound.Talk{}) {
		talk, tcp = inbound.Overhear(p.fd)
	}
	e.In, e.Out, e.Heard = talk.In, talk.Out, tcp
	if p.pace != nil {
		p.pace.Leave(p.fd)
	}
	if p.reason != "" && p.reason != journal.Killed && talk.Due() > 0 {
		_ = unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	drop(p.fd)
	s.gate.release(&p.client, &p.verdict, e.Reason)
	s.records.session(&e)
	s.idle.end()
	s.sessions.Done()
}

// shun ends it if it is to end by what an operator, or a load, has said.
func (p *prompt) shun() {
	if why := p.r.s.gate.said.shuns(&p.client, p.r.s.config.Service); why != "" {
		p.kill(why)
	}
}

// kill ends a session that somebody wants over.
func (p *prompt) kill(detail string) {
	p.reason, p.detail = journal.Killed, detail
	p.end(journal.Killed)
}

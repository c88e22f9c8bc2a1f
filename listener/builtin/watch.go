package builtin

import (
	"net"
	"sync"
	"time"

	"casemate/acl/limit"
	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/pace"
)

// watch ends a client that is slower than its limit has it, as the broker does for programs.
type watch struct {
	conn  *net.TCPConn
	began time.Time

	mu    sync.Mutex
	pace  *pace.Watch
	timer *time.Timer
	why   string // it ended the client
	last  inbound.Talk
	over  bool
}

// watched begins to watch a client; nil where nothing is said of slow ones, or it is none of tcp.
func watched(s stream, now time.Time, l *limit.Spec, idle time.Duration) *watch {
	c, tcp := s.(*net.TCPConn)
	p := pace.Of(l, idle, 0)
	if !tcp || p == nil {
		return nil
	}
	w := &watch{conn: c, began: now, pace: p}
	w.timer = time.AfterFunc(p.First(), w.look)
	return w
}

// look judges the client. The socket of one that is to go is closed, so that whoever reads or writes there is told; what lies in it
// is thrown away by a reset.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	var next time.Duration
	if !overheard(w.conn, func(fd int, t inbound.Talk) {
		w.last = t
		w.why, next = w.pace.Look(int64(time.Since(w.began)), t, func() int { return listener.Unread(fd) })
	}) {
		return
	}
	if w.why != "" {
		if w.last.Due() > 0 {
			_ = w.conn.SetLinger(0)
		}
		_ = w.conn.Close()
	} else if next > 0 {
		w.timer.Reset(next)
	}
}

// leave is for the end of the session, before its socket is closed.
func (w *watch) leave() {
	if w == nil {
		return
	}
	if raw, err := w.conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { w.pace.Leave(int(fd)) }) // one that is closed needs it no more
	}
}

// end tells why the client was ended, "" if it was not, and looks no more.
func (w *watch) end() string {
	if w == nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
	return w.why
}

// talk is what a connection has carried, after its watch has ended; false for one that is none of tcp.
func (c *conn) talk() (t inbound.Talk, tcp bool) {
	if w := c.watch; w != nil && w.why != "" {
		return w.last, true
	}
	tcp = overheard(c.stream, func(_ int, now inbound.Talk) { t = now })
	return t, tcp
}

// overheard tells f what the kernel knows of a tcp connection; false for one that is closed, or is none.
func overheard(c net.Conn, f func(fd int, t inbound.Talk)) bool {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return false
	}
	told := false
	err = raw.Control(func(fd uintptr) {
		var talk inbound.Talk
		if talk, told = inbound.Overhear(int(fd)); told {
			f(int(fd), talk)
		}
	})
	return told && err == nil
}

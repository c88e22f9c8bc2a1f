package broker

import (
	"errors"
	"time"

	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// maxUnsent is how many messages wait for a worker that does not read.
const maxUnsent = 4096

// After a worker's end the next one is started after 100 ms, doubled up to most for
// each that had not lived for a minute; the first two of these at once.
const (
	workerSettled = time.Minute
	workerChances = 2
)

// worker is one unprivileged helper of the broker (names, log) at the other end
// of a SOCK_SEQPACKET socketpair. It is started when it is first needed, and
// again when it dies.
type worker struct {
	b       *Broker
	name    string
	prepare func() (cell, error) // blocks; called once
	message func(m []byte)       // one message from it
	up      func()               // it runs; nothing was sent yet
	down    func()               // it is gone, and what it was asked is lost
	again   func()               // it may be started again, if anybody needs it

	cell     cell
	starting bool
	fd       int // our end, -1 = down
	pid      int
	born     int64
	failures int
	backoff  loop.Timer
	most     time.Duration // of a backoff
	unsent   []outgoing
	buf      []byte // holds the largest message it may send
	over     func() // set once it is to end for good
	last     []byte // the message that tells it to
	waits    bool   // for room to send
}

// outgoing is one message to a worker; fd is -1 or a descriptor to pass, which
// stays open here: what has to wait takes a copy, as the number may be another
// file's by then.
type outgoing struct {
	data []byte
	fd   int
	own  bool // fd is such a copy
}

func newWorker(b *Broker, name string, largest int) *worker {
	w := &worker{b: b, name: name, fd: -1, most: maxBackoff, buf: make([]byte, largest)}
	w.backoff.Owner = w
	return w
}

// running starts the worker unless it runs or is about to.
func (w *worker) running() bool {
	if w.fd >= 0 {
		return true
	}
	if w.starting || w.backoff.Armed() || w.b.stopping {
		return false
	}
	w.starting = true
	w.b.starting++
	uid, _ := w.b.leases.Take() // given back once it runs: take looks past what is in use
	var pid, fd int
	w.b.apart(func() (err error) { pid, fd, err = w.start(uid); return err }, func(err error) {
		if w.b.loop.Post(func() { w.b.starting--; w.b.leases.Give(uid); w.started(pid, fd, err) }) != nil && err == nil {
			unix.Close(fd)
		}
	})
	return false
}

// start runs on its own goroutine.
func (w *worker) start(uid uint32) (pid, fd int, err error) {
	if w.cell == nil {
		c, err := w.prepare()
		if err != nil {
			return 0, -1, err
		}
		w.cell = c
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, -1, err
	}
	pid, err = w.b.launch(w.cell, uid, pair[1])
	unix.Close(pair[1])
	if err != nil {
		unix.Close(pair[0])
		return 0, -1, err
	}
	return pid, pair[0], nil
}

// started is start's result, on the loop.
func (w *worker) started(pid, fd int, err error) {
	w.starting = false
	if err == nil {
		if err = w.b.loop.Add(fd, unix.EPOLLIN, w); err != nil {
			unix.Close(fd)
			kill(pid, unix.SIGKILL)
			w.b.reapLater(pid)
		}
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.pid, w.fd, w.born = pid, fd, w.b.loop.Now()
	w.b.helpers[pid] = true
	w.up()
	if w.over != nil {
		w.send(outgoing{data: w.last, fd: -1})
	}
}

// fail makes the next start wait.
func (w *worker) fail(err error) {
	if w.over != nil {
		w.gone()
		return
	}
	w.failures++
	w.b.limitedNote("", "worker "+w.name, "worker "+w.name+" failed, starting it again", err)
	pause := time.Duration(0)
	if w.failures > workerChances {
		pause = backoffAfter(w.failures-workerChances, firstBackoff, w.most)
	}
	w.b.loop.After(&w.backoff, pause)
	w.down()
}

// Expire ends the backoff, or the patience with a worker that is to end.
func (w *worker) Expire(*loop.Timer) {
	if w.over != nil {
		w.gone()
		return
	}
	w.again()
}

// send queues a message. It reports false when the worker is down or does not
// read: the caller goes on without it.
func (w *worker) send(m outgoing) bool {
	if w.fd < 0 || len(w.unsent) >= maxUnsent {
		return false
	}
	w.unsent = append(w.unsent, m)
	w.flush()
	if n := len(w.unsent) - 1; n >= 0 && m.fd >= 0 && !w.unsent[n].own {
		fd, err := unix.FcntlInt(uintptr(m.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			w.end(err)
			return false
		}
		w.unsent[n].fd, w.unsent[n].own = fd, true
	}
	return w.fd >= 0
}

// sent lets go of what the first n messages held.
func (w *worker) sent(n int) {
	for _, m := range w.unsent[:n] {
		if m.own {
			unix.Close(m.fd)
		}
	}
	w.unsent = w.unsent[n:]
}

// flush sends what the socket takes.
func (w *worker) flush() {
	for len(w.unsent) > 0 {
		m := w.unsent[0]
		var rights []byte
		if m.fd >= 0 {
			rights = unix.UnixRights(m.fd)
		}
		err := unix.Sendmsg(w.fd, m.data, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			w.sent(1)
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ETOOMANYREFS):
			w.want(true)
			return
		default:
			w.end(err)
			return
		}
	}
	w.unsent = nil
	w.want(false)
}

func (w *worker) want(room bool) {
	if w.waits == room {
		return
	}
	w.waits = room
	events := uint32(unix.EPOLLIN)
	if room {
		events |= unix.EPOLLOUT
	}
	_ = w.b.loop.Mod(w.fd, events)
}

// Ready takes the worker's messages and sends what waited for room.
func (w *worker) Ready(events uint32) {
	for range maxDatagrams {
		n, _, err := unix.Recvfrom(w.fd, w.buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if events&unix.EPOLLOUT != 0 {
				w.flush()
			}
			return
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil && n == 0:
			err = errors.New("it ended")
		case err == nil && n > len(w.buf):
			err = errors.New("it sent a message that is too long")
		}
		if err != nil {
			w.end(err)
			return
		}
		w.message(w.buf[:n])
		if w.fd < 0 {
			return
		}
	}
}

// end lets go of a worker that died, or that broke the protocol.
func (w *worker) end(err error) {
	kill(w.pid, unix.SIGKILL)
	w.letGo()
	if time.Duration(w.b.loop.Now()-w.born) >= workerSettled {
		w.failures = 0
	}
	w.fail(err)
}

// letGo closes our end, and what waited to be sent over it. The process is reaped
// when it has ended.
func (w *worker) letGo() {
	w.b.loop.Del(w.fd)
	unix.Close(w.fd)
	delete(w.b.helpers, w.pid)
	w.b.reapLater(w.pid)
	w.sent(len(w.unsent))
	w.fd, w.pid, w.unsent, w.waits = -1, 0, nil, false
}

// stop lets the worker end for good.
func (w *worker) stop() {
	w.b.loop.Disarm(&w.backoff)
	if w.fd >= 0 {
		w.letGo()
	}
}

// finish tells the worker to end, takes what it still has to ask and to say, and
// calls done when it has ended or patience has.
func (w *worker) finish(patience time.Duration, last []byte, done func()) {
	w.over, w.last = done, last
	switch {
	case w.fd >= 0:
		w.b.loop.After(&w.backoff, patience)
		w.send(outgoing{data: last, fd: -1})
	case w.starting:
		w.b.loop.After(&w.backoff, patience) // started goes on
	default:
		w.gone()
	}
}

// gone is the end of a worker that was to end.
func (w *worker) gone() {
	w.stop()
	w.over()
}

package broker

import (
	"errors"
	"time"

	"casemate/listener"
	"casemate/listener/loop"
	"casemate/listener/warden/hands"
	"casemate/listener/wire"

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

// A worker that has said nothing for deafAfter counts as one that is stopped; after deadAfter another one is started.
const (
	deafAfter = time.Second
	deadAfter = 5 * time.Second
)

// lastWords is how long a stopping broker waits for what the log worker still has.
const lastWords = time.Second

// last tells a worker to end.
var last = wire.Order{Kind: wire.Last}.Encode()

// worker is one unprivileged helper of the broker (names, log, denials, relay) at the other end
// of a SOCK_SEQPACKET socketpair. It is started when it is first needed, and
// again when it dies.
type worker struct {
	b      *Broker
	name   string
	helper hands.Role
	heard  func(wire.Report) // one message from it
	up     func()            // it runs; nothing was sent yet
	down   func()            // it is gone, and what it was asked is lost
	again  func()            // it may be started again, if anybody needs it

	starting bool
	replaced bool // it is told to end, because the next one is to be another
	fd       int  // our end, -1 = down
	pid      int
	born     int64
	heardAt  int64  // when it said something last
	answered uint64 // the last ping that had a number
	failures int
	backoff  loop.Timer
	most     time.Duration // of a backoff
	unsent   [][]byte
	buf      []byte
	over     func() // set once it is to end for good
	waits    bool   // for room to send
}

func newWorker(b *Broker, name string) *worker {
	w := &worker{b: b, name: name, helper: b.hands.Helper(name), fd: -1, most: maxBackoff, buf: make([]byte, wire.MaxReport)}
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
	var pid, fd int
	w.b.apart(func() (err error) { pid, fd, err = w.start(); return err }, func(err error) {
		if w.b.loop.Post(func() { w.started(pid, fd, err) }) != nil && err == nil {
			listener.Close(fd)
		}
	})
	return false
}

// start runs on its own goroutine.
func (w *worker) start() (pid, fd int, err error) {
	pid, fd, losses, err := w.helper.Start()
	for _, l := range losses {
		w.b.Log("not enforced on this host: casemate-"+w.name, l)
	}
	return pid, fd, err
}

// started is start's result, on the loop.
func (w *worker) started(pid, fd int, err error) {
	w.starting = false
	if err == nil {
		if err = w.b.loop.Add(fd, unix.EPOLLIN, w); err != nil {
			listener.Close(fd)
			w.b.hands.Kill(pid, unix.SIGKILL)
			w.b.hands.Bury(pid)
		}
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.pid, w.fd, w.born, w.heardAt = pid, fd, w.b.loop.Now(), w.b.loop.Now()
	w.up()
	if w.over != nil {
		w.send(last)
	}
}

// fail makes the next start wait.
func (w *worker) fail(err error) {
	if w.over != nil {
		w.gone()
		return
	}
	w.failures++
	w.b.limitedNote("", "worker "+w.name, "worker "+w.name+" ended or did not start, another one follows", err)
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
	if w.again(); w.replaced {
		w.end(errReplaced)
	}
}

// send queues a message. It reports false when the worker is down or does not
// read: the caller goes on without it.
func (w *worker) send(m []byte) bool {
	if w.fd < 0 || len(w.unsent) >= maxUnsent {
		return false
	}
	w.unsent = append(w.unsent, m)
	w.flush()
	return w.fd >= 0
}

// pass sends a message with descriptors now, or not at all.
func (w *worker) pass(m []byte, fds ...int) bool {
	return w.fd >= 0 && len(w.unsent) == 0 && unix.Sendmsg(w.fd, m, unix.UnixRights(fds...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) == nil
}

// silence asks the worker for a sign of life, and is how long it has given none. One that
// has not for deadAfter is ended.
func (w *worker) silence() time.Duration {
	quiet := time.Duration(w.b.loop.Now() - w.heardAt)
	switch {
	case quiet < deafAfter:
		w.send(wire.Order{Kind: wire.Ping}.Encode())
	case quiet > deadAfter && w.fd >= 0:
		w.end(errors.New("it does not answer"))
		w.heardAt, quiet = w.b.loop.Now(), 0 // the next one has its time
	}
	return quiet
}

// errReplaced is why a worker ends that has its time for that.
var errReplaced = errors.New("its program or a file of its own is another one")

// renew replaces a worker that is not made from what lies on the disk. It blocks. What the
// old one is told meanwhile, the next one is told again.
func (w *worker) renew() {
	now := w.helper.Stamp()
	_ = w.b.loop.Do(func() {
		if w.fd < 0 || w.helper.Made() == now || w.over != nil || w == w.b.relays.worker && len(w.b.relays.of) > 0 {
			return
		}
		w.replaced = true
		w.b.loop.After(&w.backoff, lastWords)
		if !w.send(last) {
			w.Expire(nil)
		}
	})
}

// flush sends what the socket takes.
func (w *worker) flush() {
	for len(w.unsent) > 0 {
		err := unix.Sendto(w.fd, w.unsent[0], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		switch {
		case err == nil:
			w.unsent = w.unsent[1:]
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
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
		n, err := listener.Recv(w.fd, w.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if events&unix.EPOLLOUT != 0 {
				w.flush()
			}
			return
		case err == nil && n == 0:
			err = errors.New("it ended")
		case err == nil && n > len(w.buf):
			err = errors.New("it sent a message that is too long")
		}
		var r wire.Report
		if err == nil {
			r, err = wire.DecodeReport(w.buf[:n])
		}
		if err != nil {
			w.end(err)
			return
		}
		if w.heardAt = w.b.loop.Now(); r.Kind == wire.Pong && r.ID > 0 {
			w.answered = r.ID
		}
		w.heard(r)
		if w.fd < 0 {
			return
		}
	}
}

// end lets go of a worker that died, or that broke the protocol.
func (w *worker) end(err error) {
	w.b.hands.Kill(w.pid, unix.SIGKILL)
	if w.replaced || time.Duration(w.b.loop.Now()-w.born) >= workerSettled {
		w.failures = 0
	}
	w.letGo()
	w.fail(err)
}

// letGo closes our end. The process is reaped
// when it has ended.
func (w *worker) letGo() {
	w.b.loop.Del(w.fd)
	listener.Close(w.fd)
	w.b.hands.Bury(w.pid)
	w.fd, w.pid, w.unsent, w.waits, w.replaced = -1, 0, nil, false, false
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
func (w *worker) finish(patience time.Duration, done func()) {
	w.over = done
	switch {
	case w.fd >= 0:
		w.b.loop.After(&w.backoff, patience)
		w.send(last)
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

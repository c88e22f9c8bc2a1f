package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"casemate/listener/journal"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

const (
	// maxRead is as much of one pipe as is read in its turn: what a pipe holds.
	maxRead = 64 << 10
	// turnEvery bounds how often the pipes have their turn: a session that writes
	// without end is read no faster, and thousands that end are not thousands of wakes,
	// which cost as much as a third of a short session.
	turnEvery = 20 * time.Millisecond
	maxReady  = 256 // pipes in one turn
	maxTurns  = 256 // when the worker is to end and somebody goes on writing
)

// pipes are the reading ends of all sessions' stderr, and the sockets of their
// /dev/log. Only some and taken are for another goroutine, which waits for pipes to
// have something, and back is for those that aside starts.
type pipes struct {
	tell   func(wire.Report)
	ledger *ledger
	epoll  *os.File
	raw    syscall.RawConn
	some   chan struct{} // there are some ready
	taken  chan struct{} // and they have had their turn
	open   map[uint32]*pipe
	left   map[uint32]int // of those that came together, by the first one's number
	asked  int            // questions without answer
	away   int            // messages that aside is taking
	back   chan message   // and has taken
	done   chan struct{}
	events []unix.EpollEvent
	buf    []byte
}

// pipe is one of them. Nothing is read of it before its session is known.
type pipe struct {
	fd     int
	socket bool
	over   bool // nobody will send to the socket any more
	away   bool // another goroutine takes a message off it
	asked  bool
	writer *writer // nil = not known yet
}

func newPipes(tell func(wire.Report), l *ledger) (*pipes, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Only a non-blocking file does Go wait for without holding a thread.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &pipes{tell: tell, ledger: l, epoll: os.NewFile(uintptr(fd), "pipes"), some: make(chan struct{}), taken: make(chan struct{}), back: make(chan message), done: make(chan struct{}),
		open: make(map[uint32]*pipe), left: make(map[uint32]int), events: make([]unix.EpollEvent, maxReady), buf: make([]byte, maxRead)}
	p.raw, err = p.epoll.SyscallConn()
	return p, err
}

func (p *pipes) close() {
	close(p.done)
	for _, x := range p.open {
		unix.Close(x.fd)
	}
	_ = p.epoll.Close()
}

// wait tells whenever pipes are ready, until done or the end of p.
func (p *pipes) wait(done chan struct{}) {
	ready := make([]unix.EpollEvent, 1)
	for {
		err := p.raw.Read(func(fd uintptr) bool {
			n, err := unix.EpollWait(int(fd), ready, 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
		if err != nil {
			return
		}
		for _, c := range []struct{ some, taken chan struct{} }{{some: p.some}, {taken: p.taken}} {
			select {
			case c.some <- struct{}{}:
			case <-c.taken:
			case <-done:
				return
			}
		}
		time.Sleep(turnEvery)
	}
}

// add takes the pipes or sockets of one store, numbered from first on.
func (p *pipes) add(first uint32, store *os.File, sockets bool) error {
	defer store.Close()
	fds, err := wire.Peek(int(store.Fd()))
	if err != nil || p.left[first] > 0 {
		return fmt.Errorf("pipes from %d: not new, or no store: %w", first, err)
	}
	for i, fd := range fds {
		n := first + uint32(i)
		p.open[n] = &pipe{fd: fd, socket: sockets}
		p.left[first]++
		err = errors.Join(err, unix.SetNonblock(fd, true), p.watch(unix.EPOLL_CTL_ADD, n))
	}
	return err
}

func (p *pipes) watch(op int, n uint32) error {
	return p.control(func(epoll int) error {
		return unix.EpollCtl(epoll, op, p.open[n].fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(n)})
	})
}

func (p *pipes) control(f func(epoll int) error) (err error) {
	if cerr := p.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// read gives each pipe that has something its turn, and reports whether there was one.
func (p *pipes) read(now time.Time) bool {
	n := 0
	err := p.control(func(epoll int) (err error) { n, err = unix.EpollWait(epoll, p.events, 0); return err })
	if err != nil {
		return false
	}
	for _, e := range p.events[:n] {
		number := uint32(e.Fd)
		switch x := p.open[number]; {
		case x == nil:
		case x.writer != nil && x.socket:
			p.receive(number, x, now)
		case x.writer != nil:
			p.readOne(number, x, now)
		case e.Events&unix.EPOLLIN == 0: // its session was silent
			p.drop(number, x)
		default:
			p.ask(number, x)
		}
	}
	return n > 0
}

// ask asks for the session, until whose answer the pipe itself holds what was written.
func (p *pipes) ask(number uint32, x *pipe) {
	if !x.asked {
		x.asked = true
		p.asked++
		_ = p.watch(unix.EPOLL_CTL_DEL, number)
		p.tell(wire.Report{Kind: wire.Whose, Pipe: number})
	}
}

func (p *pipes) readOne(number uint32, x *pipe, now time.Time) {
	n, err := unix.Read(x.fd, p.buf)
	switch {
	case n > 0:
		p.ledger.write(x.writer, p.buf[:n], now)
	case err == nil:
		p.drop(number, x)
	}
}

// drop forgets a pipe that nobody can write to any more.
func (p *pipes) drop(number uint32, x *pipe) {
	if x.writer != nil {
		p.ledger.ended(x.writer, time.Now())
	}
	_ = p.watch(unix.EPOLL_CTL_DEL, number) // the store has it still, so closing it would not do
	unix.Close(x.fd)
	delete(p.open, number)
	first := number - number%wire.PipesAtOnce
	if p.left[first]--; p.left[first] == 0 {
		delete(p.left, first)
		p.tell(wire.Report{Kind: wire.Done, Pipe: first})
	}
}

// belongs is the answer about a pipe: from now on it is read.
func (p *pipes) belongs(o wire.Order) error {
	x := p.open[o.Pipe]
	if x == nil || !x.asked || x.writer != nil {
		return fmt.Errorf("an answer about pipe %d without a question", o.Pipe)
	}
	p.asked--
	what := map[bool]string{false: journal.StderrLines, true: journal.SyslogLines}[x.socket]
	x.writer = p.ledger.beginAs(what, o.Name, o.ID, o.Kind == wire.Records, time.Now())
	x.writer.counted = func(c *wire.Counts) { p.tell(wire.Report{Kind: wire.Counted, Pipe: o.Pipe, Counts: c}) }
	err := p.watch(unix.EPOLL_CTL_ADD, o.Pipe)
	if x.over {
		p.receive(o.Pipe, x, time.Now())
	}
	return err
}

// rest reads what the pipes hold, and reports whether that was all of it.
func (p *pipes) rest(now time.Time) bool {
	for range maxTurns {
		if !p.read(now) {
			return p.asked == 0 && p.away == 0
		}
	}
	return true
}

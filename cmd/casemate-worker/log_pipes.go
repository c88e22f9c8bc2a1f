package main

import (
	"errors"
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
	// fullEvery is the same after a turn in which a built-in's pipe was about full: its records are one of each session, which are
	// limited elsewhere, and are lost while it waits for room.
	fullEvery = time.Millisecond
	maxReady  = 256 // pipes in one turn
	maxTurns  = 256 // when the worker is to end and somebody goes on writing
)

// pipes are the reading ends of sessions' stderr and stdout, and the sockets of their /dev/log.
// Only some and taken are for another goroutine, which waits for pipes to have
// something, and back is for those that aside starts.
type pipes struct {
	tell   func(wire.Report)
	ledger *ledger
	epoll  *os.File
	raw    syscall.RawConn
	some   chan struct{} // there are some ready
	taken  chan bool     // and they have had their turn: the value of full
	full   bool          // a built-in's was, in the last turn
	open   map[int]*pipe // by descriptor
	away   int           // messages that aside is taking
	back   chan message  // and has taken
	done   chan struct{}
	events []unix.EpollEvent
	buf    []byte
}

// pipe is one of them.
type pipe struct {
	file   *os.File
	whose  wire.Order
	writer *writer // nil = it was silent so far
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
	p := &pipes{tell: tell, ledger: l, epoll: os.NewFile(uintptr(fd), "pipes"), some: make(chan struct{}), taken: make(chan bool), back: make(chan message), done: make(chan struct{}),
		open: make(map[int]*pipe), events: make([]unix.EpollEvent, maxReady), buf: make([]byte, maxRead)}
	p.raw, err = p.epoll.SyscallConn()
	return p, err
}

func (p *pipes) close() {
	close(p.done)
	for _, x := range p.open {
		_ = x.file.Close()
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
		select {
		case p.some <- struct{}{}:
		case <-done:
			return
		}
		every := turnEvery
		select {
		case full := <-p.taken:
			if full {
				every = fullEvery
			}
		case <-done:
			return
		}
		time.Sleep(every)
	}
}

// add takes one: from now on it is read.
func (p *pipes) add(whose wire.Order, file *os.File) error {
	fd := int(file.Fd())
	p.open[fd] = &pipe{file: file, whose: whose}
	return errors.Join(unix.SetNonblock(fd, true), p.watch(unix.EPOLL_CTL_ADD, fd))
}

func (p *pipes) watch(op, fd int) error {
	return p.control(func(epoll int) error {
		return unix.EpollCtl(epoll, op, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
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
	p.full = false
	err := p.control(func(epoll int) (err error) { n, err = unix.EpollWait(epoll, p.events, 0); return err })
	if err != nil {
		return false
	}
	for _, e := range p.events[:n] {
		switch x := p.open[int(e.Fd)]; {
		case x == nil:
		case x.whose.Kind == wire.Syslog:
			p.receive(int(e.Fd), x, e.Events&unix.EPOLLHUP != 0, now)
		default:
			p.readOne(int(e.Fd), x, now)
		}
	}
	return n > 0
}

func (p *pipes) readOne(fd int, x *pipe, now time.Time) {
	n, err := unix.Read(fd, p.buf)
	switch {
	case n > 0:
		p.full = p.full || x.whose.Kind == wire.Records && n > maxRead/2 // what is written in pieces leaves gaps in it
		p.ledger.write(p.writerOf(x, now), p.buf[:n], now)
	case err == nil:
		p.drop(fd, x, now)
	}
}

// writerOf is whom x belongs to, who begins to write with its first byte.
func (p *pipes) writerOf(x *pipe, now time.Time) *writer {
	if x.writer == nil {
		what := map[wire.Kind]string{wire.Syslog: journal.SyslogLines, wire.Stdout: journal.StdoutLines}[x.whose.Kind]
		if what == "" {
			what = journal.StderrLines
		}
		x.writer = p.ledger.beginAs(what, x.whose.Name, x.whose.ID, x.whose.Kind == wire.Records, now)
		x.writer.counted = func(c *wire.Counts) { p.tell(wire.Report{Kind: wire.Counted, ID: x.whose.ID, Counts: c}) }
	}
	return x.writer
}

// drop forgets a pipe that nobody can write to any more.
func (p *pipes) drop(fd int, x *pipe, now time.Time) {
	if x.writer != nil {
		p.ledger.ended(x.writer, now)
	}
	_ = p.watch(unix.EPOLL_CTL_DEL, fd) // the broker has it still, so closing it would not do
	_ = x.file.Close()
	delete(p.open, fd)
	p.tell(wire.Report{Kind: wire.Done, ID: x.whose.ID, Of: x.whose.Kind})
}

// rest reads what the pipes hold, and reports whether that was all of it.
func (p *pipes) rest(now time.Time) bool {
	for range maxTurns {
		if !p.read(now) {
			return p.away == 0
		}
	}
	return true
}

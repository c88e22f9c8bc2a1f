package broker

import (
	"os"
	"time"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/warden"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// youth is how old a session's pipe is before the log worker gets it: most sessions are
// shorter and write nothing, and of those it never hears.
const youth = 50 * time.Millisecond

// pipe is one session's stderr or stdout, or the socket that its /dev/log leads to: its programs write to
// it, and nobody else can. The broker reads none of it, but keeps the end to read until all is
// said, so that no program meets a broken pipe when a log worker dies. A pipe is never used again:
// what a session leaves behind could have kept a way to it (O_PATH) that no end of it tells of.
type pipe struct {
	fd    int // to read; -1 = closed
	whose wire.Order
	born  int64
	count *counted // of the worker of a built-in
	given bool     // the log worker has it
	done  bool     // and has read to its end
	over  bool     // its session has ended
	// rights: what is sent to the socket may hold descriptors, so that who takes it away may
	// close somebody's socket and have to wait for its linger. That is for the log worker.
	rights bool
}

// open makes it, and the end for programs, which of a socket is the same one.
func (p *pipe) open() (end int, err error) {
	ends, step := [2]int{-1, -1}, "pipe2"
	if p.whose.Kind == wire.Syslog {
		step = "socket"
		if ends[0], err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			step, p.rights = "fcntl", unix.SetsockoptInt(ends[0], unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) != nil // before Linux 6.16
			ends[1], err = unix.FcntlInt(uintptr(ends[0]), unix.F_DUPFD_CLOEXEC, 0)
		}
	} else if err = unix.Pipe2(ends[:], unix.O_CLOEXEC); err == nil {
		// So that the programs may open /dev/stderr, which is a link to it, but not to read.
		step, err = "fchmod", unix.Fchmod(ends[1], 0o222)
	}
	if err != nil {
		unix.Close(ends[0])
		unix.Close(ends[1])
		return -1, os.NewSyscallError(step, err)
	}
	p.fd = ends[0]
	return ends[1], nil
}

// take gives a session its pipe or socket. Where no descriptor is left for that as for a pidfd
// it is /dev/null, or a socket that is gone when nobody holds it. The end is the caller's to close.
func (l *logWorker) take(s *session, kind wire.Kind) (end int, err error) {
	p := &pipe{whose: wire.Order{Kind: kind, ID: s.id, Name: s.run.name}, born: l.b.loop.Now()}
	if end, err = p.open(); err != nil {
		return -1, err
	}
	if p.fd >= l.b.maxFiles-warden.Reserve && kind != wire.Records {
		unix.Close(p.fd)
		what := map[wire.Kind]string{wire.Text: "stderr", wire.Stdout: "stdout", wire.Syslog: "syslog"}[kind]
		if kind != wire.Syslog {
			unix.Close(end)
			end, err = unix.FcntlInt(l.b.conf.Null.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		}
		l.b.limitedNote(s.run.name, what, what+" of new sessions is not logged, for want of descriptors", unix.EMFILE)
		return end, err
	}
	if kind == wire.Records {
		s.counts = &counted{tally: s.svc.tally, said: -1}
		p.count = s.counts
	}
	s.pipes, l.pipes[wire.Order{Kind: kind, ID: s.id}] = append(s.pipes, p), p
	l.young = append(l.young, p)
	if !l.sweep.Armed() {
		l.b.loop.After(&l.sweep, youth)
	}
	return end, nil
}

// give has the log worker read a pipe, if it can be told.
func (l *logWorker) give(p *pipe) {
	if !l.watch.Armed() {
		l.worker.heardAt = l.b.loop.Now()
		l.b.loop.After(&l.watch, watchEvery)
	}
	p.given = l.worker.running() && l.worker.pass(p.whose.Encode(), p.fd)
}

// introduce gives the log worker the pipes that it does not know and should.
func (l *logWorker) introduce() {
	young := l.young[:0]
	for _, p := range l.young {
		if p.fd >= 0 {
			l.look(p)
		}
		if p.fd >= 0 && !p.given {
			young = append(young, p)
		}
	}
	clear(l.young[len(young):])
	if l.young = young; len(young) > 0 {
		l.b.loop.After(&l.sweep, youth)
	}
}

// look lets go of a pipe of a session that is over if nothing was written to it, and nobody
// can: for a moment, a session that is just being started holds what its zygote did. It
// gives the log worker one with something in it, and any that is old enough.
func (l *logWorker) look(p *pipe) {
	one, n := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, -1
	if p.over {
		n, _ = unix.Poll(one, 0) // without an answer it is kept
	}
	switch {
	case one[0].Revents == unix.POLLHUP, n == 0 && p.whose.Kind == wire.Syslog && !p.rights:
		l.close(p)
	case n > 0, l.b.loop.Now()-p.born >= int64(youth), l.b.closing:
		l.give(p)
	}
}

// left is called at the end of a session.
func (l *logWorker) left(s *session) {
	if s.counts != nil {
		s.counts.end()
	}
	for _, p := range s.pipes {
		switch p.over = true; {
		case p.done:
			l.close(p)
		case !p.given:
			l.look(p)
		}
		if p.fd >= 0 && p.whose.Kind == wire.Syslog {
			_ = unix.Shutdown(p.fd, unix.SHUT_RDWR) // an end, as a pipe has by itself
		}
	}
	s.pipes = nil
}

func (l *logWorker) close(p *pipe) {
	if p.rights && !p.done {
		listener.Close(p.fd) // with what lies in it
	} else {
		unix.Close(p.fd)
	}
	p.fd = -1
	delete(l.pipes, wire.Order{Kind: p.whose.Kind, ID: p.whose.ID})
}

// discard empties the sockets, and the pipes that are so full that a program may be waiting, and
// counts what is lost of whom. Nothing is read: the pages go as they are. Of sessions that are
// over nothing is kept for a worker that cannot be had.
func (l *logWorker) discard() {
	null := int(l.b.conf.Null.Fd())
	for _, p := range l.pipes {
		over, lost := p.over && l.worker.fd < 0, journal.Suppressed{What: journal.StderrBytes, Service: p.whose.Name}
		switch held, _ := unix.IoctlGetInt(p.fd, unix.TIOCINQ); {
		case p.rights && !over: // only the worker takes anything away
			continue
		case p.rights: // and how much there is nobody can tell
			if lost.What = journal.SyslogLost; held > 0 {
				l.lost[lost]++
			}
		case p.whose.Kind == wire.Syslog: // nobody can tell how full one is
			lost.What = journal.SyslogLost
			for n := 0; n < maxDatagrams || over; n++ {
				if inbound.DropDatagram(p.fd) != nil {
					break
				}
				l.lost[lost]++
			}
		case held > 0:
			if p.whose.Kind == wire.Stdout {
				lost.What = journal.StdoutBytes
			}
			size, _ := unix.FcntlInt(uintptr(p.fd), unix.F_GETPIPE_SZ, 0)
			if !over && 2*held < size { // each page of a full one is more than half full
				break
			}
			if n, err := unix.Splice(p.fd, nil, null, nil, held, unix.SPLICE_F_NONBLOCK); err == nil {
				l.lost[lost] += uint64(n)
			}
		}
		if over {
			l.close(p)
		}
	}
}

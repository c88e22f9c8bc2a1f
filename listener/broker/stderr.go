package broker

import (
	"os"

	"casemate/listener/journal"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// pipes are wire.PipesAtOnce pipes, one for each session: its programs write to it
// as their descriptor 2, the log worker reads it. The reading ends lie in a
// store, where every log worker finds them: they cost the broker one descriptor,
// no program meets a broken pipe when a worker dies, and none is read here. Or they
// are sockets that the sessions' /dev/log lead to, both of whose ends are the same.
type pipes struct {
	kind  wire.Kind // Pipes or Sockets
	first uint32    // their numbers for the log worker count from it
	store int
	ends  [wire.PipesAtOnce]int        // to write to; ours from used on
	whose [wire.PipesAtOnce]wire.Order // the answer about each, up to used
	used  int
	count [wire.PipesAtOnce]*counted // of the workers of built-ins
	live  int                        // sessions that have one
	done  bool                       // the log worker has read all to their ends
	// rights: what is sent to them may hold descriptors, so that who takes it away may
	// close somebody's socket and have to wait for its linger. That is for the log worker.
	rights bool
}

func newPipes(kind wire.Kind, first uint32) (_ *pipes, err error) {
	p := &pipes{kind: kind, first: first, store: -1}
	var reading []int
	defer func() {
		for i, fd := range reading {
			unix.Close(fd)
			if err != nil {
				unix.Close(p.ends[i])
			}
		}
	}()
	for i := range p.ends {
		pair, err := p.pair()
		if err != nil {
			return nil, err
		}
		reading, p.ends[i] = append(reading, pair[0]), pair[1]
	}
	p.store, err = wire.Store(reading)
	return p, err
}

// pair makes one of them: its end to read and its end to write.
func (p *pipes) pair() (pair [2]int, err error) {
	if p.kind == wire.Sockets {
		if pair[0], err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return pair, os.NewSyscallError("socket", err)
		}
		p.rights = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) != nil // before Linux 6.16
		if pair[1], err = unix.FcntlInt(uintptr(pair[0]), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			unix.Close(pair[0])
		}
		return pair, os.NewSyscallError("fcntl", err)
	}
	if err := unix.Pipe2(pair[:], unix.O_CLOEXEC); err != nil {
		return pair, os.NewSyscallError("pipe2", err)
	}
	// So that the programs may open /dev/stderr, which is a link to it, but not to read.
	if err = unix.Fchmod(pair[1], 0o222); err != nil {
		unix.Close(pair[0])
		unix.Close(pair[1])
	}
	return pair, os.NewSyscallError("fchmod", err)
}

// over tells that no session will have to do with them any more.
func (p *pipes) over() bool { return p.live == 0 && p.used == len(p.ends) }

// close lets go of what the programs do not hold.
func (p *pipes) close() {
	for _, fd := range p.ends[p.used:] {
		unix.Close(fd)
	}
	unix.Close(p.store)
}

// discard empties the pipes that are so full that a program may be waiting, or all of
// them, and counts what was lost of whom. Nothing is read: the pages go as they are.
func (p *pipes) discard(all bool, lost map[journal.Suppressed]uint64) {
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(null)
	if p.rights {
		return
	}
	fds, err := wire.Peek(p.store)
	if err != nil {
		return
	}
	for i, fd := range fds {
		switch held, _ := unix.IoctlGetInt(fd, unix.TIOCINQ); {
		case i >= p.used:
		case p.kind == wire.Sockets: // nobody can tell how full one is
			for n := 0; n >= 0; { // MSG_TRUNC: nothing is copied
				if n, _, err = unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT|unix.MSG_TRUNC); err == nil {
					lost[journal.Suppressed{What: journal.SyslogLost, Service: p.whose[i].Name}]++
				}
			}
		case held > 0:
			size, _ := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
			if !all && 2*held < size { // each page of a full one is more than half full
				break
			}
			if n, err := unix.Splice(fd, nil, null, nil, held, unix.SPLICE_F_NONBLOCK); err == nil {
				lost[journal.Suppressed{What: journal.StderrBytes, Service: p.whose[i].Name}] += uint64(n)
			}
		}
		unix.Close(fd)
	}
}

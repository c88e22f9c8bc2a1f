package broker

import (
	"os"

	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// pipes are wire.PipesAtOnce pipes, one for each session: its programs write to it
// as their descriptor 2, the log worker reads it. The reading ends lie in a
// store, where every log worker finds them: they cost the broker one descriptor,
// no program meets a broken pipe when a worker dies, and none is read here.
type pipes struct {
	first uint32 // their numbers for the log worker count from it
	store int
	ends  [wire.PipesAtOnce]int        // to write to; ours from used on
	whose [wire.PipesAtOnce]wire.Order // the answer about each, up to used
	used  int
	count [wire.PipesAtOnce]*counted // of the workers of built-ins
	live  int                        // sessions that have one
	done  bool                       // the log worker has read all to their ends
}

func newPipes(first uint32) (_ *pipes, err error) {
	p := &pipes{first: first, store: -1}
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
		var pair [2]int
		if err := unix.Pipe2(pair[:], unix.O_CLOEXEC); err != nil {
			return nil, os.NewSyscallError("pipe2", err)
		}
		reading, p.ends[i] = append(reading, pair[0]), pair[1]
		// So that the programs may open /dev/stderr, which is a link to it, but not to read.
		if err := unix.Fchmod(pair[1], 0o222); err != nil {
			return nil, os.NewSyscallError("fchmod", err)
		}
	}
	p.store, err = wire.Store(reading)
	return p, err
}

// close lets go of what the programs do not hold.
func (p *pipes) close() {
	for _, fd := range p.ends[p.used:] {
		unix.Close(fd)
	}
	unix.Close(p.store)
}

// discard empties the pipes that are so full that a program may be waiting, or all of
// them, and tells of how many bytes whose were lost. Nothing is read: the pages go as they are.
func (p *pipes) discard(all bool, lost map[string]uint64) {
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(null)
	fds, err := wire.Peek(p.store)
	if err != nil {
		return
	}
	for i, fd := range fds {
		held, _ := unix.IoctlGetInt(fd, unix.TIOCINQ)
		size, _ := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
		// Each page of a full one is more than half full.
		if held > 0 && i < p.used && (all || 2*held >= size) {
			if n, err := unix.Splice(fd, nil, null, nil, held, unix.SPLICE_F_NONBLOCK); err == nil {
				lost[p.whose[i].Name] += uint64(n)
			}
		}
		unix.Close(fd)
	}
}

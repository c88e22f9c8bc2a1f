package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"casemate/policy/denied"
	sysfilter "casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/notify"
	"casemate/sandbox/seccomp/spoken"

	"golang.org/x/sys/unix"
)

const (
	// maxWaiting is how many calls of one filter may wait for a word of the broker's about
	// them, and maxOwn how many of those one user's: the sessions of a service have a user
	// each, where the policy names none. Beyond them a call is answered at once and counted
	// as nobody's, for a call that waits in the kernel holds up all behind it.
	maxWaiting = 512
	maxOwn     = 128
	// patience is how long a call waits for that word: a program may make it before the
	// broker knows of the program. It is longer than one question may take (askFor).
	patience = 2 * time.Second
)

// filter is one filter of a service: that of a zygote's sessions.
type filter struct {
	d       *denials
	of      denied.Service
	file    *os.File
	raw     syscall.RawConn
	waiting callers
	busy    sync.WaitGroup // calls that wait
}

// listen begins to answer for a filter, until no process has it any more.
func (d *denials) listen(of denied.Service, file *os.File) error {
	fd := int(file.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(fmt.Errorf("listener: %w", err), file.Close())
	}
	// Only a file that was non-blocking when it was made does Go wait for without holding a thread.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	file.Close()
	if err != nil {
		return fmt.Errorf("listener: %w", err)
	}
	f := &filter{d: d, of: of, file: os.NewFile(uintptr(own), "listener")}
	if f.raw, err = f.file.SyscallConn(); err != nil {
		return errors.Join(fmt.Errorf("listener: %w", err), f.file.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leaving() {
		return f.file.Close() // the next worker gets it too
	}
	d.filters[f] = true
	d.busy.Go(f.serve)
	return nil
}

func (f *filter) serve() {
	defer f.end()
	for {
		n, fd, err := f.next()
		switch {
		case errors.Is(err, unix.ENOENT): // killed meanwhile
			continue
		case err != nil:
			return
		}
		if id := f.known(fd, &n); id != 0 {
			f.settle(fd, &n, id)
			continue
		}
		uid := owner(n.PID)
		if !f.waiting.enter(uid) {
			f.settle(fd, &n, 0)
			continue
		}
		f.busy.Add(1)
		f.d.busy.Go(func() {
			defer f.busy.Done()
			f.settle(fd, &n, f.attribute(fd, &n))
			f.waiting.leave(uid)
		})
	}
}

// end lets go of the listener once its last call is answered.
func (f *filter) end() {
	f.busy.Wait()
	f.d.ledger.gone(f)
	f.file.Close()
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.filters, f)
}

// next waits for a call that was denied; io.EOF is the end of the last process.
func (f *filter) next() (n notify.Call, fd int, err error) {
	var got error
	err = f.raw.Read(func(at uintptr) bool {
		fd = int(at)
		one := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if k, err := unix.Poll(one, 0); err != nil || k == 0 {
			return false // EINTR is not one of those that a poll without waiting gives
		}
		if one[0].Revents&unix.POLLIN == 0 {
			got = unix.EPIPE
			return true
		}
		n, got = notify.Receive(fd)
		return true
	})
	return n, fd, errors.Join(err, got)
}

// known is the session of a call, if the broker has told of its process session, or of its parent, lately.
func (f *filter) known(fd int, n *notify.Call) uint64 {
	sid, err := unix.Getsid(int(n.PID))
	if err != nil {
		return 0
	}
	id := f.d.recall(int32(sid))
	if id == 0 {
		id = f.d.recall(parent(n.PID))
	}
	if id == 0 || !notify.Waits(fd, n.ID) { // another process may have the number by now
		return 0
	}
	return id
}

// attribute finds the session of a call while its caller waits: none is guessed. A process
// belongs to the session whose program, or init, it descends from. Of siblings that call at once the
// first is asked about, and the others with it: the way up is long for who is deep.
func (f *filter) attribute(fd int, n *notify.Call) uint64 {
	defer f.d.sibling(parent(n.PID))()
	if id := f.known(fd, n); id != 0 {
		return id
	}
	pause := time.Millisecond
	for end := time.Now().Add(patience); ; pause = min(2*pause, 100*time.Millisecond) {
		line := lineage(n.PID, f.d.parent)
		id, up := f.d.whose(line, n.PID)
		if !notify.Waits(fd, n.ID) {
			return 0
		}
		// What the broker knows by its number was there all the time if it is a parent still.
		if id != 0 && slices.Equal(line, lineage(n.PID, f.d.parent)) {
			f.d.remember(line[0], id)
			f.d.remember(up, id)
			return id
		}
		if time.Now().After(end) || f.d.leaving() { // the broker's patience with who is to leave is shorter
			return 0
		}
		time.Sleep(pause)
	}
}

// settle counts a call and answers it: its caller's session does not end in order before it is counted.
func (f *filter) settle(fd int, n *notify.Call, id uint64) {
	f.d.ledger.note(f, id, n.PID, spoken.Call{Nr: int(n.Nr), Args: n.Args})
	_ = notify.Deny(fd, n.ID, sysfilter.Answer(int(n.Nr), n.Args)) // an error means that the caller is gone
}

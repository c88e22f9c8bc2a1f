package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"casemate/listener/wire"
	"casemate/policy/denied"
	"casemate/sandbox/seccomp/notify"
	"casemate/sandbox/seccomp/spoken"

	"golang.org/x/sys/unix"
)

const (
	// maxWaiting is how many calls of one filter may wait for a word of the broker's
	// about them; while there are as many, the others wait in the kernel.
	maxWaiting = 128
	// patience is how long a call waits for that word: a program may make it before the
	// broker knows of the program.
	patience = 5 * time.Second
)

// filter is one filter of a service: that of a zygote's sessions.
type filter struct {
	d     *denials
	of    denied.Service
	file  *os.File
	raw   syscall.RawConn
	slots chan struct{}
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
	f := &filter{d: d, of: of, file: os.NewFile(uintptr(own), "listener"), slots: make(chan struct{}, maxWaiting)}
	if f.raw, err = f.file.SyscallConn(); err != nil {
		return errors.Join(fmt.Errorf("listener: %w", err), f.file.Close())
	}
	go f.serve()
	return nil
}

func (f *filter) serve() {
	defer f.file.Close()
	for {
		n, fd, err := f.next()
		switch {
		case errors.Is(err, unix.ENOENT): // killed meanwhile
			continue
		case err != nil:
			f.d.ledger.gone(f)
			return
		}
		if id := f.known(fd, &n); id != 0 {
			f.settle(fd, &n, id)
			continue
		}
		f.slots <- struct{}{}
		go func() {
			f.settle(fd, &n, f.attribute(fd, &n))
			<-f.slots
		}()
	}
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

// known is the session of a call, if the broker has told of its process session lately.
func (f *filter) known(fd int, n *notify.Call) uint64 {
	sid, err := unix.Getsid(int(n.PID))
	if err != nil {
		return 0
	}
	id := f.d.recall(sid)
	if id == 0 || !notify.Waits(fd, n.ID) { // another process may have the number by now
		return 0
	}
	return id
}

// attribute finds the session of a call while its caller waits: none is guessed. A process
// belongs to the session whose program, or init, it descends from.
func (f *filter) attribute(fd int, n *notify.Call) uint64 {
	pause := time.Millisecond
	for end := time.Now().Add(patience); ; pause = min(2*pause, 100*time.Millisecond) {
		line := lineage(n.PID)
		id := f.d.ask(line)
		if !notify.Waits(fd, n.ID) {
			return 0
		}
		// What the broker knows by its number was there all the time if it is a parent still.
		if id != 0 && slices.Equal(line, lineage(n.PID)) {
			f.d.remember(int(line[0]), id)
			return id
		}
		if time.Now().After(end) {
			return 0
		}
		time.Sleep(pause)
	}
}

// settle answers a call and counts it.
func (f *filter) settle(fd int, n *notify.Call, id uint64) {
	_ = notify.Deny(fd, n.ID) // an error means that the caller is gone
	f.d.ledger.note(f, id, n.PID, spoken.Call{Nr: int(n.Nr), Args: n.Args})
}

// lineage is a process's session (getsid), itself, its parent, the parent's parent and so on.
func lineage(pid int32) []int32 {
	sid, _ := unix.Getsid(int(pid)) // 0 is nobody's
	out := []int32{int32(sid)}
	for pid > 1 && len(out) < wire.MaxPIDs {
		out = append(out, pid)
		pid = parent(pid)
	}
	return out
}

// parent is 0 where there is none to be seen.
func parent(pid int32) int32 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	if err != nil {
		return 0
	}
	// The name may hold anything, also brackets: the last one ends it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[1]), 10, 32)
	return int32(n)
}

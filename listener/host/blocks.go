package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The leased uids are one pool for all brokers of the host, cut into blocks. A
// broker leases from blocks whose files it has locked; the lock ends with the
// process, so that a block without one belongs to nobody who lives.
const (
	blockCount = 64
	blockSize  = leaseCount / blockCount
)

// DefaultLeaseDir holds a file for each block. It is no service manager's
// runtime directory: removed files would be no locks.
const DefaultLeaseDir = "/run/casemate-leases"

// What a block's file says about processes with its uids that no broker has.
const (
	wordNone  = ""        // nobody ended in a hurry here: they are not ours
	wordEnd   = "end\n"   // their broker died, and they should have
	wordLeave = "leave\n" // on_stop = "leave": they may live on
)

var errNoBlock = errors.New("no uids are left to lease: other brokers of this host hold all of them")

// Open takes a block and settles what brokers that have died left behind: it
// ends their processes, or leaves those be that may live on, and says how many.
func (l *Leases) Open() (ended, left int, err error) {
	if err := ownDir(l.dir); err != nil {
		return 0, 0, err
	}
	found, err := l.processes()
	if err != nil {
		return 0, 0, err
	}
	spare := -1 // a block with processes that may live on
	for i := range blockCount {
		f, word := l.lock(i)
		if f == nil {
			continue
		}
		alive := 0
		for _, p := range found {
			switch {
			case (p.uid-leaseFirst)/blockSize != uint32(i):
			case word == wordLeave:
				alive++
			case word == wordEnd && l.end(p):
				ended++
			}
		}
		left += alive
		if word == wordLeave && alive == 0 {
			word = wordNone
			err = errors.Join(err, write(f, word))
		}
		if alive > 0 && spare < 0 {
			spare = i
		}
		if l.held == 0 && alive == 0 && l.hold(i, f, word) {
			continue
		}
		f.Close()
	}
	if l.held == 0 && spare >= 0 {
		if f, word := l.lock(spare); f != nil {
			l.hold(spare, f, word)
		}
	}
	if l.held == 0 {
		err = errors.Join(err, errNoBlock)
	}
	return ended, left, err
}

// grow takes one more block.
func (l *Leases) grow() {
	for i := range blockCount {
		if l.blocks[i] != nil {
			continue
		}
		if f, word := l.lock(i); f != nil {
			if l.hold(i, f, word) {
				return
			}
			f.Close()
		}
	}
}

// hold makes a locked block ours. Where processes may live on, its word stays.
func (l *Leases) hold(i int, f *os.File, word string) bool {
	if word != wordLeave && write(f, l.word) != nil {
		return false
	}
	l.blocks[i] = f
	l.held++
	l.fresh = leaseFirst + uint32(i)*blockSize
	l.last = l.fresh + blockSize
	return true
}

// Leave notes that sessions of this broker may outlive it.
func (l *Leases) Leave() error { return l.say(wordLeave) }

// Settle notes that this broker has ended everything it started.
func (l *Leases) Settle() error {
	if l.word == wordLeave {
		return nil // older ones may live on
	}
	return l.say(wordNone)
}

func (l *Leases) say(word string) error {
	l.word = word
	for _, f := range l.blocks {
		if f != nil {
			if err := write(f, word); err != nil {
				return err
			}
		}
	}
	return nil
}

// lock opens and locks a block's file; nil when a living broker has it.
func (l *Leases) lock(i int) (*os.File, string) {
	f, err := os.OpenFile(filepath.Join(l.dir, strconv.Itoa(i)), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, ""
	}
	buf := make([]byte, 16)
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		n, _ := f.ReadAt(buf, 0) // io.EOF: it is short
		return f, string(buf[:n])
	}
	f.Close()
	return nil, ""
}

// write makes word all that f says.
func write(f *os.File, word string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(word), 0)
	return err
}

// ownDir makes dir, or makes sure that nobody else can write to it.
func ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the directory of leased uids: %w", err)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !fi.IsDir() || fi.Mode().Perm()&0o022 != 0 || !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: not a directory that only we can write to: remove it", dir)
	}
	return nil
}

package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"casemate/sandbox"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// The leased uids are one pool for all brokers of the host, cut into blocks. A
// broker leases from blocks whose files it has locked; the lock ends with the
// process, so that a block without one belongs to nobody who lives.
const (
	blockCount = 64
	blockSize  = sandbox.LeaseCount / blockCount
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
	if l.at, err = hostpath.Make(l.dir); err != nil {
		return 0, 0, fmt.Errorf("directory of leased uids: %w", err)
	}
	found, err := l.processes()
	if err != nil {
		return 0, 0, err
	}
	var failed error
	spare := -1 // a block whose uids may live on, or were a dead broker's a moment ago
	for n := range blockCount {
		i := (l.first + n) % blockCount
		f, word, err := l.lock(i)
		if err != nil {
			return ended, left, fmt.Errorf("lock leased uids: %w", err)
		}
		if f == nil {
			continue
		}
		alive := 0
		for _, p := range found {
			switch {
			case (p.uid-sandbox.LeaseBase)/blockSize != uint32(i):
			case word == wordLeave:
				alive++
			case word == wordEnd && l.end(p):
				ended++
			}
		}
		left += alive
		if word == wordLeave && alive == 0 {
			word = wordNone
			failed = errors.Join(failed, write(f, word))
		}
		if (alive > 0 || word == wordEnd) && spare < 0 {
			spare = i
		}
		if l.held == 0 && alive == 0 && word != wordEnd && l.hold(i, f, word) {
			continue
		}
		f.Close()
	}
	if l.held == 0 && spare >= 0 {
		if f, word, _ := l.lock(spare); f != nil {
			l.hold(spare, f, word)
		}
	}
	if l.held == 0 {
		failed = errors.Join(failed, errNoBlock)
	}
	return ended, left, failed
}

// grow takes one more block; one whose uids were a dead broker's a moment ago only where there is no other.
func (l *Leases) grow() {
	if l.block != nil {
		if first, err := l.block(); err == nil {
			l.held, l.fresh, l.last = l.held+1, first, first+blockSize
		}
		return
	}
	for n := range 2 * blockCount {
		i := (l.first + n) % blockCount
		if l.blocks[i] != nil {
			continue
		}
		if f, word, _ := l.lock(i); f != nil {
			if (word != wordEnd || n >= blockCount) && l.hold(i, f, word) {
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
	l.fresh = sandbox.LeaseBase + uint32(i)*blockSize
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

func (l *Leases) say(word string) (err error) {
	l.word = word
	for _, f := range l.blocks {
		if f != nil {
			err = errors.Join(err, write(f, word))
		}
	}
	return err
}

// lock opens and locks a block's file; nil when a living broker has it.
func (l *Leases) lock(i int) (*os.File, string, error) {
	f, err := l.at.Create(strconv.Itoa(i), unix.O_RDWR, 0o600)
	if err != nil {
		return nil, "", err
	}
	buf := make([]byte, 16)
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		n, _ := f.ReadAt(buf, 0) // io.EOF: it is short
		return f, string(buf[:n]), nil
	}
	f.Close()
	return nil, "", nil
}

// write makes word all that f says.
func write(f *os.File, word string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(word), 0)
	return err
}

// Block takes one more block, for another process to lease from, and gives its first uid.
func (l *Leases) Block() (first uint32, err error) {
	fresh, last := l.fresh, l.last
	held := l.held
	if l.grow(); l.held == held {
		return 0, errNoBlock
	}
	first, l.fresh, l.last = l.fresh, fresh, last
	return first, nil
}

// Lent are leases of blocks that another process takes, which block asks for one more.
func Lent(block func() (first uint32, err error)) *Leases {
	l := NewLeases("")
	l.block = block
	return l
}

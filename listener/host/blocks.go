package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"casemate/sandbox"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// The leased uids are one pool for all brokers of the host, cut into blocks. A
// broker leases from blocks whose files it has locked; the lock ends with the
// process, so that a block without one belongs to nobody who lives. BlockSize uids are in each.
const (
	BlockCount = 64
	BlockSize  = sandbox.LeaseCount / BlockCount
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

// Blocks are those of the leased uids that this process holds: one for its own helpers, and those
// that brokers lease from.
type Blocks struct {
	dir   string
	at    *hostpath.File       // dir, once it is open
	first int                  // the block to look at first: seldom the one that the last broker used
	word  string               // what the files of our blocks say
	files [BlockCount]*os.File // locked, nil = not ours
	own   uint32               // the first uid of the helpers' block
	turn  uint32               // whose turn it is there
	// How the host is asked; replaced in tests.
	inUse     func(uid uint32) bool
	processes func() ([]leased, error)
	end       func(leased) bool
}

// NewBlocks are those whose files lie in dir; none is held before Open.
func NewBlocks(dir string) *Blocks {
	return &Blocks{dir: dir, first: int(time.Now().Unix()) % BlockCount, word: wordEnd, inUse: InUse, processes: leasedProcesses, end: leased.end}
}

// Open settles what brokers that have died left behind, and takes a block for the helpers: it
// ends their processes, or leaves those be that may live on, and says how many.
func (b *Blocks) Open() (ended, left int, err error) {
	if b.at, err = hostpath.Make(b.dir); err != nil {
		return 0, 0, fmt.Errorf("directory of leased uids: %w", err)
	}
	found, err := b.processes()
	if err != nil {
		return 0, 0, err
	}
	var failed error
	for i := range BlockCount {
		f, word, err := b.lock(i)
		if err != nil {
			return ended, left, fmt.Errorf("lock leased uids: %w", err)
		}
		if f == nil {
			continue
		}
		alive := 0
		for _, p := range found {
			switch {
			case (p.uid-sandbox.LeaseBase)/BlockSize != uint32(i):
			case word == wordLeave:
				alive++
			case word == wordEnd && b.end(p):
				ended++
			}
		}
		if left += alive; word == wordLeave && alive == 0 {
			failed = errors.Join(failed, write(f, wordNone))
		}
		f.Close()
	}
	b.own, err = b.Take()
	return ended, left, errors.Join(failed, err)
}

// Take takes one more block, for another process to lease from, and gives its first uid. One whose
// uids may live on, or were a dead broker's a moment ago, is taken only where there is no other.
func (b *Blocks) Take() (first uint32, err error) {
	for n := range 2 * BlockCount {
		i := (b.first + n) % BlockCount
		if b.files[i] != nil {
			continue
		}
		f, word, _ := b.lock(i)
		if f == nil {
			continue
		}
		// Where processes may live on, the word stays.
		if (word == wordNone || n >= BlockCount) && (word == wordLeave || write(f, b.word) == nil) {
			b.files[i] = f
			return sandbox.LeaseBase + uint32(i)*BlockSize, nil
		}
		f.Close()
	}
	return 0, errNoBlock
}

// Own gives a uid to start one helper as, of which few run at a time: each in its turn, so
// that one is used again after all others of the block, and none that a process of the host has.
func (b *Blocks) Own() (uid uint32, ok bool) {
	for range BlockSize {
		uid = b.own + b.turn%BlockSize
		if b.turn++; !b.inUse(uid) {
			return uid, true
		}
	}
	return 0, false
}

// InUse asks the kernel whether any process has the real uid: a survivor of a
// broker that has died, or a helper of ours. It costs nothing where none has.
func InUse(uid uint32) bool {
	_, err := unix.Getpriority(unix.PRIO_USER, int(uid))
	return !errors.Is(err, unix.ESRCH)
}

// Leave notes that sessions of this broker may outlive it.
func (b *Blocks) Leave() error { return b.say(wordLeave) }

// Settle notes that this broker has ended everything it started.
func (b *Blocks) Settle() error {
	if b.word == wordLeave {
		return nil // older ones may live on
	}
	return b.say(wordNone)
}

func (b *Blocks) say(word string) (err error) {
	b.word = word
	for _, f := range b.files {
		if f != nil {
			err = errors.Join(err, write(f, word))
		}
	}
	return err
}

// lock opens and locks a block's file; nil when a living broker has it.
func (b *Blocks) lock(i int) (*os.File, string, error) {
	f, err := b.at.Create(strconv.Itoa(i), unix.O_RDWR, 0o600)
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

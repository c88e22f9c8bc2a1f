package hostpath

import (
	"strings"
	"sync"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// Patience is how long a file system has to answer. One whose server is gone (NFS, FUSE)
// never does, and nothing but SIGKILL or its unmounting frees who has asked it: maxSilent
// bounds how many threads it may hold.
const (
	Patience  = 3 * time.Second
	maxSilent = 32
)

// question is one that was not answered yet.
type question struct {
	path string
	at   time.Time
}

var open = struct {
	sync.Mutex
	questions map[*question]bool
}{questions: make(map[*question]bool)}

// SilentError is of a path whose file system does not answer, or that is not asked
// while so many others do not.
type SilentError struct{ Path string }

// Error names the path.
func (e *SilentError) Error() string {
	return e.Path + ": its file system does not answer: start its server, or unmount it"
}

// Ask is stat(2) of p, an absolute path, within Patience. The file system is asked as well,
// for the file may be known without its server. Who does not answer is not asked again
// until it has, nor what is below.
func Ask(p string) (unix.Stat_t, error) {
	return Within(p, func() (st unix.Stat_t, err error) {
		err = unix.Stat(p, &st)
		_ = unix.Statfs(p, new(unix.Statfs_t)) // whatever it says, it has answered
		return st, err
	})
}

// Within has f ask the file system of p, an absolute path, and gives what it says within
// Patience, or a *SilentError. What it says later is lost.
func Within[T any](p string, f func() (T, error)) (none T, err error) {
	q, said := &question{p, time.Now()}, none
	if q.begin() {
		if err := panics.Within(Patience, func() (err error) { defer q.end(); said, err = f(); return err }); err != panics.ErrLate {
			return said, err
		}
	}
	return none, &SilentError{p}
}

// begin notes the question, unless its answer is known to be silence.
func (q *question) begin() bool {
	open.Lock()
	defer open.Unlock()
	silent := 0
	for o := range open.questions {
		if q.at.Sub(o.at) < Patience {
			continue
		}
		if silent++; silent >= maxSilent || q.path == o.path || strings.HasPrefix(q.path, o.path+"/") {
			return false
		}
	}
	open.questions[q] = true
	return true
}

func (q *question) end() {
	open.Lock()
	defer open.Unlock()
	delete(open.questions, q)
}

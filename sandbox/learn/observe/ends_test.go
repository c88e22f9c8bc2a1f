package observe

import (
	"fmt"
	"testing"

	"casemate/sandbox/learn"

	"golang.org/x/sys/unix"
)

// TestEndsAreBounded: a session that forks and ends without end keeps no more than so many of those ends, and
// how its first process ended.
func TestEndsAreBounded(t *testing.T) {
	s := newSession(7)
	s.PID = 7
	child := s.first.fork(8)
	for i := range 3 * maxEnds {
		child.pid, child.program = 8+i, "/bin/true"
		child.end(learn.End{})
		child.end(learn.End{Exec: true})
		s.first.end(learn.End{Exec: true})
	}
	if len(s.Ends) != 2 { // of /bin/true, and of what the first ran
		t.Errorf("%d ends are kept of two programs' that ended in order", len(s.Ends))
	}
	for i := range 3 * maxEnds {
		child.pid = 8 + i
		child.end(learn.End{Status: 1})
		child.program = fmt.Sprint("/bin/", i)
		child.end(learn.End{})
	}
	if len(s.Ends) != maxEnds || s.LeftOut == 0 {
		t.Errorf("%d ends are kept, and %d left out", len(s.Ends), s.LeftOut)
	}
	s.first.end(learn.End{Signal: unix.SIGSEGV})
	if last := s.Ends[len(s.Ends)-1]; last.PID != 7 || last.Signal != unix.SIGSEGV {
		t.Errorf("the last is %+v, want that of the first process", last)
	}
}

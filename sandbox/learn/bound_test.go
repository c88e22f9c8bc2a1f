package learn

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/sandbox"
)

// TestTellIsBounded: a session that was made to be long to tell is told at once: facts by
// the thousand, of paths as long as the kernel takes them, searches that find and do not, and a
// complaint after each.
func TestTellIsBounded(t *testing.T) {
	c := confinesOf(sandbox.Profile{}, []string{"@line"})
	for _, found := range []bool{false, true} {
		s := &Session{PID: 1}
		for i := range 10000 {
			f := fact("openat", syscall.ENOENT, fmt.Sprintf("/%d%s/n%d", i, strings.Repeat("/a", 2030), i%10), i+1)
			s.Facts = append(s.Facts, f)
			if i%200 == 0 {
				s.Complaints = append(s.Complaints, Complaint{PID: 1, Call: i + 1, Text: "no"})
			}
			f.PID = i + 2
			s.Facts = append(s.Facts, f)
			s.Ends = append(s.Ends, End{PID: f.PID, Calls: i + 1, Status: 1})
		}
		for i := range 10000 { // what is found is as often in vain
			s.Facts = append(s.Facts, fact("mkdir", 0, fmt.Sprintf("/srv/%d/n2", i), 20000+i))
		}
		if found {
			s.Facts = append(s.Facts, fact("openat", 0, "/srv/n1", 30000))
		}
		began := time.Now()
		list := Tell(s, c)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("found %t: it took %s", found, took)
		}
		if len(list) != 20000 || found != (list[2].Found == "/srv/n1") || list[0].Found != "" {
			t.Errorf("found %t: %d failures, the third found %q", found, len(list), list[2].Found)
		}
	}
}

// TestFindIsBounded: likewise what a session needs, misses and is observed under.
func TestFindIsBounded(t *testing.T) {
	asked := 0
	h := Host{Real: func(p string) string { asked++; return p }, Dir: func(string) bool { asked++; return false }, Loose: func(string) bool { asked++; return false }}
	for _, call := range []string{"openat", "newfstatat", "mkdir"} {
		for _, dirs := range []int{2030, deepest / 2} {
			s := &Session{PID: 1}
			errs := []syscall.Errno{0, syscall.EACCES, syscall.ENOENT, syscall.EROFS}
			for i := range 20000 {
				s.Facts = append(s.Facts, fact(call, errs[i%len(errs)], fmt.Sprintf("/%d%s/n%d", i, strings.Repeat("/a", dirs), i), i+1))
			}
			c := confinesOf(sandbox.Profile{}, Leaves())
			began, sessions := time.Now(), []*Session{s}
			n := Find(sessions, c, h, Extras{Mode: sandbox.NetworkNone})
			if (len(n.Never) == 1) != (dirs > deepest) {
				t.Errorf("%s below %d directories: %d are never granted", call, dirs, len(n.Never))
			}
			n.Miss(sessions, c, h)
			new(Wide).Widen(sessions, c, h)
			if took := time.Since(began); took > 20*time.Second || asked > 20000*200 {
				t.Errorf("%s below %d directories: it took %s and %d questions", call, dirs, took, asked)
			}
			asked = 0
		}
	}
}

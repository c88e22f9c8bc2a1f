package learn

import (
	"slices"
	"strings"
	"syscall"
)

// asked are signals that end a program at somebody's wish or by its own alarm: its client has
// gone, its terminal, its time is over.
var asked = []syscall.Signal{syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGHUP, syscall.SIGALRM}

// bounds are signals of limits: casemate's or the kernel's own, by SIGKILL as everybody else's, and of setrlimit(2).
var bounds = []syscall.Signal{syscall.SIGKILL, syscall.SIGXCPU, syscall.SIGXFSZ}

// Fails tells whether an end is one with an error: not by a signal that is asked for, nor with an
// exit status that is normal for the program, beside 0.
func (e *End) Fails(normal []int) bool {
	return e.Bad() && !slices.Contains(asked, e.Signal) && !slices.Contains(bounds, e.Signal) && (e.Signal != 0 || !slices.Contains(normal, e.Status))
}

// Failing is a session that no profile can be learnt from: it did not do what it is there for.
type Failing struct {
	Session *Session
	// End is how its first process ended, where that is the error.
	End *End
	// Said is the last that it wrote to descriptor 2 before, "" for nothing.
	Said string
	// Refused is what its processes were refused, that some attribute grants, or that
	// nothing does, shortly before one of them ended with an error.
	Refused []Failure
}

// Failed gives the sessions whose first process ended with an error, or of whose other processes
// one did after it was refused what a profile could grant. One that exits so because its client has
// hung up did what it is there for until then, and one that was ended has not failed by itself.
func Failed(sessions []*Session, c *Confines, normal []int) []Failing {
	var out []Failing
	for _, s := range sessions {
		f := Failing{Session: s}
		bad := map[int]bool{}
		for i := range s.Ends {
			if e := &s.Ends[i]; e.Fails(normal) && !s.hungUp(e) {
				if bad[e.PID] = true; e.PID == s.PID {
					f.End = e
				}
			}
		}
		for _, one := range Tell(s, c) {
			if bad[one.PID] && one.Before != "" && one.Remedy != Nowhere {
				f.Refused = append(f.Refused, one)
			}
		}
		for _, said := range s.Complaints {
			if text := strings.TrimSpace(said.Text); bad[said.PID] && text != "" {
				f.Said = text[strings.LastIndexByte(text, '\n')+1:]
			}
		}
		if f.End != nil || len(f.Refused) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// farewell is how many calls before a process's end a hang-up of its client may be, for its cause.
const farewell = 50

// hungUp tells whether a process exited for its connection was reset or shut by the other side.
func (s *Session) hungUp(e *End) bool {
	return e.Signal == 0 && slices.ContainsFunc(s.Facts, func(f Fact) bool {
		return f.PID == e.PID && (f.Err == syscall.ECONNRESET || f.Err == syscall.EPIPE) && f.Last >= e.Calls-farewell
	})
}

// Cut gives the signal by which a session's first process was ended before it ended by itself, 0
// where none did: what it would have used after that nobody knows.
func (s *Session) Cut() syscall.Signal {
	for i := range s.Ends {
		if e := &s.Ends[i]; e.PID == s.PID && slices.Contains(bounds, e.Signal) {
			return e.Signal
		}
	}
	return 0
}

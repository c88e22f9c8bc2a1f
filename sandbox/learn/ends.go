package learn

import (
	"slices"
	"strings"
	"syscall"
)

// asked are signals that end a program at somebody's wish or by its own alarm: its client has
// gone, its terminal, its time is over.
var asked = []syscall.Signal{syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGHUP, syscall.SIGALRM}

// Fails tells whether an end is one with an error: not by a signal that is asked for, nor with an
// exit status that is normal for the program, beside 0.
func (e *End) Fails(normal []int) bool {
	return e.Bad() && !slices.Contains(asked, e.Signal) && (e.Signal != 0 || !slices.Contains(normal, e.Status))
}

// Failing is a session that no profile can be learnt from: it did not do what it is there for.
type Failing struct {
	// End is how its first process ended, where that is the error.
	End *End
	// Said is the last that it wrote to descriptor 2 before, "" for nothing.
	Said string
	// Refused is what its processes were refused, that some attribute grants, or that
	// nothing does, shortly before one of them ended with an error.
	Refused []Failure
}

// Failed gives the sessions whose first process ended with an error, or of whose other processes
// one did after it was refused what a profile could grant.
func Failed(sessions []*Session, c *Confines, normal []int) []Failing {
	var out []Failing
	for _, s := range sessions {
		var f Failing
		bad := map[int]bool{}
		for i := range s.Ends {
			if e := &s.Ends[i]; e.Fails(normal) {
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

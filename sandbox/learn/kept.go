package learn

import (
	"syscall"
)

// Bounds of Kept: so many sessions are kept whatever they did, and so many at all.
const (
	keptWhole = 100
	keptMost  = 1000
)

// Kept are sessions that come without end, of which all are kept that did what none before them did:
// a service under a flood has thousands that are alike.
type Kept struct {
	Sessions []*Session
	Alike    int // are not kept, since they did nothing new
	LeftOut  int // are not kept, since they were too many
	seen     map[deed]bool
}

// deed is what one session did, without when and in which process.
type deed struct {
	call, path, to, addr, program string
	args                          string
	err                           syscall.Errno
	killed                        bool
	status                        int
	signal                        syscall.Signal
}

// Add takes one session more.
func (k *Kept) Add(s *Session) {
	if k.seen == nil {
		k.seen = map[deed]bool{}
	}
	deeds := deedsOf(s)
	fresh := false
	for _, d := range deeds {
		fresh = fresh || !k.seen[d]
	}
	switch {
	case len(k.Sessions) >= keptWhole && !fresh:
		k.Alike++
		return
	case len(k.Sessions) >= keptMost:
		k.LeftOut++
		return
	}
	for _, d := range deeds {
		k.seen[d] = true
	}
	k.Sessions = append(k.Sessions, s)
}

func deedsOf(s *Session) []deed {
	var out []deed
	for i := range s.Facts {
		f := &s.Facts[i]
		out = append(out, deed{call: f.Call, path: f.Host(f.Path), to: f.Host(f.To), addr: f.Addr, program: f.Program, args: f.Rule().String(), err: f.Err, killed: f.Killed})
	}
	for _, e := range s.Ends {
		out = append(out, deed{program: e.Program, status: e.Status, signal: e.Signal})
	}
	return out
}

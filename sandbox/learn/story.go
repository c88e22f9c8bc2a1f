package learn

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Failure is something that a session did not get.
type Failure struct {
	Fact
	// Before is what went wrong a little later: "" for a harmless probe.
	Before string
	// Found is where the program found what it had looked for, after all.
	Found  string
	Remedy string
}

const (
	// culprits is how many failures before a trouble are taken for its cause.
	culprits = 3
	// window is how many calls before a trouble the last of them may be.
	window = 200
)

// trouble is a moment at which a process gave up, or said that something is wrong.
type trouble struct {
	call int
	what string
}

// Tell gives what a session was refused and did not find, in the order of first
// appearance, with the remedies.
//
// Which of it mattered nobody can see; it is guessed from the order. Where a process ended
// with an error or a signal, or wrote to descriptor 2, the last few failures shortly before are
// taken for the cause, those that a profile can show before others, but for what the loader always asks for, for files of whose name it found one elsewhere,
// and the directories in which it had looked for that. Everything else is a probe: the program went on.
func Tell(s *Session, c *Confines) []Failure {
	troubles := troublesOf(s)
	var out []Failure
	for i := range s.Facts {
		f := &s.Facts[i]
		if !f.Failed() || !f.Tells() {
			continue
		}
		out = append(out, Failure{Fact: *f, Found: foundAfter(s, f), Remedy: c.Remedy(f)})
	}
	searched(out)
	for pid, list := range troubles {
		for _, t := range list {
			blame(out, pid, t)
		}
	}
	return out
}

// blame marks the last failures of a process before a trouble.
func blame(failures []Failure, pid int, t trouble) {
	var near []*Failure
	for i := range failures {
		f := &failures[i]
		if f.PID == pid && f.Found == "" && !slices.Contains(loaders, f.Path) && f.First <= t.call && lastBefore(&f.Fact, t.call) >= t.call-window {
			near = append(near, f)
		}
	}
	slices.SortStableFunc(near, func(a, b *Failure) int {
		return cmp.Compare(lastBefore(&b.Fact, t.call), lastBefore(&a.Fact, t.call))
	})
	// The very last counts whatever it is; before that, what the host does not have either fills up.
	slices.SortStableFunc(near[min(1, len(near)):], func(a, b *Failure) int {
		return cmp.Compare(rank(a), rank(b))
	})
	for _, f := range near[:min(culprits, len(near))] {
		if f.Before == "" {
			f.Before = t.what
		}
	}
}

// rank is 1 of what no profile can show, 0 of the rest.
func rank(f *Failure) int {
	if f.Remedy == Nowhere {
		return 1
	}
	return 0
}

// searched passes what was found elsewhere on to the directories that it was looked for in.
func searched(failures []Failure) {
	type place struct {
		pid int
		dir string
	}
	found := map[place]string{}
	for _, f := range failures {
		for dir := path.Dir(f.Path); f.Found != "" && len(dir) > 1; dir = path.Dir(dir) {
			found[place{f.PID, dir}] = f.Found
		}
	}
	for i := range failures {
		if f := &failures[i]; f.Found == "" {
			f.Found = found[place{f.PID, f.Path}]
		}
	}
}

// lastBefore is the last call of a fact before a call, as far as is known of them.
func lastBefore(f *Fact, call int) int {
	if f.Last <= call {
		return f.Last
	}
	return f.First
}

// troublesOf gives the troubles of each process.
func troublesOf(s *Session) map[int][]trouble {
	m := map[int][]trouble{}
	for _, c := range s.Complaints {
		m[c.PID] = append(m[c.PID], trouble{c.Call, "it wrote " + strconv.Quote(strings.TrimSpace(c.Text))})
	}
	for _, e := range s.Ends {
		switch {
		case !e.Bad(), e.Signal == syscall.SIGPIPE, e.Signal == syscall.SIGTERM, e.Signal == syscall.SIGKILL:
		case e.Signal != 0:
			m[e.PID] = append(m[e.PID], trouble{e.Calls, "it died of " + signalName(e.Signal)})
		default:
			m[e.PID] = append(m[e.PID], trouble{e.Calls, "it exited with status " + itoa(e.Status)})
		}
	}
	return m
}

// loaders are the files that ld.so asks for in every program, and does without.
var loaders = []string{"/etc/ld.so.preload", "/etc/ld.so.cache"}

// kin tells whether two paths have the same last name, or are of the names by which an interpreter looks for a
// module in one directory, as x.abi3.so, x.so and x.py.
func kin(missed, found string) bool {
	a, b := path.Base(missed), path.Base(found)
	if a == b {
		return true
	}
	modules := []string{".so", ".py", ".pyc"}
	stem, _, _ := strings.Cut(a, ".")
	other, _, _ := strings.Cut(b, ".")
	return stem != "" && stem == other && path.Dir(missed) == path.Dir(found) && slices.Contains(modules, path.Ext(a)) && slices.Contains(modules, path.Ext(b))
}

// foundAfter is where a process found, after the failure, what it had looked for by another name or elsewhere.
func foundAfter(s *Session, f *Fact) string {
	if f.Path == "" || f.Err != syscall.ENOENT && f.Err != syscall.EACCES && f.Err != syscall.ENOTDIR {
		return ""
	}
	for i := range s.Facts {
		o := &s.Facts[i]
		if o.PID == f.PID && !o.Failed() && o.Last > f.First && o.Path != "" && kin(f.Path, o.Path) && o.Path != f.Path &&
			(o.Use() == f.Use() || o.Use() == Exec || f.Use() == Look) {
			return o.Path
		}
	}
	return ""
}

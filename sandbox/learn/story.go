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

// Limited reports whether a limit refused it, the profile's or the host's, which no program looks for: it may go on, and do less.
func (f *Failure) Limited() bool {
	switch f.Err {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EFBIG, syscall.ENOSPC, syscall.EDQUOT:
		return true
	}
	return false
}

const (
	// culprits is how many failures before a trouble are taken for its cause.
	culprits = 3
	// window is how many calls before a trouble the last of them may be.
	window = 200
	// tries is in how many places that a process found a name one is looked for.
	tries = 100
	// levels is how far up from a file the directories count that it was looked for in.
	levels = 16
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
//
// The work grows with the facts and their paths, whatever the program chose these to be.
func Tell(s *Session, c *Confines) []Failure {
	troubles := troublesOf(s)
	names := findsOf(s)
	var out []Failure
	for i := range s.Facts {
		f := &s.Facts[i]
		if !f.Failed() || !f.Tells() {
			continue
		}
		out = append(out, Failure{Fact: *f, Found: names.after(f), Remedy: c.Remedy(f)})
	}
	searched(out)
	of := map[int][]*Failure{}
	for i := range out {
		of[out[i].PID] = append(of[out[i].PID], &out[i])
	}
	for pid, list := range troubles {
		for _, t := range list {
			blame(of[pid], t)
		}
	}
	return out
}

// blame marks the last of a process's failures before a trouble.
func blame(failures []*Failure, t trouble) {
	var near []*Failure
	for _, f := range failures {
		if f.Found == "" && !slices.Contains(loaders, f.Path) && f.First <= t.call && lastBefore(&f.Fact, t.call) >= t.call-window {
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
	for i := range failures {
		f := &failures[i]
		if f.Found == "" {
			continue
		}
		dir := f.Path
		for range levels {
			if dir = dir[:max(strings.LastIndexByte(dir, '/'), 0)]; dir == "" {
				break
			}
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

// modules are how an interpreter's files for a module end: it looks for x.abi3.so, x.so and x.py.
var modules = []string{".so", ".py", ".pyc"}

// sought is what a process looked for: the last name of a path, or a directory and the name
// of a module in it.
type sought struct {
	pid  int
	name string
}

// finds are the facts by which processes found something, by what that was, in their order.
type finds map[sought][]*Fact

func findsOf(s *Session) finds {
	m := finds{}
	for i := range s.Facts {
		if f := &s.Facts[i]; !f.Failed() && f.Path != "" {
			for _, n := range soughtBy(f) {
				m[n] = append(m[n], f)
			}
		}
	}
	return m
}

func soughtBy(f *Fact) []sought {
	base := path.Base(f.Path)
	out := []sought{{f.PID, base}}
	if stem, _, _ := strings.Cut(base, "."); stem != "" && slices.Contains(modules, path.Ext(base)) {
		out = append(out, sought{f.PID, path.Dir(f.Path) + "/" + stem})
	}
	return out
}

// after is where a process found, after the failure, what it had looked for elsewhere or by
// another name. Failures come in the order of their first call.
func (m finds) after(f *Fact) string {
	if f.Path == "" || f.Err != syscall.ENOENT && f.Err != syscall.EACCES && f.Err != syscall.ENOTDIR {
		return ""
	}
	for _, n := range soughtBy(f) {
		list := m[n]
		for len(list) > 0 && list[0].Last <= f.First {
			list = list[1:] // nor is it after the failures to come
		}
		m[n] = list
		for _, o := range list[:min(tries, len(list))] {
			if o.Last > f.First && o.Path != f.Path && (o.Use() == f.Use() || o.Use() == Exec || f.Use() == Look) {
				return o.Path
			}
		}
	}
	return ""
}

package diff

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"casemate/policy/explain"
	"casemate/sandbox"
)

// rights are what a path may be: shown, executed, written.
type rights struct{ read, exec, write bool }

// tree gives the rights at a path and below, of what the profile names; what lies deeper
// decides for itself, as one mount over another does.
type tree map[string]rights

func treeOf(f *sandbox.Files) tree {
	t := tree{}
	for kind, paths := range f.Paths {
		for _, p := range paths {
			t[p] = rights{true, kind == "exec", kind == "write" || kind == "devices"}
		}
	}
	return t
}

// at are the rights of a path: those of the nearest one that is named.
func (t tree) at(name string) rights {
	for ; name != "/"; name = path.Dir(name) {
		if r, ok := t[name]; ok {
			return r
		}
	}
	return rights{}
}

func (r rights) minus(o rights) rights {
	return rights{r.read && !o.read, r.exec && !o.exec, r.write && !o.write}
}

// String names the rights, "" for none.
func (r rights) String() string {
	var words []string
	for _, w := range []struct {
		has  bool
		word string
	}{{r.read, "read"}, {r.exec, "exec"}, {r.write, "write"}} {
		if w.has {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, ", ")
}

// files compares the trees as they are written, with no look at a host: a link that leads
// from one path to the other makes them the same there, and differ here.
func (l *Layer) files(was, is *sandbox.Files) {
	before, after := treeOf(was), treeOf(is)
	l.More = append(l.More, grown(after, before)...)
	l.Less = append(l.Less, grown(before, after)...)
	for _, name := range is.Optional {
		if !slices.Contains(was.Optional, name) {
			l.Differs = append(l.Differs, name+" may be missing")
		}
	}
	for _, name := range was.Optional {
		if !slices.Contains(is.Optional, name) {
			l.Differs = append(l.Differs, name+" may no longer be missing")
		}
	}
	for _, name := range places(was, is) {
		if a, b := was.Map.Source(name), is.Map.Source(name); a != b {
			l.More = append(l.More, fmt.Sprintf("the host's %s as %s", b, name))
			l.Less = append(l.Less, fmt.Sprintf("the host's %s as %s", a, name))
		}
	}
	l.amount("private /tmp", none, was.Tmp, is.Tmp, explain.FormatSize)
	l.amount("private /dev/shm", none, was.Shm, is.Shm, explain.FormatSize)
	l.truth("a state directory that stays and that its sessions share", was.State, is.State)
	l.truth("/dev/log, with connect, sendmsg and unix datagram sockets for it", was.Log, is.Log)
	l.truth("/proc", was.Proc, is.Proc)
	l.truth("the host's processes in /proc", was.HostProc, is.HostProc)
	l.truth("/dev/pts", was.Pty, is.Pty)
	l.words("/dev/", was.Dev, is.Dev)
}

// places are the paths that are somewhere else on the host, before or now.
func places(was, is *sandbox.Files) []string {
	all := map[string]bool{}
	for _, f := range []*sandbox.Files{was, is} {
		for name := range f.Map {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// grown are the paths at which t grants what o does not. A path below another is named where
// it grows by something else than that.
func grown(t, o tree) (out []string) {
	var names []string
	for name := range t {
		names = append(names, name)
	}
	for name := range o {
		if _, both := t[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	more := tree{}
	for _, name := range names {
		by := t.at(name).minus(o.at(name))
		if by != (rights{}) && by != more.at(path.Dir(name)) {
			out = append(out, fmt.Sprintf("%s %s", by, name))
		}
		more[name] = by
	}
	return out
}

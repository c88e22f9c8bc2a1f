package learn

import (
	"fmt"
	"path"
	"slices"
)

// inside is the need of an attribute in whose path p lies.
func (f *finder) inside(attr, p string) *Need {
	for dir := p; len(dir) > 1; dir = path.Dir(dir) {
		if n := f.other[[2]string{attr, dir}]; n != nil {
			return n
		}
	}
	return nil
}

// shown tells whether a path lies in one that is needed.
func (f *finder) shown(p string) bool {
	return f.inside(AttrRead, p) != nil || f.inside(AttrExec, p) != nil || f.inside(AttrWrite, p) != nil
}

// leadTo notes the directories on the way to a path.
func (f *finder) leadTo(p string) {
	for dir := path.Dir(p); len(dir) > 1 && !f.ways[dir]; dir = path.Dir(dir) {
		f.ways[dir] = true
	}
}

// refuse notes a place that is not granted.
func (f *finder) refuse(n *Need) bool {
	why := f.h.never(n.Value)
	if why != "" {
		r := *n
		r.Example = fmt.Sprintf("%s: %s", n.Example, why)
		f.never = append(f.never, r)
	}
	return why != ""
}

// fold makes trees of paths: those in a directory that is needed itself go, and from
// siblings on the directory stands for its files.
func (f *finder) fold(attr string, paths map[string]*Evidence) {
	count := map[string]int{}
	for p := range paths {
		count[path.Dir(p)]++
	}
	for dir, n := range count {
		if n >= siblings && attr != AttrExec && f.h.never(dir) == "" {
			if paths[dir] == nil {
				paths[dir] = new(Evidence)
			}
		}
	}
	kept := map[string]*Evidence{}
	for _, p := range sortedKeys(paths) { // a directory comes before what is in it
		e := paths[p]
		if in := around(kept, p); in != "" {
			kept[in].merge(*e)
			continue
		}
		n := &Need{Attr: attr, Value: p, Evidence: *e}
		if f.refuse(n) {
			continue
		}
		kept[p] = e
	}
	for p, e := range kept {
		f.other[[2]string{attr, p}] = &Need{Attr: attr, Value: p, Evidence: *e}
	}
}

// around is the directory of a set in which a path lies.
func around(set map[string]*Evidence, p string) string {
	for dir := p; len(dir) > 1; dir = path.Dir(dir) {
		if set[dir] != nil {
			return dir
		}
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

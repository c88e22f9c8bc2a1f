package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"casemate/sandbox/hostpath"
)

// node is something to create on the root tmpfs.
type node struct {
	kind Kind // Dir, file or Symlink
	mode uint32
	text string // of a link
	// implied marks a directory nobody asked for, only made on the way.
	implied bool
}

// mount is one bind: entry is the index of the source.
type mount struct {
	path  string
	kind  Kind
	entry int
	dir   bool
	pin   bool
}

// Layout is the plan of a root tree. It is pure: the same entries and
// findings give the same plan.
type Layout struct {
	nodes  map[string]node
	mounts map[string]mount
	links  map[string]string
}

// Lay works out what to create and what to mount. files has one element for each
// entry; those of entries that are no binds are not looked at.
func Lay(entries []Entry, files []*hostpath.File) (*Layout, error) {
	l := &Layout{nodes: map[string]node{}, mounts: map[string]mount{}, links: map[string]string{}}
	stages := []func(*Entry, *hostpath.File, int) error{l.addLinks, l.addBind, l.placeLinks, l.placeOwn}
	for _, stage := range stages {
		for i := range entries {
			if err := stage(&entries[i], cmp.Or(files[i], &hostpath.File{}), i); err != nil {
				return nil, &EntryError{entries[i].Kind, entries[i].Path, err}
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(l.mounts)) {
		if err := l.placeBind(p); err != nil {
			return nil, &EntryError{l.mounts[p].kind, p, err}
		}
	}
	return l, nil
}

// addBind notes a bind, merging those of the same place.
func (l *Layout) addBind(e *Entry, h *hostpath.File, i int) error {
	if !e.Kind.Bind() {
		return nil
	}
	m := mount{path: h.Real, kind: e.Kind, entry: i, dir: h.IsDir(), pin: e.Pin}
	p, err := l.through(m.path)
	if err != nil {
		return err
	}
	if p != m.path {
		return errors.New("the profile's private /tmp (or /dev/shm) hides the host's: put it elsewhere, or take a base without one, as profile.line")
	}
	if _, ok := l.links[p]; ok {
		return errors.New("there is a symlink at this path")
	}
	if have, ok := l.mounts[p]; ok {
		m, err = merge(have, m)
	}
	l.mounts[p] = m
	return err
}

// merge gives the one bind that stands for two at the same path.
func merge(a, b mount) (mount, error) {
	pin := a.pin || b.pin
	a.pin, b.pin = pin, pin
	switch {
	case a.kind == b.kind, b.kind == ReadOnly && a.kind != Device:
		return a, nil
	case a.kind == ReadOnly && b.kind != Device:
		return b, nil
	}
	// Writable and executable at once is what no profile gets.
	return a, fmt.Errorf("named as both %s and %s", a.kind, b.kind)
}

// around finds the innermost bind that p lies in, not counting one at p.
func (l *Layout) around(p string) (mount, bool) {
	for p != "/" {
		p = path.Dir(p)
		if m, ok := l.mounts[p]; ok {
			return m, true
		}
	}
	return mount{}, false
}

// placeOwn creates the directories of the root tmpfs.
func (l *Layout) placeOwn(e *Entry, _ *hostpath.File, _ int) error {
	if e.Kind != Dir {
		return nil
	}
	p, err := l.through(e.Path)
	if err != nil {
		return err
	}
	if _, ok := l.mounts[p]; ok {
		return errors.New("a bind is at the same path")
	}
	if m, ok := l.around(p); ok {
		return fmt.Errorf("lies inside the bind %s, where nothing can be created", m.path)
	}
	return l.create(p, node{kind: Dir, mode: cmp.Or(e.Mode, 0o755)})
}

// placeBind creates the mount point of a bind, or drops the bind when the one
// around it shows the same with the same flags.
func (l *Layout) placeBind(p string) error {
	m := l.mounts[p]
	outer, ok := l.around(p)
	switch {
	case !ok && m.dir:
		return l.create(p, node{kind: Dir, mode: 0o755})
	case !ok:
		return l.create(p, node{kind: file, mode: 0o444})
	case !outer.dir:
		return fmt.Errorf("%s around it is a file", outer.path)
	case outer.kind == m.kind && !m.pin:
		m.entry = -1
		l.mounts[p] = m
	}
	return nil
}

// create adds a node and the directories above it.
func (l *Layout) create(p string, n node) error {
	for d := path.Dir(p); d != "/"; d = path.Dir(d) {
		have, ok := l.nodes[d]
		if ok && have.kind != Dir {
			return fmt.Errorf("%s is a %s", d, have.kind)
		}
		if !ok {
			l.nodes[d] = node{kind: Dir, mode: 0o755, implied: true}
		}
	}
	have, ok := l.nodes[p]
	if ok && !(have.implied && n.kind == Dir) && have != n {
		return fmt.Errorf("%s is already a different %s", p, have.kind)
	}
	l.nodes[p] = n
	return nil
}

// order lists the paths to create, each directory before what is in it.
func (l *Layout) order() []string { return slices.Sorted(maps.Keys(l.nodes)) }

// binds lists the mounts to make, outer ones first. A path sorts after each of
// its prefixes, so the plain order will do.
func (l *Layout) binds() []mount {
	var all []mount
	for _, p := range slices.Sorted(maps.Keys(l.mounts)) {
		if m := l.mounts[p]; m.entry >= 0 {
			all = append(all, m)
		}
	}
	return all
}

// size is what the root tmpfs has room for: a page for each of its nodes, and the root's own. No size would be no limit.
func (l *Layout) size() (bytes, inodes int64) {
	const page = 65536 // the largest page size among Linux machines
	inodes = int64(len(l.nodes)) + 1
	return inodes * page, inodes
}

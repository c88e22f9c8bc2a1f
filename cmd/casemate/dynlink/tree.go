package dynlink

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"casemate/sandbox"
	"casemate/sandbox/hostpath"
)

// How a file of the host is shown inside.
const (
	hidden = iota
	readable
	executable
)

// tree is what a profile shows of the host, under the names of the host.
type tree struct {
	binds map[string]int // real path -> how
	links map[string]string
}

// newTree fails where a path cannot be looked at.
func newTree(f *sandbox.Files, program string) (*tree, error) {
	t := &tree{binds: map[string]int{}, links: map[string]string{}}
	for _, list := range []struct {
		paths []string
		shown int
	}{{f.Read, readable}, {f.Write, readable}, {append(slices.Clone(f.Exec), program), executable}} {
		for _, p := range list.paths {
			file, err := hostpath.Open(p)
			if errors.Is(err, fs.ErrNotExist) && slices.Contains(f.Optional, p) {
				continue
			}
			if err != nil {
				return nil, err
			}
			file.Close()
			t.binds[file.Real] = max(t.binds[file.Real], list.shown)
			for _, l := range file.Links {
				t.links[l.Path] = l.Text
			}
		}
	}
	return t, nil
}

// position is a file of the host, and how it is shown.
type position struct {
	real  string
	shown int
}

// find follows a path on the host, and tells what of it is shown. An error is errUnsure,
// or that there is no such file.
func (t *tree) find(p string) (position, error) {
	file, err := hostpath.Open(p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return position{}, err
	}
	if err != nil {
		return position{}, errUnsure
	}
	file.Close()
	for _, l := range file.Links {
		// A link is made where it leads to what is shown, and shown where its directory is.
		if text, made := t.links[l.Path]; t.around(l.Path) == hidden && (!made || text != l.Text) {
			return position{file.Real, hidden}, nil
		}
	}
	return position{file.Real, t.around(file.Real)}, nil
}

// around tells how the innermost bind shows a path without links.
func (t *tree) around(p string) int {
	for {
		if shown := t.binds[p]; shown != hidden {
			return shown
		}
		if p == "/" || !strings.HasPrefix(p, "/") {
			return hidden
		}
		p = path.Dir(p)
	}
}

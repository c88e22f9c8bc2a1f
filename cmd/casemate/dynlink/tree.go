package dynlink

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"casemate/sandbox"
	"casemate/sandbox/foresee"
	"casemate/sandbox/rootfs"
)

// tree is what a profile shows of the host.
type tree struct{ foresee.View }

// newTree fails where a path cannot be looked at.
func newTree(h Host, f *sandbox.Files, program string) (*tree, error) {
	t := &tree{foresee.View{Host: h, Map: f.Map}}
	for _, list := range []struct {
		paths []string
		kind  rootfs.Kind
	}{{f.Read, rootfs.ReadOnly}, {f.Write, rootfs.Write}, {append(slices.Clone(f.Exec), program), rootfs.Exec}} {
		for _, p := range list.paths {
			file, err := h.Find(f.Map, p)
			if errors.Is(err, fs.ErrNotExist) && slices.Contains(f.Optional, p) {
				continue
			}
			if err != nil {
				return nil, err
			}
			t.Add(list.kind, file)
		}
	}
	return t, nil
}

// Shows tells whether a profile shows the file at a path of the host, and false where the host has none there, or it is not sure.
func Shows(h Host, f *sandbox.Files, program, name string) (is, shown bool) {
	t, err := newTree(h, f, program)
	if err != nil {
		return false, false
	}
	at, err := t.find(name)
	return err == nil, at.kind != 0
}

// position is a file of the host, and as what it is shown, 0 for not at all.
type position struct {
	real string
	kind rootfs.Kind
}

func (at position) executable() bool { return at.kind == rootfs.Exec }

// readable says that it is shown, and nothing of it can be mapped executable.
func (at position) readable() bool { return at.kind != 0 && at.kind != rootfs.Exec }

// find follows a path on the host, and tells what of it is shown. An error is errUnsure,
// or that there is no such file.
func (t *tree) find(p string) (position, error) {
	real, kind, err := t.Find(p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		err = errUnsure
	}
	return position{real, kind}, err
}

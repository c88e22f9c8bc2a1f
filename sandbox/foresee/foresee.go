// Package foresee tells what sandbox.Prepare would refuse on this host of a program and of
// a tree, with the code that Prepare itself opens and checks them with. It makes nothing
// and needs no root, and casemated never links it.
package foresee

import (
	"path"

	"casemate/sandbox"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/rootfs"

	"golang.org/x/sys/unix"
)

// Look reports what is wrong with each path of the plan's tree, and with its program.
// writable are the directories that any service of the policy may write.
func Look(pl *sandbox.Plan, writable []hostpath.ID) (faults []error) {
	prog, err := pl.OpenProgram()
	if err == nil {
		defer unix.Close(prog.FD)
		defer prog.Close()
	}
	tree := pl.TreeWith(prog, writable)
	if err := tree.Check(); err != nil {
		return []error{err}
	}
	v, faults := look(tree)
	if err != nil {
		return append(faults, err)
	}
	if len(faults) == 0 {
		if err := prog.RunsInside(v.executable); err != nil {
			return []error{err}
		}
	}
	return faults
}

// view is what of the host is shown inside under its own name.
type view struct {
	kinds map[string]rootfs.Kind // of binds, by real path
	links map[string]string
}

func look(t rootfs.Tree) (v view, faults []error) {
	v = view{map[string]rootfs.Kind{}, map[string]string{}}
	var entries []rootfs.Entry
	var files []*hostpath.File
	for _, e := range t.Entries {
		var f *hostpath.File
		if e.Kind.Bind() {
			var err error
			if f, err = e.Open(); f != nil && f != e.Held && f.FD >= 0 {
				f.Close()
			}
			if err != nil {
				faults = append(faults, &rootfs.EntryError{Kind: e.Kind, Path: e.Path, Err: err})
				continue
			}
			v.add(e.Kind, f)
			if e.Kind == rootfs.Write {
				t.Writable = append(t.Writable[:len(t.Writable):len(t.Writable)], f.ID())
			}
		}
		entries, files = append(entries, e), append(files, f)
	}
	if err := rootfs.Apart(entries, files, t.Writable); err != nil {
		faults = append(faults, err)
	}
	if _, err := rootfs.Lay(entries, files); err != nil {
		faults = append(faults, err)
	}
	return v, faults
}

func (v *view) add(kind rootfs.Kind, f *hostpath.File) {
	if v.kinds[f.Real] <= kind { // of two at one place the one that is not read alone counts
		v.kinds[f.Real] = kind
	}
	for _, k := range f.Links {
		v.links[k.Path] = k.Text
	}
}

// around is the innermost bind that shows a path without links, 0 for none.
func (v *view) around(p string) rootfs.Kind {
	for ; p != "/" && p != "."; p = path.Dir(p) {
		if kind := v.kinds[p]; kind != 0 {
			return kind
		}
	}
	return 0
}

// executable looks a file of the host up as it will be found inside.
func (v *view) executable(name string, _ *hostpath.File) error {
	f, err := hostpath.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, k := range f.Links {
		if v.links[k.Path] != k.Text && v.around(path.Dir(k.Path)) == 0 {
			return sandbox.ErrNotInside
		}
	}
	if v.around(f.Real) != rootfs.Exec {
		return sandbox.ErrNotInside
	}
	return nil
}

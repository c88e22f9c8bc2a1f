// Package foresee tells what sandbox.Prepare would refuse on this host of a program and of
// a tree, with the code that Prepare itself opens and checks them with. It makes nothing
// and needs no root, and casemated never links it.
package foresee

import (
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

func look(t rootfs.Tree) (v View, faults []error) {
	v = View{Map: t.Map}
	var entries []rootfs.Entry
	var files []*hostpath.File
	for _, e := range t.Entries {
		var f *hostpath.File
		if e.Kind.Bind() {
			var err error
			if f, err = e.Open(t.Map); f != nil && f != e.Held && f.FD >= 0 {
				f.Close()
			}
			if err != nil {
				faults = append(faults, &rootfs.EntryError{Kind: e.Kind, Path: e.Path, Err: err})
				continue
			}
			v.Add(e.Kind, f)
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

// executable looks a file of the host up as it will be found inside.
func (v View) executable(name string, _ *hostpath.File) error {
	switch _, kind, err := v.Find(name); {
	case err != nil:
		return err
	case kind != rootfs.Exec:
		return sandbox.ErrNotInside
	}
	return nil
}

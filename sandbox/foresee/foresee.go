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

// Host answers what is asked of a host: this one's file system, or what is known of another.
type Host interface {
	// Entry is Entry.Open of a bind that holds nothing. The file may be closed.
	Entry(e *rootfs.Entry, m hostpath.Map) (*hostpath.File, error)
	// Program is Plan.OpenProgram, and Held whether its file can be shown as a program.
	Program(pl *sandbox.Plan) (*sandbox.Program, error)
	Held(e *rootfs.Entry, m hostpath.Map) error
	// Find is Map.Open. The file may be closed.
	Find(m hostpath.Map, name string) (*hostpath.File, error)
}

// Here is the host of this process.
type Here struct{}

// Entry asks the file system, as the others do.
func (Here) Entry(e *rootfs.Entry, m hostpath.Map) (*hostpath.File, error) {
	f, err := e.Open(m)
	if f != nil && f.FD >= 0 {
		f.Close()
	}
	return f, err
}

func (Here) Program(pl *sandbox.Plan) (*sandbox.Program, error) { return pl.OpenProgram() }

func (Here) Held(e *rootfs.Entry, m hostpath.Map) error {
	_, err := e.Open(m)
	return err
}

func (Here) Find(m hostpath.Map, name string) (*hostpath.File, error) {
	f, err := m.Open(name)
	if err == nil {
		f.Close()
	}
	return f, err
}

// Look reports what is wrong with each path of the plan's tree, and with its program.
// writable are the directories that any service of the policy may write.
func Look(h Host, pl *sandbox.Plan, writable []hostpath.ID) (faults []error) {
	prog, err := h.Program(pl)
	if err == nil {
		defer unix.Close(prog.FD)
		defer prog.Close()
	}
	tree := pl.TreeWith(prog, writable)
	if err := tree.Check(); err != nil {
		return []error{err}
	}
	v, faults := look(h, tree)
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

func look(h Host, t rootfs.Tree) (v View, faults []error) {
	v = View{Host: h, Map: t.Map}
	var entries []rootfs.Entry
	var files []*hostpath.File
	for _, e := range t.Entries {
		var f *hostpath.File
		if e.Kind.Bind() {
			var err error
			if f = e.Held; f != nil {
				err = h.Held(&e, t.Map)
			} else {
				f, err = h.Entry(&e, t.Map)
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

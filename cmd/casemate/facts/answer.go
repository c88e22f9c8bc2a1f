package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"casemate/cmd/casemate/output"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/rootfs"
)

// Answer is what the host says to a question about a path. Each question has its own part of it.
type Answer struct {
	Error *Fault `json:"error,omitempty"`
	File  *File  `json:"file,omitempty"` // what the path leads to
	// Loader is the dynamic loader of a program, Interpreter what a script runs in, Shown why its file cannot be shown.
	Loader      string  `json:"loader,omitempty"`
	Interpreter *Answer `json:"interpreter,omitempty"`
	Shown       *Fault  `json:"shown,omitempty"`
	// Names are libraries that a file needs, or the places where a cache has one; Dirs its run paths.
	Names []string `json:"names,omitempty"`
	Dirs  []string `json:"dirs,omitempty"`
}

// File is where a path leads, and what is there.
type File struct {
	Path    string   `json:"path,omitempty"` // as it was asked for, of a program
	Real    string   `json:"real"`
	Host    string   `json:"host,omitempty"` // where the host has it, if that is not Real
	Mode    uint32   `json:"mode"`           // of stat(2), with the kind of file
	UID     uint32   `json:"uid"`
	GID     uint32   `json:"gid"`
	Dev     uint64   `json:"dev"`
	Ino     uint64   `json:"ino"`
	Links   []Link   `json:"links,omitempty"`
	Through []Passed `json:"through,omitempty"`
}

// Link is a symbolic link on the way, Passed a directory.
type Link struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Passed is a directory on the way.
type Passed struct {
	Path string `json:"path"`
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
}

// Fault is an error as who decides asks it: for its text, the system's number in it, and what is unsafe.
type Fault struct {
	Text   string        `json:"text"`
	Errno  syscall.Errno `json:"errno,omitempty"`
	Unsafe *struct {
		Path   string `json:"path"`
		Reason string `json:"reason"`
		Next   string `json:"next"`
	} `json:"unsafe,omitempty"`
}

// fault is an error as it is written down, nil for none.
func fault(err error) *Fault {
	if err == nil {
		return nil
	}
	f := &Fault{Text: err.Error()}
	var unsafe *hostpath.UnsafeError
	if errors.As(err, &unsafe) {
		f.Unsafe = &struct {
			Path   string `json:"path"`
			Reason string `json:"reason"`
			Next   string `json:"next"`
		}{unsafe.Path, unsafe.Reason, unsafe.Next}
	}
	if !errors.As(err, &f.Errno) && errors.Is(err, fs.ErrPermission) {
		f.Errno = syscall.EACCES
	}
	return f
}

// recorded is a fault as an error.
type recorded struct{ of *Fault }

func (e recorded) Error() string { return e.of.Text }

// Unwrap gives the causes that anybody asks for.
func (e recorded) Unwrap() (all []error) {
	if e.of.Errno != 0 {
		all = append(all, e.of.Errno)
	}
	if u := e.of.Unsafe; u != nil {
		all = append(all, &hostpath.UnsafeError{Path: u.Path, Reason: u.Reason, Next: u.Next})
	}
	return all
}

// err is nil for nil.
func (f *Fault) err() error {
	if f == nil {
		return nil
	}
	return recorded{f}
}

// fileOf writes a file down, nil for none.
func fileOf(f *hostpath.File) *File {
	if f == nil {
		return nil
	}
	out := &File{Real: f.Real, Mode: f.Stat.Mode, UID: f.Stat.Uid, GID: f.Stat.Gid, Dev: f.Stat.Dev, Ino: f.Stat.Ino}
	if f.Host != f.Real {
		out.Host = f.Host
	}
	for _, k := range f.Links {
		out.Links = append(out.Links, Link{k.Path, k.Text})
	}
	for _, p := range f.Through {
		out.Through = append(out.Through, Passed{p.Path, p.ID.Dev, p.ID.Ino})
	}
	return out
}

// file is the other way round. Nobody can open it.
func (f *File) file() *hostpath.File {
	if f == nil {
		return nil
	}
	out := &hostpath.File{FD: -1, Real: f.Real, Host: f.Host}
	if out.Host == "" {
		out.Host = f.Real
	}
	out.Stat.Mode, out.Stat.Uid, out.Stat.Gid, out.Stat.Dev, out.Stat.Ino = f.Mode, f.UID, f.GID, f.Dev, f.Ino
	for _, k := range f.Links {
		out.Links = append(out.Links, hostpath.Link{Path: k.Path, Text: k.Text})
	}
	for _, p := range f.Through {
		out.Through = append(out.Through, hostpath.Place{Path: p.Path, ID: hostpath.ID{Dev: p.Dev, Ino: p.Ino}})
	}
	return out
}

// program writes a program down.
func program(p *sandbox.Program) *Answer {
	if p == nil {
		return nil
	}
	a := &Answer{File: fileOf(p.File), Loader: p.Loader, Interpreter: program(p.Interpreter)}
	if a.File != nil {
		a.File.Path = p.Path
	}
	return a
}

// program is the other way round.
func (a *Answer) program() *sandbox.Program {
	if a == nil || a.File == nil {
		return nil
	}
	return &sandbox.Program{Path: a.File.Path, File: a.File.file(), FD: -1, Loader: a.Loader, Interpreter: a.Interpreter.program()}
}

// sound checks an answer that was read, and makes its texts printable.
func (a *Answer) sound(depth int) error {
	if a == nil || depth > 8 {
		return errors.New("it has no answer")
	}
	for _, f := range []*Fault{a.Error, a.Shown} {
		if f == nil {
			continue
		}
		if f.Text = output.OneLine(f.Text); f.Text == "" {
			return errors.New("an error without a text")
		}
		if u := f.Unsafe; u != nil {
			u.Path, u.Reason, u.Next = output.OneLine(u.Path), output.OneLine(u.Reason), output.OneLine(u.Next)
		}
	}
	if f := a.File; f != nil {
		if !absolute(f.Real) || f.Host != "" && !absolute(f.Host) || f.Path != "" && !absolute(f.Path) {
			return fmt.Errorf("%q is not an absolute path", f.Real)
		}
		for _, k := range f.Links {
			if !absolute(k.Path) || k.Text == "" {
				return fmt.Errorf("%q is no link", k.Path)
			}
		}
	}
	if a.Interpreter != nil {
		if a.File == nil {
			return errors.New("an interpreter of no program")
		}
		return a.Interpreter.sound(depth + 1)
	}
	return nil
}

// in says in which names a question is asked.
func in(question string, m hostpath.Map) string {
	if len(m) == 0 {
		return question
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // of strings
	}
	return question + " in " + string(text)
}

// ask gives the answer to a question, which live has where this host is asked.
func (f *Facts) ask(question string, live func() *Answer) (*Answer, error) {
	if a := f.Paths[question]; a != nil {
		return a, nil
	}
	if f.live == nil {
		return nil, &Unknown{question}
	}
	a := live()
	f.Paths[question] = a
	return a, nil
}

// Entry, Program, Held and Find make Facts a foresee.Host.
func (f *Facts) Entry(e *rootfs.Entry, m hostpath.Map) (*hostpath.File, error) {
	if e.Kind == rootfs.Proc {
		return e.Open(m) // nothing is looked at
	}
	a, err := f.ask(in(e.Kind.String()+" "+e.Path, m), func() *Answer {
		file, err := f.live.Entry(e, m)
		return &Answer{File: fileOf(file), Error: fault(err)}
	})
	if err != nil {
		return nil, err
	}
	if a.Error == nil && a.File == nil {
		return nil, errors.New("the facts of the host have no answer")
	}
	return a.File.file(), a.Error.err()
}

// Program answers with one that nobody can run.
func (f *Facts) Program(pl *sandbox.Plan) (*sandbox.Program, error) {
	m, name := pl.Profile.Files.Map, pl.Command.Path
	question := in("program "+name, m)
	if pl.Filter.Code {
		question = in("program that makes code "+name, m)
	}
	a, err := f.ask(question, func() *Answer {
		p, err := f.live.Program(pl)
		if err != nil {
			return &Answer{Error: fault(err)}
		}
		a := program(p)
		a.Shown = fault(f.live.Held(&rootfs.Entry{Kind: rootfs.Exec, Path: p.Path, Held: p.File}, m))
		syscall.Close(p.FD)
		p.Close()
		return a
	})
	switch {
	case err != nil:
		return nil, &sandbox.ProgramError{Err: err}
	case a.Error != nil:
		return nil, &sandbox.ProgramError{Err: a.Error.err()}
	case a.File == nil || a.File.Path == "":
		return nil, &sandbox.ProgramError{Err: errors.New("the facts of the host have no answer")}
	}
	return a.program(), nil
}

// Held is about a program's file.
func (f *Facts) Held(e *rootfs.Entry, m hostpath.Map) error {
	for _, question := range []string{"program ", "program that makes code "} {
		if a := f.Paths[in(question+e.Path, m)]; a != nil && a.Error == nil {
			return a.Shown.err()
		}
	}
	return &Unknown{e.Path}
}

// Find follows a path.
func (f *Facts) Find(m hostpath.Map, name string) (*hostpath.File, error) {
	a, err := f.ask(in("path "+name, m), func() *Answer {
		file, err := f.live.Find(m, name)
		return &Answer{File: fileOf(file), Error: fault(err)}
	})
	if err != nil {
		return nil, err
	}
	if a.Error == nil && a.File == nil {
		return nil, errors.New("the facts of the host have no answer")
	}
	return a.File.file(), a.Error.err()
}

// Interpreted, Object and Cached make it a dynlink.Host.
func (f *Facts) Interpreted(m hostpath.Map, name string) (real, loader string, err error) {
	a, err := f.ask(in("runs "+name, m), func() *Answer {
		real, loader, err := f.live.Interpreted(m, name)
		if err != nil {
			return &Answer{Error: fault(err)}
		}
		return &Answer{Names: []string{real}, Loader: loader}
	})
	switch {
	case err != nil:
		return "", "", err
	case a.Error != nil:
		return "", "", a.Error.err()
	case len(a.Names) != 1 || !absolute(a.Names[0]) || !absolute(a.Loader):
		return "", "", errors.New("the facts of the host have no answer")
	}
	return a.Names[0], a.Loader, nil
}

// Object is of an ELF file.
func (f *Facts) Object(name string) (needed, paths []string, err error) {
	a, err := f.ask("elf "+name, func() *Answer {
		needed, paths, err := f.live.Object(name)
		return &Answer{Names: needed, Dirs: paths, Error: fault(err)}
	})
	if err != nil {
		return nil, nil, err
	}
	return a.Names, a.Dirs, a.Error.err()
}

// Cached is of a cache of ld.so.
func (f *Facts) Cached(cache, library string) []string {
	a, err := f.ask("cached "+library+" in "+cache, func() *Answer { return &Answer{Names: f.live.Cached(cache, library)} })
	if err != nil {
		return nil
	}
	return a.Names
}

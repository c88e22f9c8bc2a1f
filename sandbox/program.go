package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/rootfs"

	"golang.org/x/sys/unix"
)

// Program is a program resolved once, verified, and held: what was looked at is
// what is bound and executed.
type Program struct {
	Path string
	File *hostpath.File
	FD   int // the same file, readable
	// Interpreter runs a script, which cannot be executed through a descriptor: the kernel opens it, and it opens
	// the script, by name. No script is granted it: whoever takes one over would have a shell that no reviewer
	// saw. The profile names that one file, or a directory with it, under exec.
	Interpreter *Program
	Loader      string // the dynamic loader of a program that is no script, if it has one
}

// maxInterpreters is how many interpreters of interpreters the kernel takes.
const maxInterpreters = 4

// OpenProgram opens and verifies the service's program: a regular executable
// file that only root can change, at a path that only root can lead elsewhere. It may
// have an executable stack where the filter lets it make code, and neither may its
// interpreters without.
func (pl *Plan) OpenProgram() (*Program, error) {
	path := pl.Command.Path
	p, err := openInterpreted(pl.Profile.Files.Map, path, pl.Filter.Code, maxInterpreters)
	if unsafe, ok := err.(*hostpath.UnsafeError); ok && unsafe.Path == path {
		return nil, &ProgramError{fmt.Errorf("command: %w", err)}
	}
	if err != nil {
		return nil, &ProgramError{fmt.Errorf("command %s: %w", path, err)}
	}
	return p, nil
}

// ProgramError is what is wrong with the program itself.
type ProgramError struct{ Err error }

// Error returns it as text, Unwrap as it is.
func (e *ProgramError) Error() string { return e.Err.Error() }
func (e *ProgramError) Unwrap() error { return e.Err }

func openInterpreted(m hostpath.Map, path string, code bool, more int) (p *Program, err error) {
	p = &Program{Path: path, FD: -1}
	defer func() {
		if err != nil {
			p.Close()
			unix.Close(p.FD)
		}
	}()
	if p.File, err = m.Open(path); err != nil {
		return p, err
	}
	if err := p.File.Program(); err != nil {
		return p, err
	}
	if p.FD, err = p.File.Reopen(unix.O_RDONLY | unix.O_NOCTTY); err != nil {
		return p, err
	}
	name, err := interpreter(p.FD)
	if err != nil {
		return p, err
	}
	if name == "" {
		if p.Loader, err = loader(p.FD, code); err == nil && p.Loader != "" {
			err = fits(m, p.Loader)
		}
		return p, err
	}
	if more == 0 {
		return p, errors.New("too many interpreters of interpreters")
	}
	if p.Interpreter, err = openInterpreted(m, name, code, more-1); err != nil {
		return p, fmt.Errorf("its interpreter %q: %w", name, err)
	}
	unix.Close(p.Interpreter.FD) // it is found by name
	p.Interpreter.FD = -1
	return p, nil
}

// fits looks at a program's dynamic loader as at a program, for the kernel maps both. One that cannot be
// had is missing in the tree too, and told of where that is looked at.
func fits(m hostpath.Map, name string) error {
	f, err := m.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	fd, err := f.Reopen(unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := loader(fd, true); err != nil {
		return fmt.Errorf("its dynamic loader %s: %w", name, err)
	}
	return nil
}

// Close lets go of what only Prepare needs: not of FD.
func (p *Program) Close() {
	for ; p != nil; p = p.Interpreter {
		if p.File != nil {
			p.File.Close()
			p.File = nil // an interpreter's is closed by who opened it and by who asked for it
		}
	}
}

// byFD reports whether the program can be executed through its descriptor.
func (p *Program) byFD() bool { return p.Interpreter == nil }

// interpreter gives the path after "#!", as the kernel reads it (fs/binfmt_script.c),
// or "" for a program that is no script.
func interpreter(fd int) (string, error) {
	head := make([]byte, 256)
	n, err := unix.Pread(fd, head, 0)
	if err != nil || n < 2 {
		return "", errors.New("not a program: too short")
	}
	line, script := bytes.CutPrefix(head[:n], []byte("#!"))
	if !script {
		return "", nil
	}
	line, _, _ = bytes.Cut(line, []byte{'\n'})
	if bytes.HasSuffix(line, []byte{'\r'}) { // part of the interpreter's name or of its argument
		return "", fmt.Errorf("its first line %q ends in a carriage return: end its lines as unix does, with sed -i 's/\\r$//'", "#!"+string(line))
	}
	words := bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == 0 })
	if len(words) == 0 || words[0][0] != '/' {
		return "", fmt.Errorf("its first line %q names no interpreter by an absolute path", head[:min(n, len(line)+2)])
	}
	return string(words[0]), nil
}

// TreeWith is the plan's root tree, with the program in it that was verified, if one
// was. A script gets a bind of its own: in one of its directory it could be replaced.
func (pl *Plan) TreeWith(prog *Program, writable []hostpath.ID) rootfs.Tree {
	entries := slices.DeleteFunc(slices.Clone(pl.tree.Entries), func(e rootfs.Entry) bool {
		return e.Kind == rootfs.Exec && e.Path == pl.Command.Path
	})
	if prog != nil {
		entries = append(entries, rootfs.Entry{Kind: rootfs.Exec, Path: prog.Path, Held: prog.File, Pin: !prog.byFD()})
	}
	return rootfs.Tree{Entries: entries, Writable: writable, Map: pl.Profile.Files.Map}
}

// RunsInside checks that the program, its interpreters and their dynamic loader can
// be executed in the tree, and that what the kernel finds by name is what was
// verified. inside checks one file; want is nil where any will do.
func (p *Program) RunsInside(inside func(name string, want *hostpath.File) error) error {
	for i, what := p, ""; i != nil; i = i.Interpreter {
		if err := inside(i.Path, i.File); err != nil {
			return &ProgramError{fmt.Errorf("command %s: %s%w: take profile.server, or one of your own (base = profile.line, widens = [\"files\"], files { exec = [%q] })", p.Path, what, err, i.Path)}
		}
		if i.Loader != "" {
			if err := inside(i.Loader, nil); err != nil {
				return &ProgramError{fmt.Errorf("command %s: its dynamic loader %s %w, nor can the libraries that it loads: take profile.line or profile.server, or one of your own with base = profile.line", p.Path, i.Loader, err)}
			}
		}
		if i.Interpreter != nil {
			what = "its interpreter " + i.Interpreter.Path + " "
		}
	}
	return nil
}

// ErrNotInside is of a file that the tree does not show as a program.
var ErrNotInside = errors.New("cannot be executed inside")

// inside looks in the finished tree.
func inside(name string, want *hostpath.File) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	switch err := errors.Join(unix.Stat(name, &st), unix.Statfs(name, &fs)); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), err == nil && fs.Flags&unix.ST_NOEXEC != 0:
		return ErrNotInside
	case err != nil:
		return err
	case want != nil && hostpath.ID{Dev: st.Dev, Ino: st.Ino} != want.ID():
		return errors.New("is another file inside: somebody replaced it while the policy was loaded, load it again")
	}
	return nil
}

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

// program is a program resolved once, verified, and held: what was looked at is
// what is bound and executed.
type program struct {
	path string
	file *hostpath.File
	fd   int // the same file, readable
	// interpreter runs a script, which cannot be executed through a descriptor:
	// the kernel opens it, and it opens the script, by name.
	interpreter *program
	loader      string // the dynamic loader of a program that is no script, if it has one
}

// maxInterpreters is how many interpreters of interpreters the kernel takes.
const maxInterpreters = 4

// openProgram opens and verifies the service's program: a regular executable
// file that only root can change, at a path that only root can lead elsewhere. It may
// have an executable stack where code says so, and neither may its interpreters without.
func openProgram(path string, code bool) (*program, error) {
	p, err := openInterpreted(path, code, maxInterpreters)
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

func openInterpreted(path string, code bool, more int) (p *program, err error) {
	p = &program{path: path, fd: -1}
	defer func() {
		if err != nil {
			p.close()
			unix.Close(p.fd)
		}
	}()
	if p.file, err = hostpath.Open(path); err != nil {
		return p, err
	}
	if err := p.file.Program(); err != nil {
		return p, err
	}
	if p.fd, err = p.file.Reopen(unix.O_RDONLY | unix.O_NOCTTY); err != nil {
		return p, err
	}
	name, err := interpreter(p.fd)
	if err != nil {
		return p, err
	}
	if name == "" {
		p.loader, err = loader(p.fd, code)
		return p, err
	}
	if more == 0 {
		return p, errors.New("too many interpreters of interpreters")
	}
	if p.interpreter, err = openInterpreted(name, code, more-1); err != nil {
		return p, fmt.Errorf("its interpreter %q: %w", name, err)
	}
	unix.Close(p.interpreter.fd) // it is found by name
	p.interpreter.fd = -1
	return p, nil
}

// close lets go of what only Prepare needs: not of fd.
func (p *program) close() {
	for ; p != nil; p = p.interpreter {
		if p.file != nil {
			p.file.Close()
		}
	}
}

// byFD reports whether the program can be executed through its descriptor.
func (p *program) byFD() bool { return p.interpreter == nil }

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

// treeWith is the plan's root tree, with the program in it that was verified. A
// script gets a bind of its own: in one of its directory it could be replaced.
func (pl *Plan) treeWith(prog *program, writable []hostpath.ID) rootfs.Tree {
	entries := slices.DeleteFunc(slices.Clone(pl.tree.Entries), func(e rootfs.Entry) bool {
		return e.Kind == rootfs.Exec && e.Path == prog.path
	})
	entries = append(entries, rootfs.Entry{Kind: rootfs.Exec, Path: prog.path, Held: prog.file, Pin: !prog.byFD()})
	return rootfs.Tree{Entries: entries, Writable: writable}
}

// runsInside checks, in the finished tree, that the program, its interpreters and
// their dynamic loader can be executed there, and that what the kernel finds by
// name is what was verified.
func (p *program) runsInside() error {
	what := ""
	for i := p; i != nil; i = i.interpreter {
		if err := inside(i.path, i.file); err != nil {
			return fmt.Errorf("command %s: %s%w", p.path, what, err)
		}
		if i.loader != "" {
			if err := inside(i.loader, nil); err != nil {
				return fmt.Errorf("command %s: its dynamic loader %s %w", p.path, i.loader, err)
			}
		}
		if i.interpreter != nil {
			what = "its interpreter " + i.interpreter.path + " "
		}
	}
	return nil
}

// inside checks one file; want is nil where any will do.
func inside(name string, want *hostpath.File) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	switch err := errors.Join(unix.Stat(name, &st), unix.Statfs(name, &fs)); {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), err == nil && fs.Flags&unix.ST_NOEXEC != 0:
		return errors.New("cannot be executed inside: add it to the profile, as files { exec = [\"" + name + "\"] }")
	case err != nil:
		return err
	case want != nil && hostpath.ID{Dev: st.Dev, Ino: st.Ino} != want.ID():
		return errors.New("is another file inside: somebody replaced it while the policy was loaded, load it again")
	}
	return nil
}

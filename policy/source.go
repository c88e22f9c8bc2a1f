package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"casemate/sandbox/hostpath"
)

// What ReadSources reads. Files that are larger are refused unread.
const (
	SourceSuffix  = ".cm.hcl"
	MaxSourceFile = 1 << 20 // bytes of one file
	MaxSourceAll  = 8 << 20 // bytes of all files
	maxSources    = 1024
)

// SourceError says why a policy file or directory is not read.
type SourceError struct {
	Path   string
	Reason string
	Next   string // one step that repairs it
	Err    error  // the system's error, where it is one
}

// Error returns the path, the reason and the step.
func (e *SourceError) Error() string {
	s := "read policy: " + e.Path + ": " + e.Reason
	if e.Next != "" {
		s += ": " + e.Next
	}
	return s
}

// Unwrap returns the system's error.
func (e *SourceError) Unwrap() error { return e.Err }

// Diagnostic returns e in the form of the compiler's findings.
func (e *SourceError) Diagnostic() Diagnostic {
	return Diagnostic{Severity: SeverityError, Code: "CM001", Summary: "policy file is not read: " + e.Reason, Detail: e.Next, File: e.Path}
}

// ReadSources reads the policy at the paths: files, and every *.cm.hcl of a
// directory in byte order of the names, without those that begin with a dot
// and without sub-directories. A file must be regular; neither it nor its
// directory may be writable for everybody or for a group other than root's,
// for who writes the policy becomes root. A compiled document is a
// file like another here. The error is a *SourceError.
func ReadSources(paths ...string) ([]SourceFile, error) { return reader{}.sources(paths) }

// ReadOwnSources is ReadSources for who runs what it reads: files, directory and
// what leads there must also belong to root, or to this process's user.
func ReadOwnSources(paths ...string) ([]SourceFile, error) { return reader{own: true}.sources(paths) }

// IsDocument tells whether a path names a compiled document: its name ends with .json.
func IsDocument(path string) bool { return strings.HasSuffix(path, ".json") }

// reader reads sources. own asks for files of root's.
type reader struct{ own bool }

func (r reader) sources(paths []string) ([]SourceFile, error) {
	var files []SourceFile
	left := MaxSourceAll
	for _, path := range paths {
		more, err := r.path(path, left)
		if err != nil {
			return nil, err
		}
		for _, f := range more {
			left -= len(f.Data)
		}
		files = append(files, more...)
	}
	return files, nil
}

// open opens a file or directory with O_NONBLOCK: a FIFO must not hold the
// broker up. again is a name that leads to it whatever path does now.
func (r reader) open(path string) (f *os.File, again string, err error) {
	if !r.own {
		if f, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0); err != nil {
			return nil, "", systemError(path, err)
		}
		return f, path, nil
	}
	at, err := hostpath.Open(path)
	if err != nil {
		return nil, "", systemError(path, err)
	}
	defer at.Close()
	if kind := at.Stat.Mode & syscall.S_IFMT; kind != syscall.S_IFDIR && kind != syscall.S_IFREG {
		return nil, "", notRegular(path)
	}
	fd, err := at.Reopen(os.O_RDONLY)
	if err != nil {
		return nil, "", systemError(path, err)
	}
	return os.NewFile(uintptr(fd), path), fmt.Sprintf("/proc/self/fd/%d", fd), nil
}

func (r reader) path(path string, left int) ([]SourceFile, error) {
	f, again, err := r.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, systemError(path, err)
	}
	most := min(left, MaxSourceFile)
	switch {
	case info.IsDir():
		return r.readDir(path, again, f, info, left)
	case IsDocument(path):
		most = MaxDocument
	}
	data, err := r.readFile(path, most, f)
	if err != nil {
		return nil, err
	}
	return []SourceFile{{Name: path, Data: data}}, nil
}

// readDir reads a directory through os.Root, so that no link leads out of it.
func (r reader) readDir(dir, again string, f *os.File, info fs.FileInfo, left int) ([]SourceFile, error) {
	if err := r.check(dir, f, info); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(again)
	if err != nil {
		return nil, systemError(dir, err)
	}
	defer root.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, systemError(dir, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	var files []SourceFile
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, SourceSuffix) {
			continue
		}
		if len(files) == maxSources {
			return nil, &SourceError{Path: dir, Reason: fmt.Sprintf("more than %d policy files", maxSources), Next: "join some of them"}
		}
		file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err != nil {
			return nil, systemError(filepath.Join(dir, name), err)
		}
		data, err := r.readFile(filepath.Join(dir, name), min(left, MaxSourceFile), file)
		file.Close()
		if err != nil {
			return nil, err
		}
		left -= len(data)
		files = append(files, SourceFile{Name: filepath.Join(dir, name), Data: data})
	}
	if len(files) == 0 {
		return nil, &SourceError{Path: dir, Reason: "no policy file in the directory", Next: "write one, as " + filepath.Join(dir, "policy"+SourceSuffix)}
	}
	return files, nil
}

// readFile checks what is open, so that nothing can change between look and
// read. It was opened with O_NONBLOCK: a FIFO must not hold the broker up.
func (r reader) readFile(name string, most int, f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, systemError(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(name)
	}
	if err := r.check(name, f, info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, systemError(name, err)
	}
	switch {
	case len(data) <= most:
		return data, nil
	case most >= MaxSourceFile:
		return nil, &SourceError{Path: name, Reason: fmt.Sprintf("larger than %dMiB", most>>20), Next: "split it into several files"}
	}
	return nil, &SourceError{Path: name, Reason: fmt.Sprintf("the policy is larger than %dMiB", MaxSourceAll>>20), Next: "shorten it"}
}

func notRegular(name string) error {
	return &SourceError{Path: name, Reason: "not a regular file", Next: "put a plain file there"}
}

// check refuses what others than root and the owner may change, and of
// sources of root's own also the owner. A sticky directory (/tmp) does not
// pass: others may add a file to it.
func (r reader) check(name string, f *os.File, info fs.FileInfo) error {
	mode := info.Mode()
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case mode.Perm()&0o002 != 0:
		return &SourceError{Path: name, Reason: fmt.Sprintf("world-writable (mode %04o)", mode.Perm()), Next: "run chmod o-w " + name}
	case mode.Perm()&0o020 != 0 && (!ok || st.Gid != 0):
		return &SourceError{Path: name, Reason: fmt.Sprintf("writable for its group (mode %04o)", mode.Perm()), Next: "run chmod g-w " + name}
	}
	if r.own {
		if err := hostpath.Owned(int(f.Fd()), name); err != nil {
			return systemError(name, err)
		}
	}
	return nil
}

func systemError(name string, err error) error {
	var unsafe *hostpath.UnsafeError
	if errors.As(err, &unsafe) {
		reason := unsafe.Reason
		if unsafe.Path != name {
			reason = unsafe.Path + " " + reason
		}
		return &SourceError{Path: name, Reason: reason, Next: unsafe.Next, Err: err}
	}
	reason := err.Error()
	var p *fs.PathError
	if errors.As(err, &p) {
		reason = p.Err.Error()
	}
	next := ""
	if errors.Is(err, fs.ErrNotExist) {
		next = "name the file or directory of the policy"
	}
	return &SourceError{Path: name, Reason: reason, Next: next, Err: err}
}

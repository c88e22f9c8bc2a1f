package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
// for who writes the policy becomes root. The error is a *SourceError.
func ReadSources(paths ...string) ([]SourceFile, error) {
	var files []SourceFile
	left := MaxSourceAll
	for _, path := range paths {
		more, err := readPath(path, left)
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

func readPath(path string, left int) ([]SourceFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, systemError(path, err)
	}
	if info.IsDir() {
		return readDir(path, info, left)
	}
	if IsDocument(path) {
		return nil, &SourceError{Path: path, Reason: "a compiled document stands alone", Next: "name it without other paths"}
	}
	data, err := readFile(path, min(left, MaxSourceFile), open(path))
	if err != nil {
		return nil, err
	}
	return []SourceFile{{Name: path, Data: data}}, nil
}

func open(path string) func() (*os.File, error) {
	return func() (*os.File, error) {
		return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	}
}

// IsDocument tells whether a path names a compiled document: its name ends with .json.
func IsDocument(path string) bool { return strings.HasSuffix(path, ".json") }

// ReadDocument reads a compiled document, as strictly as the compiler's answer.
func ReadDocument(path string) (*Document, error) {
	data, err := readFile(path, MaxDocument+1, open(path))
	if err != nil {
		return nil, err
	}
	doc, err := DecodeDocument(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return doc, nil
}

// readDir reads a directory through os.Root, so that no link leads out of it.
func readDir(dir string, info fs.FileInfo, left int) ([]SourceFile, error) {
	if err := checkMode(dir, info); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, systemError(dir, err)
	}
	defer root.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, systemError(dir, err)
	}
	var files []SourceFile
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, SourceSuffix) {
			continue
		}
		if len(files) == maxSources {
			return nil, &SourceError{Path: dir, Reason: fmt.Sprintf("more than %d policy files", maxSources), Next: "join some of them"}
		}
		data, err := readFile(filepath.Join(dir, name), min(left, MaxSourceFile), func() (*os.File, error) {
			return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		})
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

// readFile opens with O_NONBLOCK (a FIFO must not hold the broker up), then
// checks what it has open, so that nothing can change between look and read.
func readFile(name string, most int, open func() (*os.File, error)) ([]byte, error) {
	f, err := open()
	if err != nil {
		return nil, systemError(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, systemError(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &SourceError{Path: name, Reason: "not a regular file", Next: "put a plain file there"}
	}
	if err := checkMode(name, info); err != nil {
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
		return nil, &SourceError{Path: name, Reason: fmt.Sprintf("larger than %s", FormatSize(int64(most))), Next: "split it into several files"}
	}
	return nil, &SourceError{Path: name, Reason: fmt.Sprintf("the policy is larger than %s", FormatSize(MaxSourceAll)), Next: "shorten it"}
}

// checkMode refuses what others than root and the owner may change. A sticky
// directory (/tmp) does not pass: others may add a file to it.
func checkMode(name string, info fs.FileInfo) error {
	mode := info.Mode()
	if mode.Perm()&0o002 != 0 {
		return &SourceError{Path: name, Reason: fmt.Sprintf("world-writable (mode %04o)", mode.Perm()), Next: "run chmod o-w " + name}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if mode.Perm()&0o020 != 0 && (!ok || st.Gid != 0) {
		return &SourceError{Path: name, Reason: fmt.Sprintf("writable for its group (mode %04o)", mode.Perm()), Next: "run chmod g-w " + name}
	}
	return nil
}

func systemError(name string, err error) error {
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

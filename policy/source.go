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

// What is read of a policy. Files that are larger are refused unread.
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

// IsDocument tells whether a path names a compiled document: its name ends with .json.
func IsDocument(path string) bool { return strings.HasSuffix(path, ".json") }

// IsTable tells whether a path names an inetd.conf: one called so, *.inetd, and what stands in a
// directory inetd.d but for what editors and dpkg leave there.
func IsTable(name string) bool {
	dir, base := filepath.Split(name)
	return base == "inetd.conf" || strings.HasSuffix(base, ".inetd") || filepath.Base(dir) == "inetd.d" &&
		!strings.HasSuffix(base, SourceSuffix) && !strings.HasSuffix(base, "~") && !strings.Contains(base, ".dpkg-")
}

// MayMiss tells whether a path is empty where it is missing: to libwrap, to an inetd.
func MayMiss(path string) bool {
	return path == "/etc/hosts.allow" || path == "/etc/hosts.deny" || path == "/etc/inetd.d"
}

// ReadOwnSources reads the policy at the paths: files, and every *.cm.hcl and table of a directory in
// byte order of the names, without those that begin with a dot and without
// sub-directories. They and what leads there belong to root (or to who runs this process),
// and nobody else may change them: who writes the policy becomes root. A compiled document is a
// file like another here, and one that may be missing is empty then. The error is a *SourceError.
func ReadOwnSources(paths ...string) (files []SourceFile, err error) {
	left := MaxSourceAll
	for _, path := range paths {
		names, err := hostpath.Within(path, func() ([]string, error) { return ownNames(path) })
		if err != nil && !(MayMiss(path) && errors.Is(err, fs.ErrNotExist)) {
			return nil, SystemError(path, err)
		}
		for _, name := range names {
			data, err := hostpath.Within(name, func() ([]byte, error) {
				f, err := openOwn(name)
				if err != nil {
					return nil, err
				}
				defer f.Close()
				return ReadRegular(name, f, left)
			})
			if err != nil {
				return nil, SystemError(name, err)
			}
			left -= len(data)
			files = append(files, SourceFile{Name: name, Data: data})
		}
	}
	return files, nil
}

// ownNames are the files that a path stands for.
func ownNames(path string) ([]string, error) {
	at, err := hostpath.Open(path)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	if !at.IsDir() {
		return []string{path}, nil
	}
	fd, err := at.Reopen(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	if err := at.Owned(); err != nil {
		return nil, err
	}
	return SourceNames(dir)
}

func openOwn(name string) (*os.File, error) {
	at, err := hostpath.Open(name)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	if at.Stat.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, ErrNotRegular // others may do something when they are opened
	}
	if err := at.Owned(); err != nil {
		return nil, err
	}
	fd, err := at.Reopen(os.O_RDONLY)
	return os.NewFile(uintptr(fd), name), err
}

// SourceNames are the policy files of a directory, with its name in front.
func SourceNames(dir *os.File) (names []string, err error) {
	entries, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(entries)
	for _, name := range entries {
		if full := filepath.Join(dir.Name(), name); !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, SourceSuffix) || IsTable(full)) {
			names = append(names, full)
		}
	}
	switch n := len(names); {
	case n == 0 && !MayMiss(dir.Name()):
		return nil, &SourceError{Path: dir.Name(), Reason: "no policy file in the directory", Next: "write one, as " + filepath.Join(dir.Name(), "policy"+SourceSuffix)}
	case n > maxSources:
		return nil, &SourceError{Path: dir.Name(), Reason: fmt.Sprintf("more than %d policy files", maxSources), Next: "join some of them"}
	}
	return names, nil
}

// ReadRegular reads a regular file, of which left bytes may be left of the whole policy.
func ReadRegular(name string, f *os.File, left int) ([]byte, error) {
	most := MaxSourceFile
	if IsDocument(name) {
		most, left = MaxDocument, MaxDocument
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(min(most, left))+1))
	switch {
	case err != nil:
		return nil, SystemError(name, err)
	case len(data) > most:
		return nil, &SourceError{Path: name, Reason: fmt.Sprintf("larger than %dMiB", most>>20), Next: "split it into several files"}
	case len(data) > left:
		return nil, &SourceError{Path: name, Reason: fmt.Sprintf("the policy is larger than %dMiB", MaxSourceAll>>20), Next: "shorten it"}
	}
	return data, nil
}

// ErrNotRegular is the error of what is no plain file.
var ErrNotRegular = errors.New("not a regular file")

// SystemError gives err as a *SourceError about the file name.
func SystemError(name string, err error) error {
	var unsafe *hostpath.UnsafeError
	var p *fs.PathError
	e := &SourceError{Path: name, Reason: err.Error(), Err: err}
	switch {
	case errors.As(err, new(*SourceError)):
		return err
	case errors.As(err, &unsafe):
		e.Reason, e.Next = strings.TrimPrefix(unsafe.Path+" "+unsafe.Reason, name+" "), unsafe.Next
	case errors.As(err, new(*hostpath.SilentError)):
		e.Reason = strings.TrimPrefix(e.Reason, name+": ")
	case errors.Is(err, ErrNotRegular):
		e.Next = "put a plain file there"
	case errors.As(err, &p):
		e.Reason = p.Err.Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		e.Next = "name the file or directory of the policy"
	}
	return e
}

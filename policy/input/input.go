// Package input is what a policy is read from: the names and bounds of its files, how casemated reads its own, and
// how it hands them to the compiler. Package source reads them for everybody else.
package input

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"casemate/policy/granted"
	"casemate/sandbox/hostpath"
)

// File is one policy file as read: Name is the name diagnostics show.
type File struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// Where the policy is for every verb and for casemated, and where that listens for control requests.
const (
	DefaultPath        = "/etc/casemate"
	DefaultControlPath = "/run/casemate/control.sock"
)

// What is read of a policy. Files that are larger are refused unread.
const (
	SourceSuffix  = ".cm.hcl"
	TestSuffix    = ".cmtest.hcl" // of tests, which are no part of it
	BannerSuffix  = ".banner"     // of a text that services send
	MaxSourceFile = 1 << 20       // bytes of one file
	MaxSourceAll  = 8 << 20       // bytes of all files
	maxSources    = 1024
)

// Fault is what is wrong with the files of a policy, beside what the system says of them.
type Fault struct {
	Reason string
	Next   string // one step that repairs it
}

// Error returns the reason and the step.
func (e *Fault) Error() string { return e.Reason + ": " + e.Next }

// IsDocument tells whether a path names a compiled document: its name ends with .json.
func IsDocument(path string) bool { return strings.HasSuffix(path, ".json") }

// IsTable tells whether a path names an inetd.conf: one called so, *.inetd, and what stands in a
// directory inetd.d but for what editors and dpkg leave there.
func IsTable(name string) bool {
	dir, base := filepath.Split(name)
	return base == "inetd.conf" || strings.HasSuffix(base, ".inetd") || filepath.Base(dir) == "inetd.d" &&
		!strings.HasSuffix(base, SourceSuffix) && !strings.HasSuffix(base, TestSuffix) && !strings.HasSuffix(base, "~") && !strings.Contains(base, ".dpkg-")
}

// IsSource tells whether a file of a directory is of its policy, by its path.
func IsSource(full string) bool {
	return !strings.HasPrefix(filepath.Base(full), ".") && (strings.HasSuffix(full, SourceSuffix) || strings.HasSuffix(full, BannerSuffix) || IsTable(full))
}

// MayMiss tells whether a path is empty where it is missing: to libwrap, to an inetd.
func MayMiss(path string) bool {
	return path == "/etc/hosts.allow" || path == "/etc/hosts.deny" || path == "/etc/inetd.d"
}

// ReadOwn reads the policy at the paths: files, and every *.cm.hcl, *.banner and table of a directory in
// byte order of the names, without those that begin with a dot and without
// sub-directories. They and what leads there belong to root (or to who runs this process),
// and nobody else may change them: who writes the policy becomes root. A compiled document is a
// file like another here, and one that may be missing is empty then. Errors name the file.
func ReadOwn(paths ...string) (list []File, err error) {
	left := MaxSourceAll
	failed := func(name string, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: make it, or name another", err)
		} else if errors.As(err, new(*Fault)) { // others name it themselves
			err = fmt.Errorf("%s: %w", name, err)
		}
		return fmt.Errorf("read policy: %w", err)
	}
	for _, path := range paths {
		names, err := hostpath.Within(path, func() ([]string, error) { return ownNames(path) })
		if err != nil && !(MayMiss(path) && errors.Is(err, fs.ErrNotExist)) {
			return nil, failed(path, err)
		}
		for _, name := range names {
			data, err := hostpath.Within(name, func() ([]byte, error) { return readOwn(name, left) })
			if err != nil {
				return nil, failed(name, err)
			}
			left -= len(data)
			list = append(list, File{Name: name, Data: data})
		}
	}
	return list, nil
}

// ownNames are the files that a path stands for.
func ownNames(path string) ([]string, error) {
	dir, err := openOwn(path, syscall.S_IFDIR)
	if err != nil {
		return nil, err
	}
	if dir == nil {
		return []string{path}, nil
	}
	defer dir.Close()
	return SourceNames(dir)
}

func readOwn(name string, left int) ([]byte, error) {
	f, err := openOwn(name, syscall.S_IFREG)
	if f == nil {
		return nil, cmp.Or(err, error(ErrNotRegular))
	}
	defer f.Close()
	return ReadRegular(name, f, left)
}

// openOwn opens a file of that kind, which nobody else may change, and none of another kind:
// one may do something when it is opened.
func openOwn(name string, kind uint32) (*os.File, error) {
	at, err := hostpath.Open(name)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	if at.Stat.Mode&syscall.S_IFMT != kind {
		return nil, nil
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
		if full := filepath.Join(dir.Name(), name); IsSource(full) {
			names = append(names, full)
		}
	}
	switch n := len(names); {
	case n == 0 && !MayMiss(dir.Name()):
		return nil, &Fault{"no policy file in the directory", "write one, as " + filepath.Join(dir.Name(), "policy"+SourceSuffix)}
	case n > maxSources:
		return nil, &Fault{fmt.Sprintf("more than %d policy files", maxSources), "join some of them"}
	}
	return names, nil
}

// ReadRegular reads a regular file, of which left bytes may be left of the whole policy.
func ReadRegular(name string, f *os.File, left int) ([]byte, error) {
	most := MaxSourceFile
	if IsDocument(name) {
		most, left = granted.MaxDocument, granted.MaxDocument
	}
	var text bytes.Buffer
	if info, err := f.Stat(); err == nil { // a document is large, and grows by copying
		text.Grow(int(min(info.Size(), int64(most))) + bytes.MinRead)
	}
	_, err := text.ReadFrom(io.LimitReader(f, int64(min(most, left))+1))
	data := text.Bytes()
	switch {
	case err != nil:
		return nil, err
	case len(data) > most:
		return nil, &Fault{fmt.Sprintf("larger than %dMiB", most>>20), "split it into several files"}
	case len(data) > left:
		return nil, &Fault{fmt.Sprintf("the policy is larger than %dMiB", MaxSourceAll>>20), "shorten it"}
	}
	return data, nil
}

// ErrNotRegular is the error of what is no plain file.
var ErrNotRegular = &Fault{"not a regular file", "put a plain file there"}

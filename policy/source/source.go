// Package source reads policies for who only looks at them, as the command line does:
// whoever they belong to, as long as not everybody may change them. casemated takes its own
// from root alone (input.ReadOwn).
package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"casemate/policy"
	"casemate/policy/input"
)

// Read reads the policy at a path: a file, or every *.cm.hcl and inetd.conf of a directory, as
// input.ReadOwn does. A file must be regular; neither it nor its
// directory may be writable for everybody or for a group other than root's. The error is a
// *Error.
func Read(path string) ([]policy.SourceFile, error) {
	f, err := os.OpenFile(path, flags, 0)
	if input.MayMiss(path) && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, Of(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, Of(path, err)
	}
	if info.IsDir() {
		return readDir(path, f, info, func() ([]string, error) {
			names, err := input.SourceNames(f)
			if err != nil {
				err = misnamed(path, Of(path, err))
			}
			return names, err
		})
	}
	data, err := readFile(path, f, input.MaxSourceAll)
	if err != nil {
		return nil, err
	}
	return []policy.SourceFile{{Name: path, Data: data}}, nil
}

// ReadTests reads the *.cmtest.hcl of a directory, in byte order of their names and as Read does; of what is
// no directory, or cannot be opened, it gives nothing: Read says so.
func ReadTests(path string) ([]policy.SourceFile, error) {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.IsDir() {
		return nil, nil
	}
	return readDir(path, f, info, func() (names []string, err error) {
		entries, err := f.Readdirnames(-1)
		if err != nil {
			return nil, Of(path, err)
		}
		slices.Sort(entries)
		for _, name := range entries {
			if strings.HasSuffix(name, input.TestSuffix) && !strings.HasPrefix(name, ".") {
				names = append(names, filepath.Join(path, name))
			}
		}
		return names, nil
	})
}

// flags open a file without waiting for the other end of a FIFO.
const flags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_CLOEXEC

// readDir reads a directory through os.Root, so that no link leads out of it.
func readDir(dir string, f *os.File, info fs.FileInfo, list func() ([]string, error)) (files []policy.SourceFile, err error) {
	if err := check(dir, info); err != nil {
		return nil, err
	}
	names, err := list()
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, Of(dir, err)
	}
	defer root.Close()
	left := input.MaxSourceAll
	for _, name := range names {
		file, err := root.OpenFile(filepath.Base(name), flags, 0)
		if err != nil {
			return nil, Of(name, err)
		}
		data, err := readFile(name, file, left)
		file.Close()
		if err != nil {
			return nil, err
		}
		left -= len(data)
		files = append(files, policy.SourceFile{Name: name, Data: data})
	}
	return files, nil
}

// misnamed names the file of a directory without policy files that may be meant for one.
func misnamed(dir string, err error) error {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		stem, hcl := strings.CutSuffix(e.Name(), ".hcl")
		if hcl && stem != "" && !strings.HasSuffix(e.Name(), input.SourceSuffix) && !strings.HasSuffix(e.Name(), input.TestSuffix) && !strings.HasPrefix(stem, ".") {
			return &Error{Path: dir, Reason: fmt.Sprintf("no policy file in the directory %s: their names end with %s, and %s does not", dir, input.SourceSuffix, e.Name()),
				Next: fmt.Sprintf("rename it to %s", filepath.Join(dir, stem+input.SourceSuffix))}
		}
	}
	return err
}

// readFile checks what is open, so that nothing can change between look and read.
func readFile(name string, f *os.File, left int) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, Of(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, Of(name, input.ErrNotRegular)
	}
	if err := check(name, info); err != nil {
		return nil, err
	}
	data, err := input.ReadRegular(name, f, left)
	if err != nil {
		return nil, Of(name, err)
	}
	return data, nil
}

// check refuses what others than root and the owner may change. A sticky directory
// (/tmp) does not pass: others may add a file to it.
func check(name string, info fs.FileInfo) error {
	mode := info.Mode()
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case mode.Perm()&0o002 != 0:
		return &Error{Path: name, Reason: fmt.Sprintf("world-writable (mode %04o)", mode.Perm()), Next: "run chmod go-w " + name}
	case mode.Perm()&0o020 != 0 && (!ok || st.Gid != 0):
		return &Error{Path: name, Reason: fmt.Sprintf("writable for its group (mode %04o)", mode.Perm()), Next: "run chmod g-w " + name}
	}
	return nil
}

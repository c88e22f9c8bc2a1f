package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// rewrite is a file that is to be made, or written anew.
type rewrite struct {
	name string
	new  []byte
	read []byte // what new was made of, nil for nothing: a file that has other bytes by now is left alone
	real string // where name leads
	put  string // new in a file beside it, "" once that is in its place
	back string // what it was, likewise, "" where there was none or nothing can have to be put back
	made bool   // there was none
}

// writeAll writes all files, or none: each is complete beside its place before the first takes it, so that a reader sees the
// old one or the new one, and where one cannot take its place those before it get back what they had. A link is followed to
// its file. rename is os.Rename.
func writeAll(list []rewrite, rename func(from, to string) error) (err error) {
	defer func() {
		for i := range list {
			for _, left := range []string{list[i].put, list[i].back} {
				if left != "" {
					err = errors.Join(err, os.Remove(left))
				}
			}
		}
	}()
	for i := range list {
		if err := list[i].beside(len(list) > 1); err != nil {
			return fmt.Errorf("write %s: %w%s", list[i].name, err, none(list))
		}
	}
	interrupts := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	signal.Ignore(interrupts...) // during a few renames
	defer signal.Reset(interrupts...)
	for i := range list {
		f := &list[i]
		if err := rename(f.put, f.real); err != nil {
			err = fmt.Errorf("write %s: %w", f.name, err)
			if kept := putBack(list[:i], rename); kept != nil {
				return errors.Join(err, kept)
			}
			return fmt.Errorf("%w%s", err, none(list))
		}
		f.put = ""
	}
	return nil
}

// none says that no file is other, where there are several.
func none(list []rewrite) string {
	if len(list) < 2 {
		return ""
	}
	return "; all files are as they were"
}

// putBack gives files back what they had, and tells which it cannot.
func putBack(list []rewrite, rename func(from, to string) error) error {
	var anew []string
	var failed error
	for i := range list {
		f := &list[i]
		var err error
		if f.made {
			err = os.Remove(f.real)
		} else if err = rename(f.back, f.real); err == nil {
			f.back = ""
		}
		if err != nil {
			anew, failed = append(anew, f.name), errors.Join(failed, fmt.Errorf("put back %s: %w", f.name, err))
		}
	}
	if failed != nil {
		failed = errors.Join(failed, fmt.Errorf("new are %s, and no others", strings.Join(anew, ", ")))
	}
	return failed
}

// beside writes what a file is to be into one beside it, and, with both, what it was into another.
func (f *rewrite) beside(both bool) error {
	real, err := filepath.EvalSymlinks(f.name)
	if errors.Is(err, fs.ErrNotExist) && f.read == nil {
		if _, err := os.Lstat(f.name); err == nil {
			return errors.New("a link that leads nowhere")
		}
		f.real, f.made = f.name, true
		f.put, err = besideFile(f.real, f.new, nil)
		return err
	}
	if err != nil {
		return err
	}
	f.real = real
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	}
	old, err := os.ReadFile(real)
	switch {
	case err != nil:
		return err
	case f.read != nil && !bytes.Equal(f.read, old):
		return errors.New("it was changed meanwhile: try again")
	}
	if f.put, err = besideFile(real, f.new, info); err == nil && both {
		f.back, err = besideFile(real, old, info)
	}
	return err
}

// besideFile writes data into a new file beside one, with the mode of that and, where the caller may give it away, its owner.
// There is none with a nil info.
func besideFile(real string, data []byte, info fs.FileInfo) (name string, err error) {
	mode := fs.FileMode(0o644)
	tmp, err := os.CreateTemp(filepath.Dir(real), ".casemate-*")
	if err != nil {
		return "", err
	}
	_, err = tmp.Write(data)
	if info != nil {
		mode = info.Mode().Perm()
		err = errors.Join(err, giveTo(tmp, info))
	}
	return tmp.Name(), errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
}

// giveTo makes the owner of a file that of another, where the caller is root.
func giveTo(tmp *os.File, info fs.FileInfo) error {
	is, err := tmp.Stat()
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	own, of := is.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if own.Uid == of.Uid && own.Gid == of.Gid {
		return nil
	}
	return tmp.Chown(int(of.Uid), int(of.Gid))
}

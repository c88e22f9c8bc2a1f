package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Into is the value of --output-into: files that get what a verb found too, each in a format.
// Open opens them before the process confines itself, Write fills them.
type Into struct {
	Formats []Format // that the verb has
	files   []*target
}

// target is one file: what is written goes to temp, which takes its place; to one that is no
// regular file, as a pipe, it goes as it is.
type target struct {
	format Format
	name   string
	path   string // name without links
	temp   *os.File
	direct bool
}

// String is the files as they were given.
func (t *Into) String() string {
	var words []string
	for _, f := range t.files {
		words = append(words, string(f.format)+"="+f.name)
	}
	return strings.Join(words, " ")
}

// Type is what help calls a value.
func (t *Into) Type() string { return "FORMAT=FILE" }

// Set takes one more file.
func (t *Into) Set(word string) error {
	format, name, ok := strings.Cut(word, "=")
	if !ok || name == "" {
		return fmt.Errorf("write FORMAT=FILE, as %s=report.%s", t.Formats[len(t.Formats)-1], t.Formats[len(t.Formats)-1])
	}
	if err := Check(format, t.Formats); err != nil {
		return err
	}
	if name == "-" {
		return fmt.Errorf("- is no file: for standard output write -o %s, and ./- for a file of that name", format)
	}
	t.files = append(t.files, &target{format: Format(format), name: name})
	return nil
}

// Open opens every file, so that no right to write to another one is needed afterwards. The
// directories are those in which open files take their places.
func (t *Into) Open() (dirs []string, err error) {
	for i, f := range t.files {
		if err := f.open(); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.name, err)
		}
		if slices.ContainsFunc(t.files[:i], func(o *target) bool { return o.path == f.path && !f.direct }) {
			return nil, fmt.Errorf("write %s: two formats go to one file: name another", f.name)
		}
		if !f.direct {
			dirs = append(dirs, filepath.Dir(f.path))
		}
	}
	return dirs, nil
}

func (f *target) open() (err error) {
	f.path, err = filepath.Abs(f.name)
	if err != nil {
		return err
	}
	mode := os.FileMode(0o666)
	switch real, err := filepath.EvalSymlinks(f.path); {
	case err == nil:
		info, err := os.Stat(real)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return errors.New("it is a directory: name a file")
		}
		f.path, f.direct, mode = real, !info.Mode().IsRegular(), info.Mode().Perm()
	case !errors.Is(err, os.ErrNotExist):
		return err
	default:
		dir, err := filepath.EvalSymlinks(filepath.Dir(f.path))
		if err != nil {
			return err
		}
		f.path = filepath.Join(dir, filepath.Base(f.path))
	}
	if f.direct {
		f.temp, err = os.OpenFile(f.path, os.O_WRONLY, 0)
		return err
	}
	for n := 0; ; n++ {
		temp := filepath.Join(filepath.Dir(f.path), fmt.Sprintf(".casemate-%d-%d", os.Getpid(), n))
		f.temp, err = os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, os.ErrExist) || n == 100 {
			return err
		}
	}
}

// Write writes every file with write, each whole or not at all.
func (t *Into) Write(write func(Format, io.Writer) error) error {
	for _, f := range t.files {
		var text bytes.Buffer
		err := write(f.format, &text)
		if err == nil {
			err = f.put(text.Bytes())
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

func (f *target) put(text []byte) error {
	_, err := f.temp.Write(text)
	if f.direct {
		return errors.Join(err, f.temp.Close())
	}
	if err := errors.Join(err, f.temp.Sync(), f.temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.temp.Name(), f.path); err != nil {
		return err
	}
	f.temp = nil
	return nil
}

// Close removes what was opened and not written.
func (t *Into) Close() {
	for _, f := range t.files {
		if f.temp != nil && !f.direct {
			f.temp.Close()
			os.Remove(f.temp.Name()) // who fails to write says so already
		}
	}
}

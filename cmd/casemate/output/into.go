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

	"casemate/policy/input"
)

// Into is the value of --output-into: files that get what a verb found too, each in a format.
// Open opens them before the process confines itself, Write fills them.
type Into struct {
	Formats []Format // that the verb has
	files   []*target
}

// target is one file: what is written goes to temp, which takes its place.
type target struct {
	format Format
	name   string
	path   string // name without links
	temp   *os.File
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

// Open opens a new file for every one, so that no right to write to another is needed afterwards. The
// directories are those in which they take their places. What is there and is no regular file, what a
// policy's files are named like, and what the verb reads, as the words of its line say, is refused: it
// is not even opened, for a pipe might be waited for, and a device act.
func (t *Into) Open(read []string) (dirs []string, err error) {
	for i, f := range t.files {
		if err := f.open(read); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.name, err)
		}
		if slices.ContainsFunc(t.files[:i], func(o *target) bool { return o.path == f.path }) {
			return nil, fmt.Errorf("write %s: two formats go to one file: name another", f.name)
		}
		dirs = append(dirs, filepath.Dir(f.path))
	}
	return dirs, nil
}

// place finds where the file is, or is to be, and its permissions.
func (f *target) place(read []string) (mode os.FileMode, err error) {
	f.path, err = filepath.Abs(f.name)
	if err != nil {
		return 0, err
	}
	mode = 0o666
	switch real, err := filepath.EvalSymlinks(f.path); {
	case err == nil:
		info, err := os.Lstat(real)
		switch {
		case err != nil:
			return 0, err
		case info.IsDir():
			return 0, errors.New("it is a directory: name a file")
		case !info.Mode().IsRegular():
			return 0, errors.New("it is no regular file, and only such a one is replaced: name another, or write to standard output with -o")
		case slices.ContainsFunc(read, func(word string) bool { return is(info, word) }):
			return 0, errors.New("it is what is read: name another file")
		}
		f.path, mode = real, info.Mode().Perm()
	case !errors.Is(err, os.ErrNotExist):
		return 0, err
	default:
		dir, err := filepath.EvalSymlinks(filepath.Dir(f.path))
		if err != nil {
			return 0, err
		}
		f.path = filepath.Join(dir, filepath.Base(f.path))
		if _, err := os.Lstat(f.path); err == nil {
			return 0, errors.New("it is a link that leads nowhere: name what it is to lead to")
		}
	}
	if input.IsSource(f.path) || strings.HasSuffix(f.path, input.TestSuffix) {
		return 0, errors.New("files of a policy have such names: name another")
	}
	return mode, nil
}

// is tells whether a word names that file.
func is(file os.FileInfo, word string) bool {
	info, err := os.Stat(word)
	return err == nil && os.SameFile(info, file)
}

func (f *target) open(read []string) error {
	mode, err := f.place(read)
	if err != nil {
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
		if f.temp != nil {
			f.temp.Close()
			os.Remove(f.temp.Name()) // who fails to write says so already
		}
	}
}

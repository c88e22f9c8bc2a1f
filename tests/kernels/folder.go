package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// folder is a tree that is being made. It keeps the first error of what is done to it, and does nothing after that.
type folder struct {
	top string
	ctx context.Context
	err error
}

func (f *folder) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *folder) run(name string, args ...string) {
	if f.err == nil {
		_, err := output(f.ctx, "", name, args...)
		f.keep(err)
	}
}

// place gives the path of a file that is not there yet, in a folder that is: what is there may be a link to another tree's.
func (f *folder) place(name string) string {
	path := filepath.Join(f.top, name)
	if err := os.Remove(path); f.err == nil && !errors.Is(err, fs.ErrNotExist) {
		f.keep(err)
	}
	if f.err == nil {
		f.keep(os.MkdirAll(filepath.Dir(path), 0o755))
	}
	return path
}

// text adds a file of root's with the given content.
func (f *folder) text(name, content string, mode os.FileMode) {
	if path := f.place(name); f.err == nil {
		f.keep(os.WriteFile(path, []byte(content), mode))
	}
}

// file adds one file of this host under another name, as root's.
func (f *folder) file(name, source string, mode os.FileMode) {
	content, err := os.ReadFile(source)
	f.keep(err)
	f.text(name, string(content), mode)
}

// link adds a symbolic link.
func (f *folder) link(name, target string) {
	if path := f.place(name); f.err == nil {
		f.keep(os.Symlink(target, path))
	}
}

// tree adds a file, or a folder with all in it, as it is.
func (f *folder) tree(source, name string) { f.run("cp", "-a", source, f.place(name)) }

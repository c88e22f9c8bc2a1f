package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// archive writes an initramfs: cpio in the "newc" form that the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	out    *bufio.Writer
	offset int64
	inode  int
	err    error
}

func newArchive(w io.Writer) *archive { return &archive{out: bufio.NewWriterSize(w, 1<<20)} }

// entry is the head of one file.
type entry struct {
	name     string // without a leading slash
	mode     uint32 // st_mode
	uid, gid uint32
	size     int64
	rdev     uint64
}

// head writes a file's head; its content follows.
func (a *archive) head(e entry) {
	a.inode++
	major, minor := e.rdev>>8&0xfff, e.rdev&0xff|e.rdev>>12&0xfff00
	a.printf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, e.mode, e.uid, e.gid, 1, 0, e.size, 0, 0, major, minor, len(e.name)+1, 0, e.name)
	a.pad()
}

func (a *archive) printf(format string, args ...any) {
	n, err := fmt.Fprintf(a.out, format, args...)
	a.offset += int64(n)
	a.keep(err)
}

// pad goes on to the next multiple of four.
func (a *archive) pad() { a.printf("%s", strings.Repeat("\x00", int(-a.offset&3))) }

func (a *archive) keep(err error) {
	if a.err == nil {
		a.err = err
	}
}

// text adds a file of root's with the given content.
func (a *archive) text(name, content string, mode uint32) {
	a.parents(name)
	a.head(entry{name: strings.TrimPrefix(name, "/"), mode: syscall.S_IFREG | mode, size: int64(len(content))})
	a.printf("%s", content)
	a.pad()
}

// parents adds the folders above a file; to unpack one that is there already
// changes nothing but its mode, and those of Debian are 755.
func (a *archive) parents(name string) {
	parts := strings.Split(strings.Trim(filepath.Dir(name), "/"), "/")
	for i := range parts {
		if dir := strings.Join(parts[:i+1], "/"); dir != "" && dir != "." {
			a.head(entry{name: dir, mode: syscall.S_IFDIR | 0o755})
		}
	}
}

// file adds one file of this host under another name, as root's.
func (a *archive) file(name, source string, mode uint32) {
	content, err := os.ReadFile(source)
	a.keep(err)
	a.text(name, string(content), mode)
}

// close writes the end.
func (a *archive) close() error {
	a.head(entry{name: "TRAILER!!!"})
	a.keep(a.out.Flush())
	return a.err
}

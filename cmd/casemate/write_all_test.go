package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asUser makes the test's thread one that file modes bind, where it is root's.
func asUser(t *testing.T, dirs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const uid = 65534
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { return errors.Join(err, os.Chown(path, uid, -1)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	become := func(id int) {
		if _, err := unix.SetfsuidRetUid(id); err != nil {
			t.Error(err)
		}
	}
	become(uid)
	t.Cleanup(func() { become(0) })
}

// TestWriteAllOrNone: where the third of three files cannot be written, since its folder takes no file, or takes none from the moment on
// when all are ready, no file is other and none is left beside them.
func TestWriteAllOrNone(t *testing.T) {
	type tree struct {
		list []rewrite
		dirs []string
	}
	make3 := func(t *testing.T) (out tree) {
		root := t.TempDir()
		if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c"} {
			dir := filepath.Join(root, name)
			file := filepath.Join(dir, "p.cm.hcl")
			if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(file, []byte("old "+name), 0o640)); err != nil {
				t.Fatal(err)
			}
			out.dirs = append(out.dirs, dir)
			out.list = append(out.list, rewrite{name: file, read: []byte("old " + name), new: []byte("new " + name)})
		}
		asUser(t, root)
		return out
	}
	shut := func(t *testing.T, dir string) {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	// left are the files of a tree by what they hold, and how many others there are.
	left := func(t *testing.T, tr tree) (text string) {
		for _, dir := range tr.dirs {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				data, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if info, _ := e.Info(); err != nil || info.Mode().Perm() != 0o640 {
					t.Fatalf("%s: %v, %v", e.Name(), info.Mode(), err)
				}
				text += string(data) + "; "
			}
		}
		return text
	}
	const before, after = "old a; old b; old c; ", "new a; new b; new c; "
	t.Run("all", func(t *testing.T) {
		tr := make3(t)
		if err := writeAll(tr.list, os.Rename); err != nil || left(t, tr) != after {
			t.Errorf("%v: %s", err, left(t, tr))
		}
	})
	t.Run("no temporary file", func(t *testing.T) {
		tr := make3(t)
		shut(t, tr.dirs[2])
		err := writeAll(tr.list, os.Rename)
		if got := left(t, tr); !errors.Is(err, fs.ErrPermission) || got != before || !strings.Contains(err.Error(), "all files are as they were") {
			t.Errorf("%v: %s", err, got)
		}
	})
	t.Run("no rename", func(t *testing.T) {
		tr := make3(t)
		calls := 0
		err := writeAll(tr.list, func(from, to string) error {
			if calls++; calls == 3 {
				shut(t, tr.dirs[2])
			}
			err := os.Rename(from, to)
			if calls == 3 { // the file beside it can be removed again
				err = errors.Join(err, os.Chmod(tr.dirs[2], 0o755))
			}
			return err
		})
		if got := left(t, tr); !errors.Is(err, fs.ErrPermission) || got != before || !strings.Contains(err.Error(), "all files are as they were") || calls != 5 {
			t.Errorf("%v: %s, %d renames", err, got, calls)
		}
	})
	t.Run("nothing is put back", func(t *testing.T) {
		tr := make3(t)
		calls := 0
		err := writeAll(tr.list, func(from, to string) error {
			if calls++; calls == 3 {
				shut(t, tr.dirs[1])
				shut(t, tr.dirs[2])
			}
			return os.Rename(from, to)
		})
		if err == nil || !strings.HasSuffix(err.Error(), "permission denied") || !strings.Contains(err.Error(), "new are "+tr.list[1].name+", and no others") {
			t.Errorf("%v", err)
		}
		for i, want := range []string{"old a", "new b", "old c"} {
			if data, err := os.ReadFile(tr.list[i].name); string(data) != want {
				t.Errorf("%s: %s, %v", tr.list[i].name, data, err)
			}
		}
	})
	t.Run("changed meanwhile", func(t *testing.T) {
		tr := make3(t)
		tr.list[2].read = []byte("older c")
		err := writeAll(tr.list, os.Rename)
		if got := left(t, tr); err == nil || got != before || !strings.Contains(err.Error(), "changed meanwhile") {
			t.Errorf("%v: %s", err, got)
		}
	})
	t.Run("a new file is taken away again", func(t *testing.T) {
		tr := make3(t)
		tr.list[0] = rewrite{name: filepath.Join(tr.dirs[0], "made.json"), new: []byte("made")}
		calls := 0
		err := writeAll(tr.list, func(from, to string) error {
			if calls++; calls == 3 {
				return errors.New("no")
			}
			return os.Rename(from, to)
		})
		if got := left(t, tr); err == nil || got != before {
			t.Errorf("%v: %s", err, got)
		}
	})
}

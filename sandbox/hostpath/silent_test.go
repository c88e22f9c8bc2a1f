package hostpath

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestSilentFileSystem: what a file system without its server holds is an error after
// Patience, and at once for all below it; what lies beside is not held, and the path is as any
// other as soon as it answers.
func TestSilentFileSystem(t *testing.T) {
	need.Root(t, "it mounts a file system")
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	heal := need.DeadMount(t, dead, 0)
	began := time.Now()
	var no *SilentError
	if f, err := Open(dead); !errors.As(err, &no) || no.Path != dead {
		t.Fatalf("opened %v, %v", f, err)
	}
	if took := time.Since(began); took < Patience {
		t.Errorf("given up after %s", took)
	}
	began = time.Now()
	for _, p := range []string{dead, dead + "/a", dead + "/a/b"} {
		if _, err := Ask(p); !errors.As(err, &no) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if took := time.Since(began); took >= Patience {
		t.Errorf("%s for paths that are known not to answer", took)
	}
	for _, p := range []string{dir, dead + "er"} {
		if _, err := Ask(p); err != nil && err != unix.ENOENT {
			t.Errorf("%s: %v", p, err)
		}
	}
	heal()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		f, err := Open(dead)
		if err == nil {
			f.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the directory, healed: %v", err)
		}
	}
}

// TestSilentPathsAreBounded: so many may hang, and no look at the host is begun beyond.
func TestSilentPathsAreBounded(t *testing.T) {
	open.Lock()
	before := open.questions
	open.questions = make(map[*question]bool)
	for range maxSilent {
		open.questions[&question{path: "/dead", at: time.Now().Add(-Patience)}] = true
	}
	open.Unlock()
	defer func() { open.Lock(); open.questions = before; open.Unlock() }()
	var no *SilentError
	if _, err := Ask("/etc"); !errors.As(err, &no) {
		t.Errorf("asked: %v", err)
	}
}

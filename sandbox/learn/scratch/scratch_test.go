package scratch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
)

func sh(t *testing.T, line string) *Process {
	t.Helper()
	p, err := Start([]string{"/bin/sh", "-c", line}, os.Environ(), "/")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStart(t *testing.T) {
	p := sh(t, "echo out; echo err >&2; exit 3")
	if status := p.Wait(30 * time.Second); status != 3 || p.Stdout() != "out\n" || p.Stderr() != "err\n" {
		t.Errorf("status %d, %q, %q", status, p.Stdout(), p.Stderr())
	}
	if status := sh(t, "kill -TERM $$").Wait(30 * time.Second); status != 128+15 {
		t.Errorf("status %d of one that died of SIGTERM", status)
	}
	if _, err := Start([]string{"/nonexistent"}, nil, "/"); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("no such program: %v", err)
	}
}

// TestWait: a program that does not end is killed, and one that leaves another behind, which
// holds its output, does not keep anybody waiting.
func TestWait(t *testing.T) {
	began := time.Now()
	if status := sh(t, "sleep 60").Wait(50 * time.Millisecond); status != -1 {
		t.Errorf("status %d of one that was killed", status)
	}
	p := sh(t, "sleep 60 & echo begun")
	if status := p.Wait(30 * time.Second); status != 0 || p.Stdout() != "begun\n" {
		t.Errorf("status %d, %q", status, p.Stdout())
	}
	p.Stop(30 * time.Second)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestOutputIsBounded: what a program writes beyond the bound is read, and not kept.
func TestOutputIsBounded(t *testing.T) {
	p := sh(t, "head -c 3000000 /dev/zero")
	if status := p.Wait(30 * time.Second); status != 0 || len(p.Stdout()) != maxOutput {
		t.Errorf("status %d, %d bytes", status, len(p.Stdout()))
	}
}

// TestNothingOfAShellStays: whatever a line has started, also in sessions of its own, is gone
// once Wait returns, and once who started it was killed.
func TestNothingOfAShellStays(t *testing.T) {
	need.Root(t, "namespaces of processes are root's to make")
	dir := t.TempDir()
	if of := os.Getenv("SCRATCH_TEST_SHELL"); of != "" { // the one that is killed
		if _, err := Shell(of, os.Environ(), "/"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		return
	}
	// Each of them holds a lock on a file for as long as it lives.
	file := filepath.Join(dir, "held")
	line := fmt.Sprintf("setsid flock %s sleep 61 & while flock -n %s true; do sleep 0.02; done; echo held > %s.by", file, file, file)
	free := func() bool { return exec.Command("flock", "-n", file, "true").Run() == nil }
	p, err := Shell(line, os.Environ(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if status := p.Wait(30 * time.Second); status != 0 {
		t.Fatalf("status %d: %s", status, p.Stderr())
	}
	if _, err := os.Stat(file + ".by"); err != nil || !free() {
		t.Errorf("what ran in the background runs on after Wait (%v)", err)
	}
	if p, err = Shell("kill -TERM $$", os.Environ(), "/"); err != nil {
		t.Fatal(err)
	}
	if status := p.Wait(30 * time.Second); status != 128+15 {
		t.Errorf("status %d of a line that died of SIGTERM", status)
	}

	os.Remove(file + ".by")
	c := exec.Command("/proc/self/exe", "-test.run", "^TestNothingOfAShellStays$")
	c.Env = append(os.Environ(), "SCRATCH_TEST_SHELL="+line+"; sleep 62")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the line holds its file", func() bool { _, err := os.Stat(file + ".by"); return err == nil && !free() })
	_ = c.Process.Kill()
	_ = c.Wait()
	until(t, "its processes end with who started them", free)
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

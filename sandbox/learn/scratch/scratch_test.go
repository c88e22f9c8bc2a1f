package scratch

import (
	"os"
	"strings"
	"testing"
	"time"
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

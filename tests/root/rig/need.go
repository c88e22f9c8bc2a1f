package rig

import (
	"os"
	"path/filepath"
	"testing"

	"casemate/tests/need"
)

// Root asks for root and returns the folder of the product's binaries: bin, or
// what CASEMATE_BIN says.
func Root(t testing.TB) string {
	t.Helper()
	need.Root(t, "it starts a broker")
	bound(t)
	bin := os.Getenv("CASEMATE_BIN")
	if bin == "" {
		bin = filepath.Join(Top(t), "bin")
	}
	for _, name := range []string{"casemate", "casemated", "casemate-worker", "casemate-filter"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Fatalf("%v: build the product first (make build)", err)
		}
	}
	return bin
}

// Top is the repository's top directory.
func Top(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's directory")
		}
		dir = up
	}
}

// PublicDir is a temporary folder that every user can enter, unlike t.TempDir, and
// outside /tmp, which a sandbox hides under its own.
func PublicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "casemate-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Port returns a loopback port that is free for tcp and udp now.
func Port(t testing.TB) string { t.Helper(); return need.Port(t) }

// Serve starts a broker for the test on one policy file and stops it at the end.
func Serve(t testing.TB, text string) *Broker {
	t.Helper()
	return ServeWith(t, Options{Files: map[string]string{"test.cm.hcl": text}})
}

// ServeWith is Serve with options; Bin is filled in. A failed test prints what
// the broker said.
func ServeWith(t testing.TB, o Options) *Broker {
	t.Helper()
	o.Bin = Root(t)
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("casemated said:\n%s", b.Stderr())
			if log, err := os.ReadFile(b.LogFile); err == nil {
				t.Logf("its log:\n%s", tail(log, 8000))
			}
		}
		b.Stop()
	})
	return b
}

// tail is the end of b, at most n bytes.
func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSweep: what a killed learn left goes with the next one; what another one has locked, is new, or is no folder stays.
func TestSweep(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	old := time.Now().Add(-2 * stale)
	made := map[string]bool{"left": false, "locked": true, "new": true, "file": true, "link": true}
	for name := range made {
		path := filepath.Join(temp, siteName+name)
		switch name {
		case "file":
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		case "link":
			if err := os.Symlink(temp, path); err != nil {
				t.Fatal(err)
			}
			continue
		default:
			if err := os.MkdirAll(filepath.Join(path, "client-1"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if name != "new" {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	f, err := locked(filepath.Join(temp, siteName+"locked"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sweep()
	for name, stays := range made {
		if _, err := os.Lstat(filepath.Join(temp, siteName+name)); (err == nil) != stays {
			t.Errorf("%s: %v, want it to stay: %t", name, err, stays)
		}
	}
}

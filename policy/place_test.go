package policy

import (
	"errors"
	"fmt"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/rootfs"
)

// TestEntryAt: an error about a path leads to the place of it in its list, through whatever wraps it.
func TestEntryAt(t *testing.T) {
	why := errors.New("why")
	p := &sandbox.Profile{Files: sandbox.Files{Read: []string{"/a", "/b"}, Exec: []string{"/b"}}}
	for want, err := range map[string]error{
		"files.read.1": fmt.Errorf("services.s: %w", &rootfs.EntryError{Kind: rootfs.ReadOnly, Path: "/b", Err: why}),
		"files.exec.0": &rootfs.EntryError{Kind: rootfs.Exec, Path: "/b", Err: why},
		"":             &rootfs.EntryError{Kind: rootfs.Write, Path: "/b", Err: why},
	} {
		if got := EntryAt(p, err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if got := EntryAt(p, why); got != "" {
		t.Error(got)
	}
}

package facts

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnmappedAt: the file system of the nearest directory that is there counts.
func TestUnmappedAt(t *testing.T) {
	var s unix.Statfs_t
	if err := unix.Statfs("/proc", &s); err != nil {
		t.Fatal(err)
	}
	unmapped[int64(s.Type)] = "proc"
	t.Cleanup(func() { delete(unmapped, int64(s.Type)) })
	for dir, want := range map[string]string{"/proc": "proc", "/proc/nothing/here": "proc", "/proc/version/below": ""} {
		if got := unmappedAt(dir); got != want {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
}

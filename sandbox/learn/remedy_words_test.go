package learn

import (
	"strconv"
	"strings"
	"testing"

	"casemate/sandbox"
)

// TestRemediesAreOnesOwn: a remedy has lines and words of casemate's alone, whatever the
// path that was refused.
func TestRemediesAreOnesOwn(t *testing.T) {
	for _, exists := range []bool{false, true} {
		c := confinesOf(sandbox.Profile{}, Leaves())
		c.Exists = func(string) bool { return exists }
		for _, call := range []string{"openat", "newfstatat", "mkdir", "execve", "connect", "bind", "chown", "mount", "unlink"} {
			for _, err := range telling {
				for _, dir := range []string{"", "/", "/srv/", "/tmp/", "/proc/", "/dev/", "/dev/shm/", "/dev/pts/", "/private/", "/sys/"} {
					f := fact(call, err, dir+"a\x1b]0;\nlast: root\u009b31m\u202e", 1)
					if dir == "" {
						f.Path, f.Addr = "", "unix @\x1b\nlast\u202e"
					}
					got := c.Remedy(&f)
					for line := range strings.Lines(got) {
						line = strings.TrimSuffix(line, "\n")
						if strings.HasPrefix(line, "last") || strings.ContainsFunc(line, func(r rune) bool { return !strconv.IsPrint(r) }) {
							t.Errorf("%s %s: %q", f.String(), ErrorName(err), got)
						}
					}
				}
			}
		}
	}
}

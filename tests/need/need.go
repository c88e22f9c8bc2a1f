// Package need is the one way in which a test of this repository is left out:
// it asks for something of the host, and skips with the reason where that is
// missing. Under CI=true nothing may be missing, and the test fails: but for what
// the running kernel does not have, by the word of a probe.
//
// It imports nothing of the project, so that every package's tests can use it.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Skip leaves a test out because the host lacks something, with the probe's
// word for it.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("skipped, which CI does not allow: "+format, args...)
	}
	t.Skipf(format, args...)
}

// Kernel leaves a test out because a probe says that the running kernel lacks a
// feature, also under CI=true: no installation brings it. `make test-kernels` runs
// such tests on kernels that have it.
func Kernel(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Skipf("this kernel: "+format, args...)
}

// Root skips a plain user's run; why says what the test does with root's rights.
func Root(t testing.TB, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "needs root: %s", why)
	}
}

// Programs asks for programs of the host by name and returns their paths.
func Programs(t testing.TB, names ...string) []string {
	t.Helper()
	var out []string
	for _, n := range names {
		p, err := exec.LookPath(n)
		if err != nil { // in one form, also of a path: tests/kernels knows it
			Skip(t, "exec: %q: %v", n, exec.ErrNotFound)
		}
		out = append(out, p)
	}
	return out
}

// Heavy asks for a program that make test does not install, since it is large or changes more of the host than
// itself: one that is missing leaves the test out also under CI=true. by is the make target that installs it, and
// that sets CASEMATE_HEAVY=1, with which it may not be missing.
func Heavy(t testing.TB, name, by string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CASEMATE_HEAVY") == "1":
		t.Fatalf("exec: %q: %v", name, exec.ErrNotFound)
	default:
		t.Skipf("exec: %q: %v (make %s installs it)", name, exec.ErrNotFound, by)
	}
	return p
}

// AnyProgram asks for one of several programs, the first that is there.
func AnyProgram(t testing.TB, names ...string) string {
	t.Helper()
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			return p
		}
	}
	Skip(t, "exec: none of %q: %v", names, exec.ErrNotFound)
	return ""
}

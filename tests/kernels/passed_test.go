package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPassed: a list holds what has passed with its key, also after a run that was ended within a line, and none of
// another key, nor where there is no key.
func TestPassed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "6.1.passed")
	again := func(key string, want ...string) *passed {
		t.Helper()
		p, err := readPassed(path, key)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.file.Close() })
		if !slices.Equal(p.tests, want) {
			t.Errorf("with %q it has %q, want %q", key, p.tests, want)
		}
		return p
	}
	add := func(p *passed, tests ...string) {
		t.Helper()
		for _, test := range tests {
			if err := p.add(test); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(again("one 6.1.0"), "root TestA", "escape TestB")
	add(again("one 6.1.0", "root TestA", "escape TestB"), "root TestC")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("root TestEnde"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	add(again("one 6.1.0", "root TestA", "escape TestB", "root TestC"), "root TestD")
	again("one 6.1.0", "root TestA", "escape TestB", "root TestC", "root TestD")
	add(again(""), "root TestE")
	again("one 6.1.0", "root TestA", "escape TestB", "root TestC", "root TestD")
	again("two 6.1.0")
	again("one 6.1.0") // it is of the other commit now
}

// TestSkips: of each suite the tests are left out that have passed, and none whose name only begins or ends like one of theirs.
func TestSkips(t *testing.T) {
	p := &passed{tests: []string{"root TestA", "root TestLong_x.y", "escape TestA", "broken"}}
	got := p.skips()
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"escape", "root"}) {
		t.Errorf("of the suites %q", names)
	}
	for test, want := range map[string]bool{"TestA": true, "TestLong_x.y": true, "TestLong_xzy": false, "TestAB": false, "XTestA": false, "TestB": false} {
		if regexp.MustCompile(got["root"]).MatchString(test) != want {
			t.Errorf("%s is left out: %t", test, !want)
		}
	}
	if len((&passed{}).skips()) > 0 {
		t.Error("of nothing something is left out")
	}
}

// TestReportKeepsPassed: what passes is noted as it passes, whatever comes then, and nothing else is; a run for which
// nothing is left is good, and one of nothing at all is not.
func TestReportKeepsPassed(t *testing.T) {
	p, err := readPassed(filepath.Join(t.TempDir(), "list"), "key")
	if err != nil {
		t.Fatal(err)
	}
	r := report{passed: p}
	if err := r.read(strings.NewReader("@@ begin root\n--- PASS: TestA (0.1s)\n    --- PASS: TestB/c (0.1s)\n--- FAIL: TestB (1s)\n    a_test.go:3: this kernel: it has no X\n--- SKIP: TestC (0s)\n--- PASS: TestD (0.1s)\n=== RUN   TestE\n")); err != nil {
		t.Fatal(err)
	}
	if p, err = readPassed(p.file.Name(), "key"); err != nil || !slices.Equal(p.tests, []string{"root TestA", "root TestD"}) {
		t.Errorf("it has kept %q (%v)", p.tests, err)
	}
	for _, tt := range []struct {
		before *passed
		want   bool
	}{{p, true}, {&passed{}, false}} {
		r := report{passed: tt.before}
		if err := r.read(strings.NewReader("@@ begin root\ntesting: warning: no tests to run\nPASS\n@@ end root 0\n@@ done\n")); err != nil || r.ok() != tt.want {
			t.Errorf("nothing left after %q is ok: %t (%v)", tt.before.tests, r.ok(), err)
		}
	}
}

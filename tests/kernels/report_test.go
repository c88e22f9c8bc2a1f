package main

import (
	"strings"
	"testing"
)

// TestReport: a run is good only where every test passed or lacked a program
// or a kernel's feature,
// every step ended with 0 and the last mark came.
func TestReport(t *testing.T) {
	const good = "@@ kernel 6.1\n@@ begin root\n=== RUN   TestA\n--- PASS: TestA (0.1s)\nPASS\n@@ end root 0\n@@ done\n"
	for _, c := range []struct {
		name, said, fault string
		passed, skipped   int
	}{
		{"good", good, "", 1, 0},
		{"carriage returns", strings.ReplaceAll(good, "\n", "\r\n"), "", 1, 0},
		{"a failed test", strings.Replace(good, "--- PASS", "    a_test.go:3: wrong\n--- FAIL", 1), "root TestA failed\n    " + "    a_test.go:3: wrong", 0, 0},
		{"a failed subtest alone", strings.Replace(good, "--- PASS: TestA", "    --- FAIL: TestA/b (0.1s)\n--- FAIL: TestA", 1), "TestA/b", 0, 0},
		{"a missing program", strings.Replace(good, "--- PASS: TestA", "x\n--- PASS: TestB (0s)\n=== RUN   TestA\n    a_test.go:3: exec: \"git\": executable file not found in $PATH\n--- SKIP: TestA", 1), "", 1, 1},
		{"an old kernel", strings.Replace(good, "--- PASS: TestA", "x\n--- PASS: TestB (0s)\n=== RUN   TestA\n    a_test.go:3: this kernel: it has no X\n--- SKIP: TestA", 1), "", 1, 1},
		{"another skip", strings.Replace(good, "--- PASS", "    a_test.go:3: no Landlock\n--- SKIP", 1), "skipped for no good reason", 0, 0},
		{"a status", strings.Replace(good, "end root 0", "end root 2", 1), "ended with status 2", 1, 0},
		{"no last mark", strings.Replace(good, "@@ done\n", "", 1), "guest ended without its last mark", 1, 0},
		{"cut off in a step", good[:strings.Index(good, "--- PASS")], "root ended without its last mark", 0, 0},
		{"a step without an end", strings.Replace(good, "@@ end root 0\n", "", 1), "root has no end", 1, 0},
		{"a step within another", strings.Replace(good, "--- PASS", "@@ begin b\n--- PASS", 1), "unexpected mark", 1, 0},
		{"nothing", "", "guest ended without its last mark", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r report
			if err := r.read(strings.NewReader(c.said)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.faults, "\n"); (got == "") != (c.fault == "") || !strings.Contains(got, c.fault) {
				t.Errorf("faults %q, want one with %q", got, c.fault)
			}
			if r.count != c.passed || len(r.skipped) != c.skipped {
				t.Errorf("%d passed, %q skipped", r.count, r.skipped)
			}
			if r.ok() != (c.fault == "") {
				t.Errorf("ok is %t", r.ok())
			}
		})
	}
	var r report
	if _ = r.read(strings.NewReader("@@ begin a\n@@ end a 0\n@@ done\n")); r.ok() {
		t.Error("a run without one passed test is good")
	}
}

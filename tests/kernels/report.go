package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// report is what a guest said over its serial line.
type report struct {
	kernel          string  // release
	count           int     // of the tests that passed, subtests not counted
	passed          *passed // notes them, and has those before; nil for none
	skipped, faults []string
	done            bool
	cpu             time.Duration // that the emulation took
}

// ok tells whether the guest ran to its end, something has passed there, and nothing failed.
func (r *report) ok() bool { return r.done && r.count+r.before() > 0 && len(r.faults) == 0 }

// before is how many tests passed in earlier runs, and were left out.
func (r *report) before() int {
	if r.passed == nil {
		return 0
	}
	return len(r.passed.tests)
}

// excuses are the reasons for which a guest may leave a test out: it has no
// packages beyond a minimal Debian, or its kernel lacks what is tested.
var excuses = regexp.MustCompile(`executable file not found in \$PATH|: this kernel[: ]`)

// verdict is the last line of a test that is nobody's subtest.
var verdict = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\S+) \(`)

// keptLines is how much of a failed test's output is shown.
const keptLines = 60

// read follows a guest until its last mark or the end of its output.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	step, said := "", []string{}
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		mark, isMark := strings.CutPrefix(line, "@@ ")
		switch m := verdict.FindStringSubmatch(line); {
		case isMark:
			if r.done = mark == "done"; r.done {
				if step != "" {
					r.fault(step, "has no end", said)
				}
				return nil
			}
			step = r.mark(step, mark, said)
			said = nil
		case m != nil:
			r.verdict(step+" "+m[2], m[1], said)
			said = nil
		case strings.HasPrefix(line, "=== RUN") && !strings.Contains(line, "/"):
			said = nil
		default:
			said = append(said, line)
		}
	}
	if step == "" {
		step = "guest"
	}
	r.fault(step, "ended without its last mark", said)
	return lines.Err()
}

// mark takes a mark in and returns the step that runs after it.
func (r *report) mark(step, mark string, said []string) string {
	switch f := strings.Fields(mark); {
	case len(f) == 2 && f[0] == "kernel":
		r.kernel = f[1]
	case len(f) == 2 && f[0] == "begin" && step == "":
		return f[1]
	case len(f) == 3 && f[0] == "end" && f[1] == step:
		if f[2] != "0" && !r.faulted(step) {
			r.fault(step, "ended with status "+f[2], said)
		}
		return ""
	default:
		r.fault("guest", fmt.Sprintf("unexpected mark %q", mark), said)
	}
	return step
}

// faulted tells whether a test of the step failed, which is why it ends with 1.
func (r *report) faulted(step string) bool {
	return slices.ContainsFunc(r.faults, func(f string) bool { return strings.HasPrefix(f, step+" ") })
}

func (r *report) verdict(test, word string, said []string) {
	switch word {
	case "PASS":
		if r.count++; r.passed != nil {
			if err := r.passed.add(test); err != nil {
				r.fault(test, "is not noted: "+err.Error(), nil)
			}
		}
	case "FAIL":
		r.fault(test, "failed", said)
	case "SKIP":
		reason := strings.TrimSpace(strings.Join(said, " "))
		if !excuses.MatchString(reason) {
			r.fault(test, "was skipped for no good reason", said)
			return
		}
		r.skipped = append(r.skipped, test+": "+reason)
	}
}

func (r *report) fault(what, how string, said []string) {
	if n := len(said); n > keptLines {
		said = append([]string{fmt.Sprintf("... %d lines left out", n-keptLines)}, said[n-keptLines:]...)
	}
	r.faults = append(r.faults, strings.Join(append([]string{what + " " + how}, said...), "\n    "))
}

package escape

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// attempt is one line of the escape table.
type attempt struct {
	// number groups attempts of one kind; it is the number in the victim's comments.
	number int
	// line is what the victim is told: a name and arguments with {placeholders}.
	line string
	// want holds the errors that may stop it under the profile, split by |.
	// "killed" is a victim that died without an answer.
	want string
	// control says how the attempt works outside.
	control control
	// controlLine stands in for line outside, where the same words would hit the host.
	controlLine string
}

// control is the positive control of an attempt.
type control int

const (
	// asNobody runs it as the service's user: only the sandbox stops it.
	asNobody control = iota
	// asRoot runs it as root: the lost rights are what stops it.
	asRoot
	// uncontrolled attempts would harm a host where they work, or cannot work
	// on this kernel at all: only the denial is tested.
	uncontrolled
)

// outcome is what the victim answered.
type outcome struct {
	result string // "ok", an errno name, or "killed"
	notes  []string
}

func (o outcome) String() string { return fmt.Sprintf("%s %q", o.result, o.notes) }

// note returns the rest of the first note with the prefix.
func (o outcome) note(prefix string) (string, bool) {
	for _, n := range o.notes {
		if rest, ok := strings.CutPrefix(n, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// parse reads a victim's answer to the attempt called name.
func parse(name, answer string) outcome {
	o := outcome{result: "killed"}
	for line := range strings.Lines(answer) {
		line = strings.TrimSuffix(line, "\n")
		if n, ok := strings.CutPrefix(line, "note: "); ok {
			o.notes = append(o.notes, n)
		} else if r, ok := strings.CutPrefix(line, name+" "); ok {
			o.result = r
		}
	}
	return o
}

// inside makes the attempt as a service of the broker.
func inside(t *testing.T, port, line string) outcome {
	t.Helper()
	name, _, _ := strings.Cut(line, " ")
	answer, err := rig.Exchange(port, line+"\n")
	if err != nil && !strings.Contains(err.Error(), "reset by peer") {
		t.Fatalf("%s: %v", line, err)
	}
	o := parse(name, answer)
	if o.result == "unknown" {
		t.Fatalf("the victim knows no attempt %q", name)
	}
	return o
}

// denied tells whether the outcome is one of those that want lists.
func denied(want string, o outcome) bool { return slices.Contains(strings.Split(want, "|"), o.result) }

// fill replaces {name} by its value; a placeholder without one is a mistake in the table.
func fill(t *testing.T, line string, values map[string]string) string {
	t.Helper()
	for k, v := range values {
		line = strings.ReplaceAll(line, "{"+k+"}", v)
	}
	if strings.ContainsAny(line, "{}") {
		t.Fatalf("%q holds an unknown placeholder", line)
	}
	return line
}

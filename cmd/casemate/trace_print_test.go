package main

import (
	"strings"
	"testing"

	"casemate/sandbox/learn"
)

// TestTracePrintsWhatHelpsFirst: before one trouble stands first what something would grant, a line of it to a line.
func TestTracePrintsWhatHelpsFirst(t *testing.T) {
	var out strings.Builder
	a := &app{out: &out}
	a.failures([]failureReport{{Call: "nowhere()", Before: "x", Remedy: learn.Nowhere}, {Call: "there()", Before: "x", Remedy: "network {\n  mode = \"host\"\n}"},
		{Call: "later()", Before: "y", Remedy: learn.Nowhere}})
	text := out.String()
	last := -1
	for _, want := range []string{"before x", "there()", "        network {\n          mode = \"host\"\n        }\n", "nowhere()", "before y", "later()"} {
		at := strings.Index(text, want)
		if at <= last {
			t.Errorf("%q is at %d, after %d, in\n%s", want, at, last, text)
		}
		last = at
	}
}

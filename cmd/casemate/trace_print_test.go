package main

import (
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/learn"
)

// TestLimitIsNoProbe: what a limit refused stands apart from what a program only looks for, whether it went on or not.
func TestLimitIsNoProbe(t *testing.T) {
	fact := func(call string, err syscall.Errno) learn.Fact {
		return learn.Fact{PID: 7, Call: call, Err: err, Count: 1, First: 1}
	}
	s := &learn.Session{PID: 7, Program: "/bin/x", Processes: 1, Facts: []learn.Fact{fact("openat", syscall.ENOENT), fact("openat", syscall.EMFILE), fact("clone", syscall.EAGAIN)}}
	s.Facts[0].Path, s.Facts[1].Path = "/etc/nothing-of-that-name", "/dev/null"
	p := sandbox.Profile{Name: "p"}
	p.Resources[sandbox.OpenFiles], p.Resources[sandbox.Tasks] = 20, 4
	r := reportOf(s, &learn.Confines{Profile: &p, Exists: func(string) bool { return false }})
	var out strings.Builder
	(&app{out: &out}).tellSession(1, &r)
	text := out.String()
	last := -1
	for _, want := range []string{"limits that it went on with:", "open_files = 40", "tasks = 8", "harmless probes:", "nothing-of-that-name"} {
		at := strings.Index(text, want)
		if at <= last {
			t.Errorf("%q is at %d, after %d, in\n%s", want, at, last, text)
		}
		last = at
	}
}

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

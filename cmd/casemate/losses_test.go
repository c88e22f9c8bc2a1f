package main

import (
	"bytes"
	"testing"
)

// Each loss is one line, however many services share it.
func TestLossesAreSaidOnce(t *testing.T) {
	var l losses
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		l.add(name, "cgroup")
	}
	l.add("b", "landlock.scopes")
	var out bytes.Buffer
	a := &app{out: &out}
	a.losses(&l)
	const want = "a, b, c, d, e, f and 2 more: not enforced on this host: cgroup\n" +
		"b: not enforced on this host: landlock.scopes\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

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
	a.losses(&l, "this host")
	const want = "a, b, c, d, e, f and 2 more: not enforced on this host: cgroup\n" +
		"b: not enforced on this host: landlock.scopes\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	a.host(&hostReport{Services: []hostService{{Name: "b", Losses: []string{"landlock.scopes"}}, {Name: "c", Refused: "no"}}}, "mail.json")
	if got, want := out.String(), "\nthe kernel of mail.json has Landlock ABI 0\nc: refused on the host of mail.json: no\nb: not enforced on the host of mail.json: landlock.scopes\n"; got != want {
		t.Errorf("of another host it printed\n%s\nwant\n%s", got, want)
	}
}

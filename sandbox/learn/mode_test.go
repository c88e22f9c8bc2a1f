package learn

import (
	"testing"

	"casemate/sandbox"
)

// TestModes: of two modes of the network the one stays that reaches more, and a network of the sessions' own is needed
// where they used one.
func TestModes(t *testing.T) {
	of := func(mode sandbox.NetworkMode) *Needs {
		return &Needs{Other: []Need{{Attr: AttrMode, Value: string(mode)}}}
	}
	for i, mode := range sandbox.NetworkModes {
		for j, other := range sandbox.NetworkModes {
			n := of(mode)
			if n.Add(of(other)); len(n.Other) != 1 || n.Other[0].Value != string(sandbox.NetworkModes[max(i, j)]) {
				t.Errorf("%s and %s make %+v", mode, other, n.Other)
			}
		}
	}
	c := &Confines{Profile: &sandbox.Profile{Network: sandbox.Network{Mode: sandbox.NetworkPrivate}}}
	c.Rules = bringsAlong(&Need{Attr: AttrSockets, Value: "unix"}, sandbox.NetworkPrivate)
	for want, facts := range map[sandbox.NetworkMode][]Fact{
		sandbox.NetworkNone:    {{Call: "read", Count: 1}},
		sandbox.NetworkPrivate: {{Call: "bind", Addr: "inet 127.0.0.1:8000", Count: 1}},
	} {
		n := Find([]*Session{{Facts: facts}}, c, Host{Real: func(p string) string { return p }}, Extras{})
		if x := (Extras{Mode: sandbox.NetworkPrivate}).Used(n); x.Mode != want {
			t.Errorf("%+v make %q, want %q", facts, x.Mode, want)
		}
		for _, o := range n.Other {
			if o.Attr == AttrBind {
				t.Errorf("its own port is %+v", o)
			}
		}
	}
}

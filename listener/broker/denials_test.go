package broker

import (
	"encoding/json"
	"slices"
	"testing"

	"casemate/listener/wire"
	"casemate/listener/wire/far"
	"casemate/policy"
	"casemate/sandbox"
)

// TestFiltered: what a worker is told of a service fits a message, whatever its profile holds, and a
// service that has gone from the policy is told of by its name.
func TestFiltered(t *testing.T) {
	doc := &policy.Document{Digest: "sha256:a", Policy: &policy.Policy{Profiles: []sandbox.Profile{
		{Name: "large", Syscalls: sandbox.Syscalls{ByArgument: []sandbox.SyscallRule{{Name: "ioctl", Arg: 1, Values: make([]uint32, 1<<16)}}}},
		{Name: "small", Files: sandbox.Files{Read: slices.Repeat([]string{"/usr/share/casemate"}, 1<<14)}}}}}
	gen := &generation{digest: doc.Digest, doc: doc}
	for _, p := range doc.Policy.Profiles {
		gen.services = append(gen.services, &service{name: p.Name, gen: gen, spec: &policy.Service{Name: p.Name, Profile: p.Name}})
	}
	b := &Broker{gen: gen}
	for name, want := range map[string]string{"large": "", "small": "small", "gone": ""} {
		text := b.filtered(name)
		if _, err := far.DecodeOrder(wire.Order{Kind: wire.Killed, Name: text}.Encode(), 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got struct {
			Service string
			Profile struct{ Name string }
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Service != name || got.Profile.Name != want {
			t.Errorf("%s: %.200s, %v", name, text, err)
		}
	}
}

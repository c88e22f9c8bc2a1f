package lang

import (
	"slices"
	"strings"
	"testing"

	"casemate/policy/diff"
	"casemate/policy/explain"
	"casemate/sandbox"
)

// TestProcessor: a profile keeps to itself what it or its base says, gives it up under widens alone, and is printed,
// explained and compared so.
func TestProcessor(t *testing.T) {
	const base = "profile \"base\" {\n base = profile.line\n processor {\n store_bypass = \"off\"\n core = \"service\"\n }\n}\n"
	for _, tt := range []struct {
		body, widened string
		want          sandbox.Processor
		more, less    []string // than the base
	}{
		{"", "", sandbox.Processor{StoreBypass: "off", Core: "service"}, nil, nil},
		{`store_bypass = "off"`, "", sandbox.Processor{StoreBypass: "off", Core: "service"}, nil, nil},
		{`indirect_branch = "off"`, "", sandbox.Processor{StoreBypass: "off", IndirectBranch: "off", Core: "service"}, nil, []string{"indirect_branch off, was host"}},
		{`core = "session"`, "", sandbox.Processor{StoreBypass: "off", Core: "session"}, nil, []string{"core session, was service"}},
		{`core = "host"`, `core = "host"`, sandbox.Processor{StoreBypass: "off"}, []string{"core host, was service"}, nil},
		{`store_bypass = "host"`, `store_bypass = "host"`, sandbox.Processor{Core: "service"}, []string{"store_bypass host, was off"}, nil},
	} {
		text := func(widens string) string {
			return one("acl = acl.nobody\n  profile = profile.p") + base + "profile \"p\" {\n base = profile.base\n" + widens + "processor {\n" + tt.body + "\n}\n}"
		}
		doc, ds := compileText(text(""))
		if tt.widened != "" {
			if len(ds) != 1 || ds[0].Code != codeWidens || ds[0].Summary != `profile "p" grants more than profile.base: `+tt.widened || !strings.Contains(ds[0].Detail, `"processor"`) {
				t.Errorf("%s: %+v", tt.body, ds)
			}
			doc, ds = compileText(text("widens = [\"processor\"]\n"))
		}
		if doc == nil || len(ds) > 0 {
			t.Fatalf("%s: %+v", tt.body, ds)
		}
		p := doc.Policy.Profile("p")
		if p.Processor != tt.want {
			t.Errorf("%s: %+v", tt.body, p.Processor)
		}
		below, ds := compileText(one("acl = acl.nobody\n  profile = profile.base") + base)
		if below == nil {
			t.Fatalf("%+v", ds)
		}
		r, err := diff.Profiles(below.Policy.Profile("base"), p)
		if err != nil {
			t.Fatal(err)
		}
		var more, less []string
		for _, l := range r.Layers {
			more, less = append(more, l.More...), append(less, l.Less...)
		}
		if !slices.Equal(more, tt.more) || !slices.Equal(less, tt.less) {
			t.Errorf("%s: more %q, less %q", tt.body, more, less)
		}
		printed, err := Effective(p, "my_p", func(string) string { return "" })
		if err != nil {
			t.Fatalf("%s: %v", tt.body, err)
		}
		if again, err := compileProfile(printed, "my_p", map[string]resolution{}); err != nil || again.Processor != tt.want {
			t.Errorf("%s: printed as\n%s(%v)", tt.body, printed, err)
		}
		said := slices.ContainsFunc(explain.Layers(p, "SERVICE"), func(l string) bool { return strings.HasPrefix(l, "processor: ") })
		if said != (tt.want != sandbox.Processor{}) {
			t.Errorf("%s: explained %v", tt.body, explain.Layers(p, "SERVICE"))
		}
	}
	if _, ds := compileText(one("profile = profile.p") + "profile \"p\" {\nprocessor {\ncore = \"own\"\n}\n}"); len(ds) == 0 || !strings.Contains(ds[0].Summary, `"own"`) {
		t.Errorf("an unknown word: %+v", ds)
	}
	for _, p := range ShippedProfiles() {
		if p.Processor != (sandbox.Processor{}) || p.Syscalls.NoWritten {
			t.Errorf("profile.%s has %+v, deny_write_execute %v: what stands on it is another policy now", p.Name, p.Processor, p.Syscalls.NoWritten)
		}
	}
}

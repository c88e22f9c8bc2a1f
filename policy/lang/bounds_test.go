package lang

import (
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// TestHostAdvice: what a service may take in all, against what a host has.
func TestHostAdvice(t *testing.T) {
	both := []string{"cpu", "memory", "pids"}
	for _, tt := range []struct {
		name, body string
		host       Host
		says       []string // each in one finding, in this order
	}{
		{"held by a cgroup", "profile = profile.server", Host{Memory: 4 << 30, Tasks: 32768, Controllers: both}, nil},
		{"a cgroup larger than the host", "profile = profile.server", Host{Memory: 1 << 30, Tasks: 32768, Controllers: both}, []string{"may take 2GiB, this host has 1GiB"}},
		{"no cgroup", "profile = profile.strict", Host{Memory: 4 << 30, Tasks: 32768, Controllers: nil}, []string{"may take 16GiB in all, this host has 4GiB"}},
		{"no cgroup, enough memory", "profile = profile.strict", Host{Memory: 64 << 30, Tasks: 32768, Controllers: nil}, nil},
		{"children multiply", "profile = profile.server", Host{Memory: 64 << 30, Tasks: 32768, Controllers: nil}, []string{"may take 16.0TiB in all"}},
		{"more tasks than there are", "profile = profile.server", Host{Memory: 4 << 30, Tasks: 4096, Controllers: both}, []string{"may have 8256 tasks in all, this host has 4096"}},
		{"root without pids", "profile = profile.line\nbecause = \"x\"\nuser = \"root\"", Host{Memory: 1 << 40, Tasks: 32768, Controllers: []string{"memory"}}, []string{"nothing bounds the processes"}},
		{"root with pids", "profile = profile.line\nbecause = \"x\"\nuser = \"root\"", Host{Memory: 1 << 40, Tasks: 32768, Controllers: both}, nil},
		{"no bound of sessions", "profile = profile.line\nlimit = limit.open", Host{Memory: 1 << 40, Tasks: 32768, Controllers: nil},
			[]string{"nothing bounds the memory", "nothing bounds the processes"}},
		{"a host that tells nothing", "profile = profile.strict", Host{}, nil},
	} {
		body := tt.body
		text := one(body) + "limit \"open\" { rate = \"1/s\" }\n"
		if strings.Contains(body, "user") {
			text = strings.Replace(text, "user = \"nobody\"", "", 1)
		}
		doc, ds := compileServing(text)
		if doc == nil {
			t.Fatalf("%s: %+v", tt.name, ds)
		}
		got := HostAdvice(doc, tt.host)
		if len(got) != len(tt.says) {
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.says)
			continue
		}
		for i, d := range got {
			if !strings.Contains(d.Summary, tt.says[i]) || d.Line == 0 || d.Detail == "" {
				t.Errorf("%s: %+v, want %q", tt.name, d, tt.says[i])
			}
		}
	}
}

// TestHostAdviceOnce: what many services have too much of is said once, with all their names.
func TestHostAdviceOnce(t *testing.T) {
	serve := func(name, port, profile string) string {
		return "service \"" + name + "\" {\nlisten = [\"tcp://:" + port + "\"]\ncommand = [\"/bin/true\"]\nuser = \"dynamic\"\nprofile = profile." + profile + "\n}\n"
	}
	for last, want := range map[string]string{"server": `each of the services "a", "b" and "c" may take 16.0TiB, this host has 4GiB`,
		"strict": `each of the services "a", "b" and "c" may take too much ("a" 16.0TiB), this host has 4GiB`} {
		doc, ds := compileServing("policy { edition = 1 }\n" + serve("a", "7001", "server") + serve("b", "7002", "server") + serve("c", "7003", last))
		if doc == nil {
			t.Fatalf("%+v", ds)
		}
		got := HostAdvice(doc, Host{Memory: 4 << 30, Tasks: 1 << 20})
		if len(got) != 1 || !strings.HasPrefix(got[0].Summary, want) {
			t.Errorf("%+v, want %q once", got, want)
		}
	}
}

// TestTogether: services of one user, and more sessions than memory is for.
func TestTogether(t *testing.T) {
	two := func(a, b string) string {
		return "policy { edition = 1 }\nservice \"a\" {\nlisten = [\"tcp://:7001\"]\ncommand = [\"/bin/true\"]\nuser = \"" + a +
			"\"\n}\nservice \"b\" {\nlisten = [\"tcp://:7002\"]\ncommand = [\"/bin/true\"]\nuser = \"" + b + "\"\n}\n"
	}
	for _, tt := range []struct{ text, says string }{
		{two("nobody", "nobody"), `user "nobody": a, b`},
		{two("nobody", "daemon"), ""},
		{two("dynamic", "dynamic"), ""},
		{one("limit = limit.crowd") + "limit \"crowd\" { concurrent = 100000 }\n", "for each of 100000 sessions"},
		{one("limit = limit.crowd") + "limit \"crowd\" { concurrent = 2000 }\n", ""},
	} {
		doc, ds := compileServing(tt.text)
		switch {
		case doc == nil:
			t.Errorf("%s: refused: %+v", tt.text, ds)
		case tt.says == "" && len(ds) > 0, tt.says != "" && (len(ds) != 1 || ds[0].Code != codeTogether || !strings.Contains(ds[0].Summary, tt.says)):
			t.Errorf("%s: %+v, want %q", tt.text, ds, tt.says)
		}
	}
}

// TestBoundsNarrow: what a shipped profile bounds can be narrowed without a
// word, not widened without one; and a bound that a profile names itself is meant.
func TestBoundsNarrow(t *testing.T) {
	profile := func(body string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\nbase = profile.server\n" + body + "\n}\n"
	}
	for _, tt := range []struct {
		body, code string
		best       bool // the cgroup stays best effort
	}{
		{`resources { tasks = 4 }`, "", true},
		{`resources { data = "16MiB" }`, "", true},
		{`resources { memory = "16MiB" }`, "", false},
		{"best_effort = [\"cgroup\"]\nresources { memory = \"16MiB\" }", "", true},
		{`resources { tasks = 4096 }`, codeWidens, false},
		{`resources { data = "unlimited" }`, codeWidens, false},
		{"widens = [\"resources\"]\nresources { memory = \"unlimited\" }", "", true},
	} {
		doc, ds := compileServing(profile(tt.body))
		if tt.code != "" {
			if doc != nil || len(ds) != 1 || ds[0].Code != tt.code {
				t.Errorf("%s: %+v, want %s", tt.body, ds, tt.code)
			}
			continue
		}
		if doc == nil || len(ds) > 0 {
			t.Errorf("%s: %+v", tt.body, ds)
			continue
		}
		if best := len(doc.Policy.Profile("p").BestEffort) > 0; best != tt.best {
			t.Errorf("%s: best effort %t, want %t", tt.body, best, tt.best)
		}
	}
}

// compileServing leaves out what check says of services without an acl, which
// these policies have.
func compileServing(text string) (*policy.Document, []policy.Diagnostic) {
	doc, ds := compileText(text)
	return doc, slices.DeleteFunc(ds, func(d policy.Diagnostic) bool { return d.Code == codeNobody })
}

// TestHostFaults: what casemated would not serve is told where the policy has it, once,
// with what repairs it.
func TestHostFaults(t *testing.T) {
	doc, ds := compileServing(one("profile = profile.line"))
	if doc == nil {
		t.Fatal(show(ds))
	}
	for _, unsure := range []bool{false, true} {
		fault := Fault{Path: "services.s.command.0", Summary: "belongs to uid 7", Next: "run chown", Unsure: unsure}
		n := 0
		for _, d := range HostAdvice(doc, Host{Faults: []Fault{fault, fault}}) {
			if d.Code == codeProgram {
				n++
				if d.Summary != fault.Summary || d.Detail != fault.Next || d.File != "p.cm.hcl" || d.Line != 4 || (d.Severity == policy.SeverityError) == unsure {
					t.Errorf("%+v", d)
				}
			}
		}
		if n != 1 {
			t.Errorf("%d findings, want 1", n)
		}
	}
}

package lang

import (
	"testing"

	"casemate/policy/calls"
	"casemate/sandbox/seccomp"
)

// TestDenyWriteExecute: what the attribute takes is granted by no list beside it or below it, needs no widens there,
// is back where a profile says so and widens, and is printed so that it compiles to the same.
func TestDenyWriteExecute(t *testing.T) {
	const bases = "profile \"open\" {\n base = profile.files\n widens = [\"syscalls\"]\n syscalls { allow = [\"@jit\", \"@memfd\"] }\n}\n" +
		"profile \"kept\" {\n base = profile.open\n syscalls { deny_write_execute = true }\n}\n"
	for _, tt := range []struct {
		body    string
		widened string // what is said to be granted; "" is nothing
		written bool
	}{
		{"base = profile.open", "", true},
		{"base = profile.kept", "", false},
		{"base = profile.open\nsyscalls { deny_write_execute = true }", "", false},
		{"base = profile.kept\nsyscalls { allow = [\"mmap\", \"mprotect\", \"@memfd\"] }", "", false},
		{"base = profile.files\nsyscalls {\nallow = [\"@jit\"]\ndeny_write_execute = true\n}", "", false},
		{"base = profile.files\nsyscalls {\ndeny_write_execute = true\nrule \"mprotect\" {\narg = 2\nvalues = [7]\n}\n}", "", false},
		{"base = profile.kept\nsyscalls { allow = [\"@timers\"] }", "@timers", false},
		{"base = profile.kept\nsyscalls { deny_write_execute = false }", "deny_write_execute = false", true},
		{"base = profile.files\nsyscalls { allow = [\"mprotect\"] }", "mprotect", true},
	} {
		text := func(widens string) string {
			return one("acl = acl.nobody\n  profile = profile.p") + bases + "profile \"p\" {\n" + widens + tt.body + "\n}"
		}
		doc, ds := compileText(text(""))
		if tt.widened != "" {
			if len(ds) != 1 || ds[0].Code != codeWidens || ds[0].Summary != `profile "p" grants more than profile.`+map[bool]string{true: "kept", false: "files"}[tt.body[15] == 'k']+": "+tt.widened {
				t.Errorf("%s: %+v", tt.body, ds)
			}
			doc, ds = compileText(text("widens = [\"syscalls\"]\n"))
		}
		if doc == nil || len(ds) > 0 {
			t.Fatalf("%s: %+v", tt.body, ds)
		}
		p := doc.Policy.Profile("p")
		rules, err := calls.Resolve(&p.Syscalls)
		if written, by := seccomp.Written(rules); err != nil || written != tt.written || by != nil && p.Syscalls.NoWritten {
			t.Errorf("%s: written and executed: %v %v (%v)", tt.body, written, by, err)
		}
		if err := calls.Verify(doc.Policy); err != nil {
			t.Errorf("%s: %v", tt.body, err)
		}
		printed, err := Effective(p, "my_p", func(string) string { return "" })
		if err != nil {
			t.Fatalf("%s: %v", tt.body, err)
		}
		again, err := compileProfile(printed, "my_p", map[string]resolution{})
		if err != nil || again.Syscalls.NoWritten != p.Syscalls.NoWritten {
			t.Errorf("%s: printed as\n%s(%v)", tt.body, printed, err)
		}
	}
}

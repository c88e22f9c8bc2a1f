package facts

import (
	"strings"
	"testing"

	"casemate/cmd/casemate/dynlink"
	"casemate/sandbox"
	"casemate/sandbox/foresee"
)

// FuzzRead: whatever a file of facts says, who decides by it comes to an end, and writes nothing that a terminal would
// take for more than text.
func FuzzRead(f *testing.F) {
	f.Add(`{"format_version":1}`)
	f.Add(`{"format_version":1,"paths":{"program /bin/cat":{"file":{"path":"/bin/cat","real":"/usr/bin/cat","mode":33261,"links":[{"path":"/bin","text":"usr/bin"}]},"loader":"/lib64/ld"},"exec /lib":{"file":{"real":"/usr/lib","mode":16877,"links":[{"path":"/lib","text":"usr/lib"}]}}}}`)
	f.Add(`{"format_version":1,"paths":{"exec /lib":{"file":{"real":"/lib/x","links":[{"path":"/lib","text":"/lib"}],"through":[{"path":"/","dev":1,"ino":2}]}},"runs /bin/cat":{"names":["/bin/cat"],"loader":"/l"},"elf /bin/cat":{"names":["a","/b"],"dirs":["$ORIGIN/../x:y"]}}}`)
	plan, err := sandbox.NewPlan(sandbox.Profile{Network: sandbox.Network{Mode: sandbox.NetworkNone}, Files: sandbox.Files{Exec: []string{"/lib"}, Read: []string{"/usr/share"}}, Syscalls: sandbox.Syscalls{OnViolation: "kill"}},
		sandbox.Command{Service: "s", Path: "/bin/cat", Argv: []string{"s"}, Dynamic: true, Sockets: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		facts, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, err := range foresee.Look(facts, plan, nil) {
			if strings.ContainsAny(err.Error(), "\x1b\n") && !strings.Contains(text, `\\`) {
				t.Errorf("%q", err)
			}
		}
		dynlink.Missing(facts, &plan.Profile.Files, "/bin/cat", nil)
	})
}

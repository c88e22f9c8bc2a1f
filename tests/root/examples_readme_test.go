package root

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// commands is a section of a README with its commands: there may be text before them, but no other section.
var commands = regexp.MustCompile("(?ms)^## (\\w+)\n(?:[^#\\n][^\\n]*\n|\n)*?```sh\n(.*?)^```$")

// section gives the commands of a section of the README in a folder of examples/services, "" if there is none.
// Each has an Ask.
func section(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rig.Top(t), "examples", "services", folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range commands.FindAllStringSubmatch(string(text), -1) {
		if m[1] == name {
			return m[2]
		}
	}
	if name == "Ask" {
		t.Fatalf("%s: the README has no Ask", folder)
	}
	return ""
}

// inOrder checks that what a client printed has each of want, in this order.
func inOrder(t *testing.T, out string, want []string) {
	t.Helper()
	rest := out
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Fatalf("no %q, in this order, in:\n%s", w, out)
		}
		rest = after
	}
}

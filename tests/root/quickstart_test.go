package root

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

var portIn = regexp.MustCompile(`(tcp|udp)(4|6)?://([^"]*):([0-9]+)"`)

// example reads a folder of examples/ and moves its listeners to free ports:
// ports maps each port that the example names to the one it has in this test.
func example(t *testing.T, name string) (files, ports map[string]string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(rig.Top(t), "examples", name, "*.cm.hcl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no policy in examples/%s: %v", name, err)
	}
	files, ports = map[string]string{}, map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = portIn.ReplaceAllStringFunc(string(text), func(listen string) string {
			m := portIn.FindStringSubmatch(listen)
			if ports[m[4]] == "" {
				ports[m[4]] = rig.Port(t)
			}
			return fmt.Sprintf(`%s%s://%s:%s"`, m[1], m[2], m[3], ports[m[4]])
		})
	}
	return files, ports
}

// TestQuickstart serves the example that a newcomer starts with and tries each
// of its services as its README says.
func TestQuickstart(t *testing.T) {
	rig.Root(t)
	files, ports := example(t, "quickstart")
	b := rig.ServeWith(t, rig.Options{Files: files})
	for _, c := range []struct{ port, send, prefix string }{
		{"7001", "12\n", "12: 2 2 3\n"},
		{"7002", "", "You are 127.0.0.1, I am uid 1879"},
		{"7003", "", ""},
		{"7013", "", ""},
	} {
		got, err := rig.Exchange(ports[c.port], c.send)
		if err != nil || got == "" || !strings.HasPrefix(got, c.prefix) {
			t.Errorf("port %s: %q answered %q (%v), want it to begin with %q", c.port, c.send, got, err, c.prefix)
		}
	}
	if got, _ := rig.Exchange(ports["7004"], "anybody?\n"); got != "" {
		t.Errorf("the closed service answered %q", got)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "decision", "service", "closed", "verdict", "deny"); err != nil {
		t.Error(err)
	}
	watched(t, b, "factor", ports["7001"])
}

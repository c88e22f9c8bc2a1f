package root

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// odd is a start of casemated whose limits and personality no service should have.
// Only soft limits: casemated may not be allowed to raise hard ones.
var odd = []string{"setarch", "-R", "prlimit", "--core=unlimited:", "--stack=1048576:", "--fsize=99999999:", "--data=900000000:",
	"--memlock=4096:", "--sigpending=90:", "--msgqueue=7:", "--locks=3:", "--rss=1000000:", "--rttime=5000000:", "--cpu=3000:"}

// TestInheritsNothing: what a service's processes may use up, and how their memory
// is laid out, is the same whatever casemated was started with, and nothing of a
// crash is kept or given to a program.
func TestInheritsNothing(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "setarch", "prlimit")
	own := func(under []string) (limits []string) {
		port := rig.Port(t)
		text := head + service("cat", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.bare") +
			"profile \"bare\" {\n  base = profile.line\n  widens = [\"resources\"]\n  resources {\n    data = \"unlimited\"\n    stack = \"unlimited\"\n    locked = \"unlimited\"\n  }\n}\n"
		b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Under: under})
		echo(t, connect(t, port))
		pid := strconv.Itoa(session(t, b, "cat").PID)
		table, err := os.ReadFile("/proc/" + pid + "/limits")
		if err != nil {
			t.Fatal(err)
		}
		persona, err := os.ReadFile("/proc/" + pid + "/personality")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			limits = append(limits, strings.Join(strings.Fields(line), " "))
		}
		return append(limits, "personality "+strings.TrimSpace(string(persona)))
	}
	plain := own(nil)
	for _, want := range []string{"Max core file size 1 1 bytes", "Max realtime priority 0 0", "Max stack size 8388608 8388608 bytes", "personality 00000000"} {
		if !slices.Contains(plain, want) {
			t.Errorf("a session has no %q among\n%s", want, strings.Join(plain, "\n"))
		}
	}
	for i, got := range own(odd) {
		if got != plain[i] {
			t.Errorf("under a broker with limits of its own: %q, want %q", got, plain[i])
		}
	}
}

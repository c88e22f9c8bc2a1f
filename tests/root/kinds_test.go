package root

import (
	"fmt"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestKindsFindNoShell: a program of an interpreter that is tricked into running a command finds nothing to run, under
// the profile of its kind; under profile.server, which is for several programs, it does.
func TestKindsFindNoShell(t *testing.T) {
	rig.Root(t)
	programs := map[string][]string{
		"perl":   {"/usr/bin/perl", "-e", `$| = 1; print "begun\n"; system("/bin/echo", "run") == 0 or print "none\n"; print "via sh: ", (qx(echo run) // "none\n");`},
		"python": {"/usr/bin/python3", "-c", "import os\nprint('begun', flush=True)\nprint('none' if os.system('echo run') else '', flush=True)\ntry: os.execv('/bin/echo', ['echo', 'run'])\nexcept OSError as e: print('via sh: none')"},
		"node": {"/usr/bin/node", "-e", `console.log("begun");
			const r = require("child_process").spawnSync("/bin/echo", ["run"]);
			console.log(r.error ? "none" : String(r.stdout));
			try { console.log("via sh:", String(require("child_process").execSync("echo run"))) } catch (e) { console.log("via sh: none") }`},
	}
	var text strings.Builder
	ports := map[string]string{}
	for kind, command := range programs {
		need.Programs(t, command[0])
		ports[kind] = rig.Port(t)
		text.WriteString(service(kind, "tcp://127.0.0.1:"+ports[kind], command, "profile = profile."+kind))
		if kind == "node" {
			continue // profile.server lets no V8 write its code
		}
		ports[kind+"-wide"] = rig.Port(t)
		text.WriteString(service(kind+"-wide", "tcp://127.0.0.1:"+ports[kind+"-wide"], command, "profile = profile.server"))
	}
	rig.Serve(t, head+text.String())
	for name, port := range ports {
		got, err := rig.Exchange(port, "")
		want := "begun\nnone\nvia sh: none\n"
		if wide := strings.HasSuffix(name, "-wide"); err != nil || !wide && got != want || wide && !strings.Contains(got, "run\n") {
			t.Errorf("%s: %q (%v), want %s", name, got, err, fmt.Sprintf("%q, or with -wide what was run", want))
		}
	}
}

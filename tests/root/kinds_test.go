package root

import (
	"fmt"
	"os/exec"
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
		"jvm": {"/usr/bin/java", "-cp", classes(t, "testdata/Kinds.java"), "Kinds"},
	}
	var text strings.Builder
	ports := map[string]string{}
	text.WriteString(javaProfile("kinds", programs["jvm"][2]) + `profile "kinds_wide" {
  base   = profile.kinds
  widens = ["files", "syscalls"]
  files { exec = ["/bin", "/usr/bin"] }
  syscalls { allow = ["@process"] }
}
`)
	for kind, command := range programs {
		need.Programs(t, command[0])
		ports[kind] = rig.Port(t)
		profile, wide := kind, "server"
		switch kind {
		case "node":
			wide = "" // profile.server lets no V8 write its code
		case "jvm":
			profile, wide = "kinds", "kinds_wide"
		}
		text.WriteString(service(kind, "tcp://127.0.0.1:"+ports[kind], command, "profile = profile."+profile))
		if wide == "" {
			continue
		}
		ports[kind+"-wide"] = rig.Port(t)
		text.WriteString(service(kind+"-wide", "tcp://127.0.0.1:"+ports[kind+"-wide"], command, "profile = profile."+wide))
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

// classes is a folder with the classes of a Java source.
func classes(t *testing.T, source string) string {
	t.Helper()
	compiler := need.AnyProgram(t, "javac", "ecj")
	dir := rig.PublicDir(t)
	if out, err := exec.Command(compiler, "-proc:none", "-source", "17", "-target", "17", "-d", dir, source).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", compiler, source, err, out)
	}
	return dir
}

// javaProfile is profile.jvm with the folder of a program's classes.
func javaProfile(name, dir string) string {
	return fmt.Sprintf("profile %q {\n  base = profile.jvm\n  files { read = [%q] }\n}\n", name, dir)
}

package escape

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// again are the ways to a second exec: of the program itself, of its loader or of
// a stranger's, by name, past the launch's descriptor ({fd}), with the path where the launch
// has its code, and with code there.
var again = []attempt{
	{86, "again {victim}", shut, asNobody, ""},
	{86, "again {victim} {fd}", shut, asNobody, ""},
	{86, "again /proc/self/exe {fd}", shut, asNobody, ""},
	{86, "again {loader} {fd}", shut, uncontrolled, ""},
	{86, "again-fixed {victim}", shut, asNobody, ""},
	{86, "again-fixed {victim} {fd}", shut, asNobody, ""},
	{86, "again-hint {victim} {fd}", shut, asNobody, ""},
	{86, "again-over {victim} {fd}", shut, asNobody, ""},
	{86, "again-tagged {victim} {fd}", shut + "|ENOMEM", uncontrolled, ""}, // past the filter, and no address to any kernel
	{86, "again-moved {victim} {fd}", shut, asNobody, ""},
	{86, "again-kept {victim} {fd}", shut, asNobody, ""},
	{86, "again-grown {victim} {fd}", shut, asNobody, ""},
	{86, "again-stack {victim} {fd}", shut, asNobody, ""},
	{86, "again-left {victim} {fd}", "killed", uncontrolled, ""},
	{86, "again-crowded {victim} {fd}", shut + "|ENOMEM", uncontrolled, ""},
	{86, "gate-elsewhere {victim}", shut, asNobody, ""},
	{86, "gate-elsewhere {victim} {fd}", shut, asNobody, ""},
	{86, "gate-fixed {victim} {fd}", shut, asNobody, ""},
	{86, "gate-hint {victim} {fd}", shut, asNobody, ""},
	{86, "gate-moved {victim} {fd}", shut, asNobody, ""},
	{86, "gate-written {victim} {fd}", shut, asNobody, ""},
	{86, "gate-grown {victim} {fd}", shut, asNobody, ""},
	{86, "gate-stack {victim} {fd}", shut, asNobody, ""},
	{86, "gate-on-stack {victim} {fd}", shut, asNobody, ""},
}

// TestExecsOnce: under a profile without execve a program executes nothing more,
// itself neither, and outside it can.
func TestExecsOnce(t *testing.T) {
	rig.Root(t)
	victim := compileVictim(t)
	ports, text := map[string]string{}, "policy { edition = 1 }\n"
	fds := map[string]string{"strict": "66", "line": "66", "files": "258"} // open_files and 2 more
	for p := range fds {
		ports[p] = rig.Port(t)
		text += fmt.Sprintf("service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [%q]\n  user = \"dynamic\"\n  acl = acl.localhost\n"+
			"  limit = limit.wide\n  profile = profile.%[1]s\n}\n", p, ports[p], victim)
	}
	b := rig.Serve(t, text+"limit \"wide\" { concurrent = 100 }\n")
	for p, port := range ports {
		for _, a := range again {
			line := fill(t, a.line, map[string]string{"victim": victim, "fd": fds[p], "loader": loader})
			want := a.want
			if p == "strict" {
				want = "killed|EFAULT|ENOMEM" // a profile that kills
			}
			if o := inside(t, port, line); !denied(want, o) {
				t.Errorf("%s: %s: %s, want %s", p, line, o, want)
			}
		}
	}
	if _, err := b.Await(len(again)-1, 30*time.Second, "msg", "session", "service", "line", "reason", "exit"); err != nil {
		t.Errorf("line: %v: no attempt but again-left, which jumps to where nothing is, ends its program", err)
	}
	for _, a := range again {
		if line := fill(t, a.line, map[string]string{"victim": victim, "fd": "66", "loader": loader}); a.control == asNobody {
			if o := outside(t, victim, line, a.control); o.result != "ok" {
				t.Errorf("%s: %s outside of the sandbox, so its denial inside proves nothing", line, o)
			}
		}
	}
}

// TestScriptExecsOnce: a script's interpreter is found by name, and once.
func TestScriptExecsOnce(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "sh")
	script := filepath.Join(rig.PublicDir(t), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho first\nexec /bin/echo again\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("policy { edition = 1 }\nprofile \"once\" {\n  base = profile.line\n  widens = [\"files\"]\n  files { exec = [\"/bin\", \"/usr/bin\"] }\n}\n")
	for p, want := range map[string]string{"once": "first\n", "server": "first\nagain\n"} {
		t.Run(p, func(t *testing.T) {
			port := rig.Port(t)
			rig.Serve(t, text.String()+fmt.Sprintf("service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [%q]\n  user = \"dynamic\"\n  acl = acl.localhost\n  profile = profile.%[1]s\n}\n", p, port, script))
			if got, err := rig.Exchange(port, ""); err != nil || got != want {
				t.Errorf("%q (%v), want %q", got, err, want)
			}
		})
	}
}

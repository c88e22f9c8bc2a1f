package root

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestDeadMount: a file system that never answers, below a path of one service and the program
// of another, stops these two alone, whether casemated starts over it or it dies
// later, and only until it is gone. A reload says which path it is.
func TestDeadMount(t *testing.T) {
	rig.Root(t)
	dir := rig.PublicDir(t)
	program, dead := rig.Compile(t, "testdata/rogue.c"), filepath.Join(dir, "dead")
	heal := need.DeadMount(t, dead, 0)
	ports, text := map[string]string{}, head+fmt.Sprintf("\nprofile \"reads\" {\n  base = profile.line\n  files { read = [%q] }\n}\n", dead)
	for _, s := range []struct{ name, program, profile string }{
		{"reads", program, "reads"}, {"program", filepath.Join(dead, "program"), "line"}, {"good", program, "line"}, {"other", program, "line"},
	} {
		ports[s.name] = rig.Port(t)
		text += service(s.name, "tcp4://127.0.0.1:"+ports[s.name], []string{s.program, "once"}, "profile = profile."+s.profile)
	}
	b := rig.Serve(t, text)
	for _, name := range []string{"good", "other"} {
		exchange(t, ports[name], "", "once\n")
	}
	for _, name := range []string{"reads", "program"} {
		if st, err := b.Service(name); err != nil || !st.Broken || !strings.Contains(st.Error, dead) || !strings.Contains(st.Error, "does not answer") {
			t.Errorf("%+v, %v", st, err)
		}
	}
	heal()
	if err := rig.Until(30*time.Second, func() error { return replies(ports["reads"], "once\n") }); err != nil {
		t.Error(err)
	}

	must(t, "rmdir", dead)
	need.DeadMount(t, dead, 0)
	exchange(t, ports["reads"], "", "once\n") // as before: the sandbox is there
	text = strings.Replace(text, "10000\n", "9999\n", 1)
	if err := b.WritePolicy("test.cm.hcl", text); err != nil {
		t.Fatal(err)
	}
	answer, err := b.Request(policy.ControlRequest{Verb: policy.VerbReload})
	if err != nil || answer.OK || !strings.Contains(answer.Error, dead+": its file system does not answer") {
		t.Errorf("a reload over it: %+v, %v", answer, err)
	}
	for _, name := range []string{"good", "other"} {
		exchange(t, ports[name], "", "once\n")
	}
}

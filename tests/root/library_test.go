package root

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestMissingLibrary: what check --host says of a program's libraries is what happens to
// its clients: one that misses a library says nothing to them, every other one serves.
func TestMissingLibrary(t *testing.T) {
	bin := rig.Root(t)
	need.Programs(t, "gcc")
	dir, err := os.MkdirTemp("/opt", "casemate-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	lib, deep := filepath.Join(dir, "lib"), filepath.Join(dir, "deep")
	for _, d := range []string{dir, lib, deep} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := func(out, source string, flags ...string) string {
		t.Helper()
		c := filepath.Join(t.TempDir(), "x.c")
		if err := os.WriteFile(c, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.Command("gcc", append([]string{"-o", out, c}, flags...)...).CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, text)
		}
		return out
	}
	build(deep+"/libdeep.so", "int deep(void) { return 7; }", "-shared", "-fPIC")
	build(lib+"/libhi.so", "int deep(void); int hi(void) { return deep(); }", "-shared", "-fPIC", "-L"+deep, "-ldeep", "-Wl,-rpath,"+deep)
	const main = "#include <stdio.h>\nint hi(void); int main(void) { printf(\"%d\\n\", hi()); return 0; }"
	link := []string{"-L" + lib, "-lhi", "-Wl,-rpath-link," + deep}
	withPath := build(dir+"/with-path", main, append(link, "-Wl,-rpath,"+lib)...)
	without := build(dir+"/without", main, link...)
	origin := build(dir+"/origin", main, append(link, "-Wl,-rpath,$ORIGIN/lib")...)

	var text strings.Builder
	text.WriteString(head)
	ports := map[string]string{}
	tests := []struct{ name, program, files, env, lacks string }{
		{"all-shown", withPath, fmt.Sprintf("exec = [%q, %q]", lib, deep), "", ""},
		{"by-origin", origin, fmt.Sprintf("exec = [%q, %q]\n    proc = true", lib, deep), "", ""},
		{"by-env", without, fmt.Sprintf("exec = [%q, %q]", lib, deep), fmt.Sprintf("env = { LD_LIBRARY_PATH = %q }", lib), ""},
		{"none-shown", withPath, "", "", lib + "/libhi.so"},
		{"one-shown", withPath, fmt.Sprintf("exec = [%q]", lib), "", deep + "/libdeep.so"},
		{"read-only", withPath, fmt.Sprintf("exec = [%q]\n    read = [%q]", deep, lib), "", lib + "/libhi.so"},
	}
	for _, tt := range tests {
		ports[tt.name] = rig.Port(t)
		fmt.Fprintf(&text, "profile %q {\n  base   = profile.line\n  widens = [\"files\"]\n  files {\n    %s\n  }\n}\n", tt.name, tt.files)
		text.WriteString(service(tt.name, "tcp://127.0.0.1:"+ports[tt.name], []string{tt.program}, "profile = profile."+tt.name, tt.env))
	}
	b := rig.Serve(t, text.String())
	cmd := exec.Command(filepath.Join(bin, "casemate"), "check", "--host", b.Policy)
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("check --host ended with %s, want 3", cmd.ProcessState)
	}
	for _, tt := range tests {
		want := map[bool]string{true: "7\n"}[tt.lacks == ""]
		if got, err := rig.Exchange(ports[tt.name], ""); err != nil || got != want {
			t.Errorf("%s: its client gets %q (%v), want %q", tt.name, got, err, want)
		}
		said := ""
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "CM603") && strings.Contains(line, fmt.Sprintf("service %q", tt.name)) {
				said = line
			}
		}
		if (said != "") != (tt.lacks != "") || !strings.Contains(said, tt.lacks) {
			t.Errorf("%s: check --host says %q, want %q missing", tt.name, said, tt.lacks)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

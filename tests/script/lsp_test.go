package script

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/tests/need"
)

const edited = `policy { edition = 1 }
acl "office" {
  allow { from = ["192.0.2.0/24"] }
}
service "finger" {
  listen  = ["tcp://:79"]
  command = ["/usr/sbin/in.fingerd"]
  user = "nobody"
  env = { A = "` + "\U0001F600" + `" }
  acl     = acl.office
  profile = profile.line
}
`

// TestEditor: a real editor starts casemate lsp, types a mistake and sees it, sees it gone, and gets what it asks for.
func TestEditor(t *testing.T) {
	nvim := need.Programs(t, "nvim")[0]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "s.cm.hcl"), []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("testdata/editor.lua")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nvim, "--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", "luafile "+script)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "CASEMATE=" + filepath.Join(bin, "casemate"), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8"}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, &said)
	}
	var got struct {
		Failed, Hover, Renamed, Encoding string
		Diagnostics                      [][]any
		Completion, Formatted, Symbols   []string
		Jumped                           []int
	}
	if err := json.Unmarshal(out[max(0, bytes.IndexByte(out, '{')):], &got); err != nil {
		t.Fatalf("%v: %s%s", err, out, &said)
	}
	if got.Failed != "" {
		t.Fatalf("%s\n%s", got.Failed, &said)
	}
	if d := got.Diagnostics; len(d) != 1 || d[0][0] != 9.0 || d[0][1] != 16.0 || d[0][2] != 21.0 || d[0][3] != "CM301" || !strings.Contains(d[0][4].(string), "did you mean acl.office?") {
		t.Errorf("diagnostics: %v", d)
	}
	if !strings.Contains(got.Hover, "a leased uid for each connection") || !strings.Contains(got.Hover, "`\"nobody\"`, from s.cm.hcl:8:10") {
		t.Errorf("hover: %s", got.Hover)
	}
	if !slices.Contains(got.Completion, "office") || !slices.Contains(got.Completion, "anyone") || slices.Contains(got.Completion, "line") {
		t.Errorf("completion: %q", got.Completion)
	}
	if !slices.Equal(got.Jumped, []int{2, 5}) || !slices.Equal(got.Symbols, []string{"policy", "acl office", "service finger"}) {
		t.Errorf("definition at %v, symbols %q", got.Jumped, got.Symbols)
	}
	if !slices.Contains(got.Formatted, `  user    = "nobody"`) || !slices.Contains(got.Formatted, "  env     = { A = \"\U0001F600\" }") {
		t.Errorf("formatted: %q", got.Formatted)
	}
	if got.Renamed != `acl "staff" {` || got.Encoding != "utf-16" {
		t.Errorf("renamed to %q, positions in %s", got.Renamed, got.Encoding)
	}
}

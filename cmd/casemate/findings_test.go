package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
)

// sarif is what SARIF 2.1.0 asks of a log that has results (§3.13, 3.14, 3.18, 3.19, 3.27, 3.11, 3.28): everything is required but locations.
type sarif struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name  string
				Rules []struct {
					ID                   string
					DefaultConfiguration struct{ Level string }
				}
			}
		}
		Results []struct {
			RuleID    string
			RuleIndex int
			Level     string
			Message   struct{ Text string }
			Locations []struct {
				PhysicalLocation *struct {
					ArtifactLocation struct{ URI string }
					Region           *struct{ StartLine int }
				}
				LogicalLocations []struct{ Name string }
			}
		}
	}
}

// sound reads a log and fails where it has not what it must.
func sound(t *testing.T, text []byte) (ids []string) {
	t.Helper()
	var log sarif
	if err := json.Unmarshal(text, &log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("%v: %s", err, text)
	}
	run := &log.Runs[0]
	for i, r := range run.Results {
		if r.RuleIndex < 0 || r.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.RuleID == "" || r.Message.Text == "" || !slices.Contains([]string{"note", "warning", "error"}, r.Level) {
			t.Errorf("result %d: %+v", i, r)
		}
		for _, l := range r.Locations {
			if p := l.PhysicalLocation; p != nil && (p.ArtifactLocation.URI == "" || strings.HasPrefix(p.ArtifactLocation.URI, "/") || strings.Contains(p.ArtifactLocation.URI, "git:") || p.Region == nil || p.Region.StartLine < 1) {
				t.Errorf("result %d is at %+v", i, p)
			}
		}
		ids = append(ids, r.Level+" "+r.RuleID)
	}
	return ids
}

// TestFindingsOfVerbs: diff, score, test and plan say as SARIF what they found, each at the block that it is about.
func TestFindingsOfVerbs(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const one = "policy { edition = 1 }\nservice \"finger\" {\n  listen  = [\"tcp://:79\"]\n  command = [\"/bin/cat\"]\n  user    = \"nobody\"\n  acl     = acl.localhost\n}\n"
	for name, text := range map[string]string{
		"old/p.cm.hcl":     one + "service \"gone\" {\n  listen = [\"tcp://:7\"]\n  builtin = \"echo\"\n  acl = acl.anyone\n}\n",
		"new/p.cm.hcl":     strings.Replace(strings.Replace(one, "edition = 1 }", "\n  edition = 1\n  on_stop = \"leave\"\n}", 1), "acl.localhost", "acl.anyone", 1),
		"new/p.cmtest.hcl": "case \"nobody\" {\n  service = service.finger\n  client  = \"192.0.2.1\"\n  expect  = \"deny\"\n}\ninvariant \"never\" {\n  condition = false\n  error_message = \"no\"\n}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string][]string{
		"diff old new":               {"warning diff-widened", "note diff-narrowed", "warning diff-widened"},
		"diff old old":               nil,
		"score ./new --threshold 1":  {"error score-above"},
		"score ./new --threshold 10": {"note score"},
		"test new":                   {"error test-case", "error test-invariant"},
		"test old --allow-empty":     nil,
	} {
		var out, errs bytes.Buffer
		run(append(strings.Fields(line), "-o", "sarif"), strings.NewReader(""), &out, &errs, func(confine.Grant) error { return nil })
		if out.Len() == 0 {
			t.Fatalf("%s: %s", line, &errs)
		}
		if got := sound(t, out.Bytes()); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q\n%s%s", line, got, want, &out, &errs)
		}
	}
	var out, errs bytes.Buffer
	if code := run([]string{"score", "--items", "-o", "sarif"}, strings.NewReader(""), &out, &errs, func(confine.Grant) error { return nil }); code != exitFail || !strings.Contains(errs.String(), "no findings") {
		t.Errorf("items: %d, %s", code, &errs)
	}

	a := &app{err: io.Discard, control: controlPath}
	p, err := a.difference("old", "new")
	if err != nil {
		t.Fatal(err)
	}
	r := planReport{Refused: []string{"no such program"}, Diagnostics: output.Of([]policy.Diagnostic{{Severity: policy.SeverityWarning, Code: "CM601", Summary: "much"}})}
	var log bytes.Buffer
	if err := findingsOf("plan", r.findings(&told{new: []string{"new"}, p: p})).WriteSARIF(&log); err != nil {
		t.Fatal(err)
	}
	if got, want := sound(t, log.Bytes()), []string{"warning diff-widened", "note diff-narrowed", "warning diff-widened", "warning CM601", "error plan-refused"}; !slices.Equal(got, want) {
		t.Errorf("plan: %q, want %q", got, want)
	}
	if file, line, column := place("git:HEAD:./old/p.cm.hcl:7:13"); file != "./old/p.cm.hcl" || line != 7 || column != 13 {
		t.Errorf("%s %d %d", file, line, column)
	}
}

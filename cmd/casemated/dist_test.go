package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/zygote"

	"casemate/tests/need"
)

const (
	unitFile  = "dist/casemated.service"
	inetdUnit = "dist/casemate-inetd.service"
)

// settings are the lines of a unit's section but its comments.
func settings(t *testing.T, unit, section string) []string {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n["+section+"]\n")
	if !ok {
		t.Fatalf("%s has no [%s]", unit, section)
	}
	after, _, _ = strings.Cut(after, "\n[")
	return slices.DeleteFunc(strings.Split(after, "\n"), func(l string) bool { return l == "" || l[0] == '#' })
}

// The unit of inetd is casemated's in all but what it starts, and is not started beside it or an
// inetd.
func TestUnitOfInetd(t *testing.T) {
	own, other := settings(t, inetdUnit, "Service"), settings(t, unitFile, "Service")
	starts := func(l string) bool { return strings.HasPrefix(l, "ExecStart=") }
	if got := own[slices.IndexFunc(own, starts)]; got != "ExecStart=/usr/sbin/casemate-inetd -f" {
		t.Error(got)
	}
	if a, b := slices.DeleteFunc(own, starts), slices.DeleteFunc(other, starts); !slices.Equal(a, b) {
		t.Errorf("%q\nis not\n%q", a, b)
	}
	for _, l := range settings(t, inetdUnit, "Unit") {
		if names, ok := strings.CutPrefix(l, "Conflicts="); ok {
			for _, name := range strings.Fields(names) {
				if !slices.ContainsFunc(settings(t, inetdUnit, "Unit"), func(l string) bool { return strings.HasPrefix(l, "After=") && slices.Contains(strings.Fields(l), name) }) {
					t.Errorf("%s may still hold its ports when this unit starts", name)
				}
			}
		}
	}
}

// The unit leaves the broker the capabilities that it keeps by itself, no more
// and no fewer.
func TestUnitCapabilities(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(strings.ReplaceAll(string(text), "\\\n", " "), "\nCapabilityBoundingSet=")
	if !ok {
		t.Fatal("no CapabilityBoundingSet=")
	}
	list, _, _ = strings.Cut(list, "\n")
	got, err := zygote.CapMask(strings.Fields(list)...)
	if err != nil || got != zygote.BrokerCaps {
		t.Errorf("%s is %#x (%v), casemated keeps %#x", list, got, err, zygote.BrokerCaps)
	}
}

// Each capability that casemated keeps stands in SECURITY.md with what it is for,
// and no other.
func TestCapabilitiesHaveReasons(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, ok := strings.Cut(string(text), "\n| capability kept | ")
	if !ok {
		t.Fatal("no table of capabilities")
	}
	rows, _, _ = strings.Cut(rows, "\n\n")
	var names []string
	for _, row := range strings.Split(rows, "\n")[2:] {
		f := strings.Split(strings.Trim(row, "|"), "|")
		if len(f) != 3 || strings.TrimSpace(f[1]) == "" {
			t.Fatalf("%q: want a name, a reason, and whether a profile may keep it", row)
		}
		name := "CAP_" + strings.TrimSpace(f[0])
		names = append(names, name)
		if may := strings.TrimSpace(f[2]) == "yes"; may != slices.Contains(sandbox.Capabilities, name) {
			t.Errorf("%q: a profile may keep: %v", row, !may)
		}
	}
	if got, err := zygote.CapMask(names...); err != nil || got != zygote.BrokerCaps {
		t.Errorf("%v is %#x (%v), casemated keeps %#x", names, got, err, zygote.BrokerCaps)
	}
}

// The policy that is installed serves nothing and says so without a warning, as does the service
// that it shows once its # are taken away; both are laid out as fmt would.
func TestInstalledPolicy(t *testing.T) {
	text, err := os.ReadFile("dist/casemate.cm.hcl")
	if err != nil {
		t.Fatal(err)
	}
	head, example, ok := strings.Cut(string(text), "# service ")
	if !ok {
		t.Fatal("it shows no service")
	}
	shown := head + "service " + strings.ReplaceAll(example, "\n# ", "\n")
	for services, text := range []string{string(text), shown} {
		file := policy.SourceFile{Name: "casemate.cm.hcl", Data: []byte(text)}
		doc, ds := lang.Compile([]policy.SourceFile{file})
		if len(ds) > 0 || doc == nil || len(doc.Policy.Services) != services {
			t.Errorf("%v of:\n%s", ds, text)
		}
		if laid, ds := lang.Format(file); len(ds) > 0 || string(laid) != text {
			t.Errorf("fmt: %v:\n%s", ds, laid)
		}
	}
}

// systemd itself finds nothing wrong with the units.
func TestUnitVerifies(t *testing.T) {
	analyze := need.Programs(t, "systemd-analyze")[0]
	root := t.TempDir()
	content := map[string]string{ // what the units refer to
		"usr/sbin/casemated": "#!", "usr/sbin/casemate-inetd": "#!", "usr/bin/casemate": "#!", "bin/sh": "#!",
	}
	for _, unit := range []string{unitFile, inetdUnit} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		content["etc/systemd/system/"+filepath.Base(unit)] = string(text)
	}
	for name, content := range content {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range []string{"sysinit.target", "basic.target", "shutdown.target", "network-online.target", "multi-user.target"} {
		if err := os.WriteFile(filepath.Join(root, "etc/systemd/system", unit), []byte("[Unit]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range []string{"casemated.service", "casemate-inetd.service"} {
		if err := os.Chmod(filepath.Join(root, "etc/systemd/system", unit), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "--root="+root, "--man=no", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v:\n%s", unit, err, out)
		}
	}
}

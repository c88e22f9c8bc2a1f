package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/sandbox/zygote"

	"casemate/tests/need"
)

const unitFile = "dist/casemated.service"

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

// systemd itself finds nothing wrong with the unit.
func TestUnitVerifies(t *testing.T) {
	analyze := need.Programs(t, "systemd-analyze")[0]
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, content := range map[string]string{ // what the unit refers to
		"etc/systemd/system/casemated.service": string(text),
		"usr/sbin/casemated":                   "#!", "usr/bin/casemate": "#!", "bin/sh": "#!",
	} {
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
	if err := os.Chmod(filepath.Join(root, "etc/systemd/system/casemated.service"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "--root="+root, "--man=no", "verify", "casemated.service").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v:\n%s", err, out)
	}
}

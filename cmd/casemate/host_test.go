package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/lang"
)

// TestHostReport: what a kernel lacks is told for each service, and a refusal is a no.
func TestHostReport(t *testing.T) {
	const text = `policy { edition = 1 }
profile "mail" {
  base    = profile.line
  widens  = ["network", "syscalls"]
  because = "delivers"
  network {
    mode = "host"
    connect = [25]
  }
  syscalls { allow = ["@socket-client"] }
}
profile "mail-anyhow" {
  base        = profile.mail
  best_effort = ["landlock.net", "landlock.scopes"]
}
service "a-line" {
  listen  = ["tcp://:7001"]
  command = ["/bin/cat"]
  user    = "nobody"
  profile = profile.line
}
service "b-mail" {
  listen  = ["tcp://:7002"]
  command = ["/bin/cat"]
  user    = "nobody"
  profile = profile.mail
}
service "c-anyhow" {
  listen  = ["tcp://:7003"]
  command = ["/bin/cat"]
  user    = "nobody"
  profile = profile.mail-anyhow
}
service "d-daytime" {
  listen  = ["tcp://:7004", "udp://:7004"]
  builtin = "daytime"
}
`
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(text)}})
	if doc == nil {
		t.Fatal(ds)
	}
	for _, c := range []struct {
		abi           int
		refused, lost string // names of services
	}{
		{0, "a-line b-mail c-anyhow d-daytime", ""},
		{2, "b-mail", "c-anyhow"},
		{5, "b-mail", "c-anyhow"},
		{6, "", ""},
	} {
		h := onKernel(doc.Policy, c.abi)
		var refused, lost []string
		for _, s := range h.Services {
			if s.Refused != "" {
				refused = append(refused, s.Name)
			}
			if len(s.Losses) > 0 {
				lost = append(lost, s.Name)
			}
		}
		if strings.Join(refused, " ") != c.refused || strings.Join(lost, " ") != c.lost || (h.answer() == nil) != (c.refused == "") {
			t.Errorf("ABI %d: refused %q, lost %q (%v): %+v", c.abi, refused, lost, h.answer(), h.Services)
		}
	}
}

// TestProgramFaults: a program is refused here that root does not own, cannot be
// executed or is not there, whoever asks.
func TestProgramFaults(t *testing.T) {
	dir := t.TempDir()
	mine, plain := filepath.Join(dir, "mine"), filepath.Join(dir, "plain")
	if err := errors.Join(os.WriteFile(mine, nil, 0o755), os.WriteFile(plain, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(mine, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	p := &policy.Policy{}
	for _, name := range []string{mine, plain, filepath.Join(dir, "none"), "/bin/sh"} {
		p.Services = append(p.Services, policy.Service{Command: []string{name}})
	}
	faults := programFaults(p)
	for name, want := range map[string]string{mine: "belongs to uid", plain: "not executable", filepath.Join(dir, "none"): "no such file", "/bin/sh": ""} {
		fault, bad := faults[name]
		if bad != (want != "") || !strings.Contains(fault.Summary, want) || bad && fault.Next == "" {
			t.Errorf("%s: %+v, want %q", name, fault, want)
		}
	}
}

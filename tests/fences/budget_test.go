package fences

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// rootBudget is how many lines of this repository casemated links: what somebody
// has to read to know what runs as root. The number only falls. Who makes it fall
// writes the new one here, so that nobody spends it again.
const rootBudget = 11969

// TestRootBudget counts the Go, C and assembler lines of every package of ours
// that casemated links, comments and tables included, tests not.
func TestRootBudget(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-tags", "netgo,osusergo", "-json=ImportPath,Dir,GoFiles,CgoFiles,CFiles,HFiles,SFiles", "./cmd/casemated")
	cmd.Dir = rig.Top(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps: %v", err)
	}
	total := 0
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir                           string
			GoFiles, CgoFiles, CFiles, HFiles, SFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(p.ImportPath, module+"/") {
			continue
		}
		lines := 0
		for _, list := range [][]string{p.GoFiles, p.CgoFiles, p.CFiles, p.HFiles, p.SFiles} {
			for _, name := range list {
				text, err := os.ReadFile(filepath.Join(p.Dir, name))
				if err != nil {
					t.Fatal(err)
				}
				lines += bytes.Count(text, []byte("\n"))
			}
		}
		t.Logf("%6d %s", lines, p.ImportPath)
		total += lines
	}
	switch {
	case total > rootBudget:
		t.Errorf("casemated links %d lines of ours, %d more than the %d it may: what need not run as root belongs into a package it does not link", total, total-rootBudget, rootBudget)
	case total < rootBudget:
		t.Logf("casemated links %d lines of ours, fewer than %d: write the new number into rootBudget", total, rootBudget)
	}
}

package program

import (
	"crypto/sha256"
	"fmt"
	"os"
	"testing"
)

// TestFirstOfOthers: the programs of both architectures come from the same sources. That amd64's does, sandbox/seccomp/launch
// tests; when it has become another one, that of arm64 is old.
func TestFirstOfOthers(t *testing.T) {
	program, err := os.ReadFile("first_amd64.bpf")
	if err != nil {
		t.Fatal(err)
	}
	with, err := os.ReadFile("first_arm64.with")
	if err != nil {
		t.Fatal(err)
	}
	if now := fmt.Sprintf("%x\n", sha256.Sum256(program)); now != string(with) {
		t.Errorf("first_arm64.bpf was made beside a first_amd64.bpf of digest %s and that is %s now: make it anew, as sandbox/seccomp/internal/genfirst says", with, now)
	}
}

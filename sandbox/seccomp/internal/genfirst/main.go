//go:build cgo

// Command genfirst writes the filter of casemate-filter itself, which must be there before any other.
// That of another architecture is written where that one runs, or in emulation, after amd64's, whose digest it leaves beside it:
// when that one changes, a test asks for it anew. With what make deps-arm64 has fetched:
//
//	GOARCH=arm64 CGO_ENABLED=1 go run -ldflags '-linkmode external -extldflags -static' -exec qemu-aarch64-static ../internal/genfirst
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"runtime"

	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
)

func main() {
	out := flag.String("out", "first_"+runtime.GOARCH+".bpf", "`file` to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "genfirst:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	if err := filter.AssumeKernel(); err != nil { // an emulation has no seccomp to ask
		return err
	}
	f := launch.Compile(launch.FirstShape)
	if f.Error != "" {
		return fmt.Errorf("no program: %s", f.Error)
	}
	if err := os.WriteFile(out, f.Program, 0o644); err != nil || runtime.GOARCH == "amd64" {
		return err
	}
	amd64, err := os.ReadFile("first_amd64.bpf")
	if err != nil {
		return err
	}
	return os.WriteFile("first_"+runtime.GOARCH+".with", fmt.Appendf(nil, "%x\n", sha256.Sum256(amd64)), 0o644)
}

//go:build cgo

// Command genfirst writes the filter of casemate-filter itself, which must be there before any other.
// That of another architecture is written where that one runs, or in emulation:
//
//	GOARCH=arm64 go run -exec qemu-aarch64 ../internal/genfirst
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"

	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
	"casemate/sandbox/seccomp/program"
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
	f := launch.Compile(program.FirstShape)
	if f.Error != "" {
		return fmt.Errorf("no program: %s", f.Error)
	}
	return os.WriteFile(out, f.Program, 0o644)
}

// Command reproduce runs every test that shows an input which failed once, here (rows.go)
// or in another super-server (peers.go), and no others. It needs root and the product's binaries
// (make reproduce).
package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// perPackage are the tests of all rows by the package that holds them.
func perPackage() map[string][]string {
	out := map[string][]string{}
	add := func(names []string) {
		for _, name := range names {
			pkg, test, _ := strings.Cut(name, ".")
			test, _, _ = strings.Cut(test, "/")
			if !slices.Contains(out[pkg], test) {
				out[pkg] = append(out[pkg], test)
			}
		}
	}
	for _, r := range rows {
		add(r.tests)
	}
	for _, p := range peers {
		add(p.tests)
	}
	return out
}

func main() {
	tests := perPackage()
	var pkgs, red []string
	for pkg := range tests {
		pkgs = append(pkgs, pkg)
	}
	slices.Sort(pkgs)
	for _, pkg := range pkgs {
		cmd := exec.Command("go", "test", "-count=1", "-timeout=10m", "-run", "^("+strings.Join(tests[pkg], "|")+")$", "./"+pkg)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			red = append(red, pkg)
		}
	}
	open := 0
	for _, r := range rows {
		if r.open != "" {
			open++
			fmt.Printf("open: %s %s, %s: %s\n", r.list, r.id, r.what, r.open)
		}
	}
	fmt.Printf("%d inputs that failed once, %d of them open, and %d faults of peers\n", len(rows), open, len(peers))
	if len(red) > 0 {
		fmt.Printf("red in %s\n", strings.Join(red, ", "))
		os.Exit(1)
	}
}

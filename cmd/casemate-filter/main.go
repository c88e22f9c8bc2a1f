// Casemate-filter compiles the seccomp filters of services, as a separate unprivileged process
// that casemated starts inside a sandbox: libseccomp is a C library, and no part of what runs as
// root. It reads one request from its standard input, answers it on standard output, and exits.
//
// It is not meant to be started by hand. It exits 0 when it has answered, 1 on any error.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"casemate/cmd/version"
	"casemate/sandbox/seccomp/launch"
)

const usage = `casemate-filter compiles the seccomp filters of services for the privileged casemated, which
starts it inside a sandbox. It is not meant to be started by hand.

usage: casemate-filter [--help|--version]

It reads one request from its standard input and answers it on its standard output.

Exit status: 0 done, 1 an error.
`

// gcPercent lets garbage be: the process ends with its one answer.
const gcPercent = 800

func main() {
	debug.SetGCPercent(gcPercent)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "casemate-filter: %v\n", err)
		os.Exit(1) // a crash of the Go runtime exits 2, and is told apart by that
	}
}

func run(args []string) (err error) {
	switch {
	case len(args) == 0:
		return launch.Serve(os.Stdin, os.Stdout)
	case args[0] == "--help":
		_, err = fmt.Print(usage)
	case args[0] == "--version":
		_, err = fmt.Println("casemate-filter " + version.Word())
	default:
		err = fmt.Errorf("%q: see casemate-filter --help", args[0])
	}
	return err
}

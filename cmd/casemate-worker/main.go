// Casemate-worker is what the privileged broker does not do itself, as separate
// unprivileged processes that casemated starts inside a sandbox:
//
//	casemate-worker builtin   serves one built-in protocol on the sockets of LISTEN_FDS
//	casemate-worker names     answers which confirmed host name an address has
//	casemate-worker log       turns what services write to stderr into records
//	casemate-worker version   prints the version
//
// It is not meant to be started by hand. It exits 0 when it is done or told to
// stop (SIGTERM, or the broker closes its socket), 1 on any error.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"casemate/cmd/version"
)

// A worker is one of many small processes; a soft heap limit and two running
// threads keep it so under load.
const (
	memoryLimit = 48 << 20
	threads     = 2
)

func main() {
	debug.SetMemoryLimit(memoryLimit)
	runtime.GOMAXPROCS(min(threads, runtime.GOMAXPROCS(0)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "casemate-worker: %v\n", err)
		os.Exit(1) // a crash of the Go runtime exits 2, and is told apart by that
	}
}

var errUsage = errors.New("usage: casemate-worker builtin|names|log")

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	switch args[0] {
	case "builtin":
		return runBuiltin(ctx)
	case "names":
		return runNames(ctx)
	case "log":
		return runLog(ctx)
	case "version":
		_, err := fmt.Println("casemate-worker " + version.Word())
		return err
	}
	return errUsage
}

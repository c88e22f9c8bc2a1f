// Casemate-worker is what the privileged broker does not do itself, as separate
// unprivileged processes that casemated starts inside a sandbox:
//
//	casemate-worker broker    accepts for all services, and decides who is served
//	casemate-worker builtin   serves one built-in protocol on the sockets of LISTEN_FDS
//	casemate-worker names     answers which confirmed host name an address has
//	casemate-worker log       turns what services write to stderr into records
//	casemate-worker denials   answers the calls that services' filters deny, and turns them into records
//	casemate-worker relay     carries one client's connection to the target of its service, or the
//	                          connections of all programs that have a relay
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

	"casemate/cmd/confine"
	"casemate/cmd/version"
	"casemate/listener/rest"
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
		name := "casemate-worker"
		if len(os.Args) > 1 && os.Args[1] == "broker" {
			name = "casemated" // whose log its stderr is
		}
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1) // a crash of the Go runtime exits 2, and is told apart by that
	}
}

var errUsage = errors.New("usage: casemate-worker broker|builtin|names|log|denials|relay")

const usage = `casemate-worker does what the privileged casemated does not do itself. It is not meant to be
started by hand: casemated starts it as separate unprivileged processes, each in a sandbox.

usage: casemate-worker broker|builtin|names|log|denials|relay|version
       casemate-worker relay TARGET [v1|v2]

  broker   accepts for all services, and decides who is served
  builtin  serves one built-in protocol on the sockets of LISTEN_FDS
  names    answers which confirmed host name an address has
  log      turns what services write to stderr and to syslog into records
  denials  answers the calls that services' filters deny, and turns them into records
  shield   has the kernel refuse addresses at listeners
  relay    carries a client's connection (descriptor 3) to TARGET: the one that was begun on
           descriptor 4, or unix:PATH; v1 and v2 begin it with a header of the PROXY protocol.
           Without a TARGET it carries connections to programs, as casemated tells it
  version  prints the version

The others take their orders from the socket that is their descriptor 0. Each confines itself
with Landlock before it reads anything.

Exit status: 0 it is done, or was told to stop (SIGTERM, or casemated closed its socket), 1
on any error.
`

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || len(args) > 1 && args[0] != "relay" {
		return errUsage
	}
	if args[0] == "--help" || args[0] == "-h" {
		_, err := fmt.Print(usage)
		return err
	}
	if args[0] == "version" {
		_, err := fmt.Println("casemate-worker " + version.Word())
		return err
	}
	r, ok := roles[args[0]]
	if !ok {
		return errUsage
	}
	// The sandbox around it allows no more; this holds where that one fails. Not for the broker, which
	// connects to any port, for services, and of which one that was not confined is refused.
	if args[0] != "broker" {
		if err := confine.Self(r.grant); err != nil {
			return err
		}
		rest.Soon() // the broker has loads, after which it does
	}
	return r.run(ctx, args[1:])
}

// roles are what a worker can be, and all that each may do beyond using the
// sockets that it was given.
var roles = map[string]struct {
	run   func(ctx context.Context, args []string) error
	grant confine.Grant
}{
	"broker":  {runBroker, confine.Grant{}},
	"builtin": {runBuiltin, confine.Grant{}},
	"names":   {runNames, confine.Grant{Read: []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"}, Connect: []uint16{53}}},
	"log":     {runLog, confine.Grant{}},
	"denials": {runDenials, confine.Grant{Read: []string{"/proc"}}},
	"relay":   {runRelay, confine.Grant{}},
	"shield":  {runShield, confine.Grant{}},
}

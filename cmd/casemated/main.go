// Command casemated is the broker: it opens the listeners of a policy and
// starts a program for each connection, alone in its own sandbox.
//
// It runs as root, with its capabilities cut down before the Go runtime starts
// (sandbox/zygote). The same binary, under the name casemate-zygote, is the
// process that starts a service's programs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"casemate/cmd/version"
	"casemate/listener/broker"
	"casemate/policy"
)

// Memory settings: the broker's live heap is a few megabytes, and a collection
// of it costs less than the memory it would save up for.
const (
	gcPercent   = 50
	memoryLimit = 256 << 20
)

func main() {
	// One processor for the event loop, one for everything else: more would
	// only cost memory.
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(run(os.Args[1:], os.Stderr))
}

// options are the command line.
type options struct {
	broker.Config
	logPath string
	version bool
}

// run returns the exit status: 0 or 1, never 2, which is how a Go program crashes.
func run(args []string, stderr io.Writer) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage)
		return 0
	}
	if err == nil && o.version {
		fmt.Println("casemated " + version.Word())
		return 0
	}
	if err == nil {
		err = serve(o)
	}
	if err != nil {
		fmt.Fprintf(stderr, "casemated: %v\n", err)
		return 1
	}
	return 0
}

const usage = `casemated serves the services of a policy, each connection alone in its sandbox.

usage: casemated [flags]

  --policy PATH    policy file, or directory of *.cm.hcl files (default /etc/casemate)
  --control PATH   control socket for casemate status, reload, explain
                   (default ` + policy.DefaultControlPath + `)
  --log FILE       append the log (JSON lines) to FILE; "-" is stderr (default -)
  --libexec DIR    where casemate and casemate-worker are (default: beside casemated)
  --version        print the version

Signals: HUP loads the policy again, TERM and INT stop.
Exit status: 0 after a stop, 1 when it could not start.
`

func parse(args []string) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("casemated", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints the one line that matters
	fs.StringVar(&o.PolicyPath, "policy", "/etc/casemate", "")
	fs.StringVar(&o.ControlPath, "control", policy.DefaultControlPath, "")
	fs.StringVar(&o.logPath, "log", "-", "")
	fs.StringVar(&o.LibexecDir, "libexec", "", "")
	fs.BoolVar(&o.version, "version", false, "")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: see casemated --help", err)
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: see casemated --help", fs.Arg(0))
	}
	o.Version = version.Word()
	if o.LibexecDir == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find my own directory: %w: name it with --libexec", err)
		}
		o.LibexecDir = filepath.Dir(self)
	}
	for _, p := range []*string{&o.PolicyPath, &o.ControlPath, &o.LibexecDir} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, err
		}
		*p = abs
	}
	return o, nil
}

// openLog opens the log for appending; a file is made readable for root only,
// because it names who connected.
func (o *options) openLog() error {
	if o.logPath == "-" {
		o.Log, o.Journal = os.Stderr, os.Getenv("JOURNAL_STREAM") != ""
		return nil
	}
	f, err := os.OpenFile(o.logPath, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	o.Log = f
	return nil
}

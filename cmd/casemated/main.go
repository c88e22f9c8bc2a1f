// Command casemated serves a policy: it opens its listeners and has a program started for
// each connection, alone in its own sandbox. Who comes in, the broker decides, a process without
// rights that it starts (casemate-worker broker).
//
// It runs as root, with its capabilities cut down before the Go runtime starts
// (sandbox/zygote). The same binary, under the name casemate-zygote, is the
// process that starts a service's programs.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"casemate/cmd/version"
	"casemate/listener/warden"
	"casemate/policy/granted"
	"casemate/policy/input"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// memoryLimit is in bytes, for debug.SetMemoryLimit.
const memoryLimit = 256 << 20

func main() {
	// One processor for the event loop, one for everything else: more would
	// only cost memory.
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(warden.GCPercent)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(run(os.Args[1:], os.Stderr))
}

// options are the command line.
type options struct {
	warden.Config
	warden.About
	control   string // its path
	operators string // a group, "" for root alone
	logPath   string
	version   bool
	openLog   func() (*os.File, error) // again; nil if it stays
	log       *os.File
}

// run returns the exit status: 0 or 1, never 2, which is how a Go program crashes.
func run(args []string, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		return 0
	case err == nil && o.version:
		fmt.Println("casemated " + version.Word())
		return 0
	case err == nil:
		err = panics.Try(func() error { return serve(o) })
	}
	if err != nil && !errors.Is(err, errBroker) {
		fmt.Fprintf(stderr, "casemated: %v\n", err)
	}
	if err != nil {
		return 1
	}
	return 0
}

const usage = `casemated serves the services of a policy, each connection alone in its sandbox.

usage: casemated [flags] [PATH...]

A PATH is a policy file, a directory of *.cm.hcl files, or one compiled document
(casemate compile > policy.json); the default is /etc/casemate. It
and what leads there must belong to root.

  --digest DIGEST  refuse any policy but the one of this digest ("sha256:...", as
                   casemate check prints it), also when it is loaded again
  --trust FILE     refuse any policy but one document with a signature beside it (P.json.sig: casemate compile
                   --sign, or ssh-keygen -Y sign -n casemate-policy) by a key in FILE, also when it is
                   loaded again: lines of public ed25519 keys or of allowed signers
  --control PATH   control socket for casemate status, plan, reload, explain
                   (default ` + input.DefaultControlPath + `)
  --operators GROUP  who may use it beside root, for status and explain alone
  --log FILE       append the log (JSON lines) to FILE; "-" is stderr (default -)
  --libexec DIR    where casemate, casemate-worker and casemate-filter are (default: beside casemated)
  --version        print the version

At the start a service that cannot be prepared, or a listener that cannot be opened,
stops no other: casemate status says why, and it is tried again. casemated ends where
there is nothing at all to serve, or with policy { on_broken = "refuse" }.

Policies that ran are kept, the last 64 of them and 64 MiB, for casemate history and rollback:
in /var/lib/casemate/.history, or for another control socket in PATH.history beside it. So are
the bans and drains of casemate ban and drain.

Sockets that a service manager passes (LISTEN_FDS) are used where the policy has their address; the log names the others.

Signals: HUP loads the policy again, TERM and INT stop. A load (HUP, casemate
reload) opens the log again first: after a rotation it goes on in the new FILE.
Exit status: 0 after a stop, 1 when it could not start.
`

func parse(args []string) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("casemated", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints the one line that matters
	fs.StringVar(&o.Digest, "digest", "", "")
	fs.StringVar(&o.Trust, "trust", "", "")
	fs.StringVar(&o.control, "control", input.DefaultControlPath, "")
	fs.StringVar(&o.operators, "operators", "", "")
	fs.StringVar(&o.logPath, "log", "-", "")
	fs.StringVar(&o.LibexecDir, "libexec", "", "")
	fs.BoolVar(&o.version, "version", false, "")
	for { // flags may stand before and after the paths
		if err := fs.Parse(args); err != nil {
			return nil, fmt.Errorf("%w: see casemated --help", err)
		}
		if fs.NArg() == 0 {
			break
		}
		o.Config.Policy, args = append(o.Config.Policy, fs.Arg(0)), fs.Args()[1:]
	}
	if len(o.Config.Policy) == 0 {
		o.Config.Policy = []string{input.DefaultPath}
	}
	if o.Digest != "" && !granted.ValidDigest(o.Digest) {
		return nil, fmt.Errorf("--digest %q: write sha256: and 64 hexadecimal digits, as casemate check prints it", o.Digest)
	}
	var err error
	fs.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" { // of a variable that is not set: never the default
			err = fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name)
		}
	})
	if err != nil || slices.Contains(o.Config.Policy, "") {
		return nil, cmp.Or(err, errors.New("a PATH is empty: name a policy, or leave it out"))
	}
	o.Version = version.Word()
	if o.LibexecDir == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find my own directory: %w: name it with --libexec", err)
		}
		o.LibexecDir = filepath.Dir(self)
	}
	o.Past = o.control + ".history"
	if o.control == input.DefaultControlPath {
		o.Past = filepath.Join(sandbox.StateDir, ".history") // no service has that name
	}
	return o, o.absolute()
}

// absolute makes all paths absolute.
func (o *options) absolute() (err error) {
	paths := []*string{&o.control, &o.LibexecDir, &o.Trust, &o.Past}
	for i := range o.Config.Policy {
		paths = append(paths, &o.Config.Policy[i])
	}
	for _, p := range paths {
		if *p == "" { // --trust that is not given
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	return nil
}

// begin opens the log for appending; a file is made readable for root only,
// because it names who connected.
func (o *options) begin() (err error) {
	o.Started = time.Now()
	o.PID, o.About.Policy, o.log = os.Getpid(), o.Config.Policy, os.Stderr
	if o.logPath == "-" {
		o.About.Journal = os.Getenv("JOURNAL_STREAM") != ""
		o.Config.Journal = o.About.Journal
		return nil
	}
	if o.LogPath, err = filepath.Abs(o.logPath); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	o.openLog = func() (*os.File, error) { return hostpath.Within(o.LogPath, o.openLogFile) }
	o.log, err = o.openLog()
	return err
}

func (o *options) openLogFile() (*os.File, error) {
	dir, err := hostpath.Open(filepath.Dir(o.LogPath))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer dir.Close()
	flags := unix.O_WRONLY
	if s, err := os.Lstat(o.LogPath); err == nil && s.Mode().IsRegular() {
		flags = unix.O_RDWR // the journal looks at how it ends
	}
	f, err := dir.Create(filepath.Base(o.LogPath), flags|unix.O_APPEND, 0o640)
	return f, os.NewSyscallError("open log", err)
}

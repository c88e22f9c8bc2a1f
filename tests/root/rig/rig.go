// Package rig runs a real casemated for the tests and the benchmark: it writes
// a policy into a folder of its own, starts the broker on it, waits until the
// control socket answers, and reads what the broker and the kernel say
// afterwards. It knows the product only from outside: flags, control socket,
// log records, /proc.
package rig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"casemate/policy/control"
	"casemate/policy/input"
)

// readyTimeout is how long a broker may take to serve its policy; a thousand
// services start a thousand zygotes once.
const readyTimeout = 120 * time.Second

// stopTimeout is how long it may take to end when it is asked to.
const stopTimeout = 30 * time.Second

// Options of one broker. The zero value is usable but for Files.
type Options struct {
	// Bin is the folder of the product's binaries.
	Bin string
	// Files are the policy: name (ending in .cm.hcl, or that of one compiled document) to text.
	Files map[string]string
	// Args are added to the command line.
	Args []string
	// NoFile limits the broker's open files (RLIMIT_NOFILE); 0 leaves the caller's.
	NoFile uint64
	// Under is a command line that starts the broker in place of itself (it ends
	// in exec), with the broker's own command line added.
	Under []string
	// Dir is the scratch folder, with what another one has left there, and stays; "" makes one that Stop removes.
	Dir string
	// Sockets are passed on as a service manager does (sd_listen_fds(3)).
	Sockets []*os.File
}

// Broker is one running casemated.
type Broker struct {
	Dir     string // scratch folder, removed by Stop
	Policy  string // folder of the policy files
	Control string // control socket
	LogFile string
	PID     int

	cmd    *exec.Cmd
	stderr *os.File
	done   chan struct{}
	stays  bool
	state  atomic.Pointer[os.ProcessState]
}

// Start writes the policy, starts the broker and waits until it serves. The
// error of a broker that refuses its policy holds what it printed.
func Start(o Options) (*Broker, error) {
	b, err := Launch(o)
	if err != nil {
		return nil, err
	}
	if err := b.ready(readyTimeout); err != nil {
		b.Stop()
		return nil, err
	}
	return b, nil
}

// Launch is Start without the waiting.
func Launch(o Options) (*Broker, error) {
	dir, err := o.Dir, error(nil)
	if dir == "" {
		if dir, err = os.MkdirTemp("", "casemate-rig-"); err != nil {
			return nil, err
		}
	}
	b := &Broker{
		Dir: dir, Policy: filepath.Join(dir, "policy"), Control: filepath.Join(dir, "control.sock"),
		LogFile: filepath.Join(dir, "log.json"), done: make(chan struct{}), stays: o.Dir != "",
	}
	if err := os.MkdirAll(b.Policy, 0o755); err != nil {
		return nil, err
	}
	for name, text := range o.Files {
		if err := b.WritePolicy(name, text); err != nil {
			return nil, err
		}
	}
	if b.stderr, err = os.Create(filepath.Join(dir, "stderr")); err != nil {
		return nil, err
	}
	path := b.Policy
	for name := range o.Files {
		if input.IsDocument(name) {
			path = filepath.Join(path, name)
		}
	}
	args := append([]string{filepath.Join(o.Bin, "casemated"), path, "--control", b.Control,
		"--log", b.LogFile, "--libexec", o.Bin}, o.Args...)
	if o.NoFile != 0 {
		args = append([]string{"prlimit", fmt.Sprintf("--nofile=%d", o.NoFile), "--"}, args...)
	}
	args = append(slices.Clone(o.Under), args...)
	if len(o.Sockets) > 0 {
		args = append([]string{"sh", "-c", fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d exec "$0" "$@"`, len(o.Sockets))}, args...)
	}
	b.cmd = exec.Command(args[0], args[1:]...)
	b.cmd.ExtraFiles = o.Sockets
	b.cmd.Stdout, b.cmd.Stderr = b.stderr, b.stderr
	if err := b.cmd.Start(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start casemated: %w", err)
	}
	b.PID = b.cmd.Process.Pid
	go func() {
		_ = b.cmd.Wait()
		b.state.Store(b.cmd.ProcessState)
		close(b.done)
	}()
	return b, nil
}

// WritePolicy puts one file into the policy folder, atomically.
func (b *Broker) WritePolicy(name, text string) error {
	tmp := filepath.Join(b.Dir, "new-"+name)
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(b.Policy, name))
}

// ready polls the control socket until the broker answers.
func (b *Broker) ready(limit time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	var last error
	for {
		select {
		case <-b.done:
			return fmt.Errorf("casemated ended (%v):\n%s", b.state.Load(), b.Stderr())
		case <-deadline.C:
			return fmt.Errorf("casemated does not serve after %s: %w\n%s", limit, last, b.Stderr())
		case <-tick.C:
			var s *control.Status
			if s, last = b.Status(); last == nil && s.Generation > 0 {
				return nil
			}
		}
	}
}

// Stderr is what the broker printed so far.
func (b *Broker) Stderr() string {
	text, err := os.ReadFile(b.stderr.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Ended waits for the broker to end by itself and returns how it did.
func (b *Broker) Ended(limit time.Duration) (*os.ProcessState, error) {
	select {
	case <-b.done:
		return b.state.Load(), nil
	case <-time.After(limit):
		return nil, fmt.Errorf("casemated still runs after %s", limit)
	}
}

// Signal sends the broker a signal.
func (b *Broker) Signal(s syscall.Signal) error { return b.cmd.Process.Signal(s) }

// Stop ends the broker (TERM, after stopTimeout KILL) and removes its folder.
// It is safe to call it twice.
func (b *Broker) Stop() {
	select {
	case <-b.done:
	default:
		_ = b.Signal(syscall.SIGTERM)
		if _, err := b.Ended(stopTimeout); err != nil {
			_ = b.Signal(syscall.SIGKILL)
			<-b.done
		}
	}
	_ = b.stderr.Close()
	if !b.stays {
		_ = os.RemoveAll(b.Dir)
	}
}

// Request sends one control request and returns the answer.
func (b *Broker) Request(r control.Request) (*control.Response, error) {
	r.FormatVersion = control.Format
	return ask(b.Control, r)
}

// Status is the broker's own account of itself.
func (b *Broker) Status() (*control.Status, error) {
	a, err := b.Request(control.Request{Verb: control.VerbStatus})
	switch {
	case err != nil:
		return nil, err
	case !a.OK:
		return nil, errors.New(a.Error)
	case a.Status == nil:
		return nil, errors.New("the answer to status holds no status")
	}
	return a.Status, nil
}

// Service is the status of one service.
func (b *Broker) Service(name string) (*control.ServiceStatus, error) {
	s, err := b.Status()
	if err != nil {
		return nil, err
	}
	for i := range s.Services {
		if s.Services[i].Name == name {
			return &s.Services[i], nil
		}
	}
	return nil, fmt.Errorf("status knows no service %q", name)
}

// Idle waits until no session runs.
func (b *Broker) Idle(limit time.Duration) error {
	return Until(limit, func() error {
		s, err := b.Status()
		if err == nil && len(s.Sessions) > 0 {
			err = fmt.Errorf("%d sessions", len(s.Sessions))
		}
		return err
	})
}

// Until polls done every 10 ms until it says yes, or reports what it said last.
func Until(limit time.Duration, done func() error) error {
	end := time.Now().Add(limit)
	for {
		err := done()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// readAll reads at most 1 MiB.
func readAll(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, io.LimitReader(r, 1<<20))
	return b.Bytes(), err
}

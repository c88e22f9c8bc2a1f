// Package scratch runs the programs with which a profile is tried: a broker of its own,
// and the commands of clients.
package scratch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// maxOutput is how much of what a program writes is kept.
const maxOutput = 1 << 20

// Process is a program that was started, in a process group of its own.
type Process struct {
	p        *os.Process
	done     chan struct{}
	state    *os.ProcessState
	out, err *output
}

// output keeps what a program writes, up to its bound.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	from *os.File
	read chan struct{} // closed at its end
}

// leftBehind is how long the outputs of a program that has ended are read on, where what
// it has left behind holds them.
const leftBehind = 200 * time.Millisecond

func (o *output) take() {
	defer close(o.read)
	defer o.from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := o.from.Read(buf)
		o.mu.Lock()
		o.text.Write(buf[:min(n, maxOutput-o.text.Len())])
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start starts a program by its absolute path. It does not outlive this process.
func Start(argv, env []string, dir string) (*Process, error) { return start(argv, env, dir, 0) }

// Shell runs a line of sh. With the line, and with this process however it ends, all end
// that it has started: they are in a namespace of processes of their own, of which the
// first is a shell that waits, so that the line itself gets signals as everywhere. It needs root.
func Shell(line string, env []string, dir string) (*Process, error) {
	return start([]string{"/bin/sh", "-c", `/bin/sh -c "$1"; exit $?`, "sh", line}, env, dir, syscall.CLONE_NEWPID)
}

func start(argv, env []string, dir string, namespaces uintptr) (*Process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out, outw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errs, errw, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, out.Close(), outw.Close())
	}
	p := &Process{done: make(chan struct{}), out: &output{from: out, read: make(chan struct{})}, err: &output{from: errs, read: make(chan struct{})}}
	started := make(chan error)
	go p.run(argv, &os.ProcAttr{Dir: dir, Env: env, Files: []*os.File{null, outw, errw},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: namespaces}}, started)
	err = <-started
	_, _ = outw.Close(), errw.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", argv[0], err), out.Close(), errs.Close())
	}
	go p.out.take()
	go p.err.take()
	return p, nil
}

// run starts the program and reaps it, on a thread that lives as long: with the thread,
// and so with this process however it ends, the program is killed.
func (p *Process) run(argv []string, attr *os.ProcAttr, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var err error
	p.p, err = os.StartProcess(argv[0], argv, attr)
	started <- err
	if err == nil {
		p.state, _ = p.p.Wait()
		close(p.done)
	}
}

// Stdout is what it has written so far.
func (p *Process) Stdout() string { return p.out.String() }

// Stderr is Stdout for descriptor 2.
func (p *Process) Stderr() string { return p.err.String() }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for its end, at most so long, and then kills it with its process group.
// status is that of exit, 128 and the signal's number, or -1 if it had to be killed.
func (p *Process) Wait(limit time.Duration) (status int) {
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		p.kill(syscall.SIGKILL)
		<-p.done
		status = -1
	}
	for _, o := range []*output{p.out, p.err} {
		_ = o.from.SetReadDeadline(time.Now().Add(leftBehind))
		<-o.read
	}
	if w, ok := p.state.Sys().(syscall.WaitStatus); ok && status == 0 {
		if w.Signaled() {
			return 128 + int(w.Signal())
		}
		return w.ExitStatus()
	}
	return status
}

// Stop asks the program to end, and kills it if it does not within the time.
func (p *Process) Stop(grace time.Duration) {
	p.kill(syscall.SIGTERM)
	p.Wait(grace)
}

// Kill kills the program with its process group.
func (p *Process) Kill() { p.kill(syscall.SIGKILL) }

// kill signals the process group, which has its number as long as anybody is in it.
func (p *Process) kill(sig syscall.Signal) { _ = syscall.Kill(-p.p.Pid, sig) }

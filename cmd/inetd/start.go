package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"casemate/sandbox/hostpath"
)

// start has casemated serve: in the place of this process, or behind it.
func start(s *settings, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find casemated beside me: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), "casemated")
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("casemated is looked for beside inetd: %w", err)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root, as an inetd does")
	}
	folder, paths, err := s.sources()
	if err != nil {
		return err
	}
	if err := s.logFolder(); err != nil {
		return err
	}
	argv := []string{program, "--control", s.control, "--log", s.log}
	if s.libexec != "" {
		argv = append(argv, "--libexec", s.libexec)
	}
	argv = append(append(argv, "--"), paths...)
	if s.debug {
		fmt.Fprint(stderr, s.usualPolicy(), s.flagsPolicy(), "# ", strings.Join(argv, " "), "\n")
	}
	if !s.foreground {
		return s.background(folder, argv, stderr)
	}
	if err := s.writePid(os.Getpid()); err != nil {
		return err
	}
	return fmt.Errorf("exec %s: %w", program, syscall.Exec(program, argv, os.Environ()))
}

// logFolder makes the folder of the log.
func (s *settings) logFolder() error {
	if s.log == "-" {
		return nil
	}
	dir, err := hostpath.Make(filepath.Dir(s.log))
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	return dir.Close()
}

// writePid writes the pid file, if one is wanted.
func (s *settings) writePid(pid int) error {
	if s.pid == "" {
		return nil
	}
	dir, err := hostpath.Open(filepath.Dir(s.pid))
	if err == nil {
		defer dir.Close()
		err = write(dir, filepath.Base(s.pid), fmt.Sprintf("%d\n", pid))
	}
	if err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

// background starts casemated in a session of its own and returns when it serves, with
// what it says about the table on the terminal. What it prints later, which is only what it
// dies of, stays in the folder.
func (s *settings) background(folder string, argv []string, stderr io.Writer) error {
	at := filepath.Join(folder, fmt.Sprintf("ready-%d", os.Getpid()))
	ready, err := listen(at)
	if err != nil {
		return err
	}
	defer ready.Close()
	defer os.Remove(at) // casemated tells nobody from then on
	said, err := os.CreateTemp(folder, stderrName)
	if err != nil {
		return err
	}
	defer said.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "NOTIFY_SOCKET=") })
	p, err := os.StartProcess(argv[0], argv, &os.ProcAttr{Dir: "/", Env: append(env, "NOTIFY_SOCKET="+at),
		Files: []*os.File{null, said, said}, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return fmt.Errorf("start casemated: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- end(p) }()
	serves := make(chan error, 1)
	go func() { serves <- awaitReady(ready) }()
	select {
	case err = <-serves:
	case <-interrupted:
		err = errors.New("interrupted")
	case err = <-ended:
		ended <- nil
	}
	if err == nil {
		err = s.writePid(p.Pid)
	}
	if err != nil {
		_ = p.Signal(syscall.SIGTERM)
		<-ended
	}
	text, rerr := os.ReadFile(said.Name())
	_, werr := stderr.Write(text)
	old, _ := filepath.Glob(filepath.Join(folder, stderrName))
	for _, name := range old { // of those that have ended: there is one control socket
		if err == nil && name != said.Name() || err != nil && name == said.Name() {
			_ = os.Remove(name)
		}
	}
	return errors.Join(err, rerr, werr)
}

// stderrName is the pattern of files for what a casemated prints.
const stderrName = "stderr-*"

// end waits for a process that should not end.
func end(p *os.Process) error {
	state, err := p.Wait()
	if err != nil {
		return fmt.Errorf("casemated: %w", err)
	}
	return fmt.Errorf("casemated has ended: %v", state)
}

// listen opens a socket that root alone may write to.
func listen(path string) (*net.UnixConn, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // of a process that had this pid
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("wait for casemated: %w", err)
	}
	return c, nil
}

// awaitReady reads what casemated tells its service manager, until it serves.
func awaitReady(c *net.UnixConn) error {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return fmt.Errorf("wait for casemated: %w", err)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			return nil
		}
	}
}

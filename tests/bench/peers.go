package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// target is one running super-server that serves testdata/answer.c.
type target struct {
	name string
	addr netip.AddrPort
	pid  int
	stop func()
}

// peer is a super-server of Debian's: the package it comes from, where its
// binary lies in it, and how it is told to serve one program on one port.
type peer struct {
	name, pkg, path string
	// args writes what configuration it needs into dir and returns the command line. The program is an argv, its first an absolute path.
	args func(binary, dir string, program []string, port uint16) ([]string, error)
}

// peers run the service as nobody, as casemate does, with every limit of
// theirs out of the way and without logging each connection.
var peers = []peer{
	{"openbsd-inetd", "openbsd-inetd", "usr/sbin/inetd", inetdArgs},
	{"xinetd", "xinetd", "usr/sbin/xinetd", xinetdArgs},
	{"systemd-socket-activate", "systemd", "usr/bin/systemd-socket-activate", systemdArgs},
	{"tcpserver", "ucspi-tcp", "usr/bin/tcpserver", tcpserverArgs},
	{"socat", "socat", "usr/bin/socat", socatArgs},
}

func inetdArgs(binary, dir string, program []string, port uint16) ([]string, error) {
	conf := filepath.Join(dir, "inetd.conf")
	// 1000000 starts a minute is the largest figure that is no limit here; -R 0 is none at all.
	line := fmt.Sprintf("127.0.0.1:%d stream tcp nowait.1000000 nobody %s %s %s\n", port, program[0], filepath.Base(program[0]), strings.Join(program[1:], " "))
	if err := os.WriteFile(conf, []byte(line), 0o644); err != nil {
		return nil, err
	}
	return []string{binary, "-i", "-q", "4096", "-R", "0", conf}, nil
}

func xinetdArgs(binary, dir string, program []string, port uint16) ([]string, error) {
	conf := filepath.Join(dir, "xinetd.conf")
	text := fmt.Sprintf(`defaults
{
	instances  = UNLIMITED
	per_source = UNLIMITED
	cps        = 1000000 1
	flags      = NOLIBWRAP
}
service answer
{
	type        = UNLISTED
	socket_type = stream
	protocol    = tcp
	bind        = 127.0.0.1
	port        = %d
	wait        = no
	user        = nobody
	server      = %s
	server_args = %s
	disable     = no
}
`, port, program[0], strings.Join(program[1:], " "))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return []string{binary, "-dontfork", "-f", conf, "-pidfile", filepath.Join(dir, "xinetd.pid")}, nil
}

// asNobody is for those that have no user setting of their own: they run as nobody as a whole.
var asNobody = []string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"}

func systemdArgs(binary, _ string, program []string, port uint16) ([]string, error) {
	return slices.Concat(asNobody, []string{binary, "--inetd", "-a", "-l", fmt.Sprintf("127.0.0.1:%d", port)}, program), nil
}

func tcpserverArgs(binary, _ string, program []string, port uint16) ([]string, error) {
	// It asks nobody for names, and takes a million at once.
	own := []string{binary, "-H", "-R", "-l", "0", "-c", "1000000", "-b", "4096", "-u", fmt.Sprint(nobody), "-g", fmt.Sprint(nobody), "127.0.0.1", fmt.Sprint(port)}
	return slices.Concat(own, program), nil
}

func socatArgs(binary, _ string, program []string, port uint16) ([]string, error) {
	// With nofork its child becomes the program, as an inetd's does; else it would carry the bytes itself.
	return slices.Concat(asNobody, []string{binary, fmt.Sprintf("TCP4-LISTEN:%d,bind=127.0.0.1,reuseaddr,fork,backlog=4096", port),
		"EXEC:" + strings.Join(program, " ") + ",nofork"}), nil
}

// start brings the peer up on port and waits until it answers.
func (p peer) start(ctx context.Context, cache string, program []string, port uint16) (*target, error) {
	return p.startAsked(ctx, cache, program, port, ask)
}

// startAsked is start of a peer that is asked otherwise.
func (p peer) startAsked(ctx context.Context, cache string, program []string, port uint16, ask func(netip.AddrPort) error) (*target, error) {
	binary, libs, err := p.obtain(ctx, cache)
	if err != nil {
		return nil, fmt.Errorf("obtain %s: %w", p.name, err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "casemate-bench-")
	if err != nil {
		return nil, err
	}
	args, err := p.args(binary, dir, program, port)
	if err != nil {
		return nil, err
	}
	// Debian's usual number of files: xinetd closes every possible one, at its
	// start and for each connection, so a generous limit would hold it back.
	args = append([]string{"prlimit", "--nofile=1024", "--"}, args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = io.Discard, nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if libs != "" {
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libs)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	t := &target{name: p.name, addr: loopback(port)}
	t.pid = cmd.Process.Pid
	t.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	if err := t.ready(10*time.Second, ask); err != nil {
		t.stop()
		return nil, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return t, nil
}

// ready asks until the target answers.
func (t *target) ready(limit time.Duration, ask func(netip.AddrPort) error) error {
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = ask(t.addr); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no answer within %s: %w", limit, err)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"syscall"
	"time"
)

// least starts the least that a server of some work can be: a C program of this package's, which takes the port first.
func least(ctx context.Context, name string, argv []string, port uint16, ask func(netip.AddrPort) error) (*target, error) {
	cmd := exec.CommandContext(ctx, argv[0], append([]string{fmt.Sprint(port)}, argv[1:]...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &target{name: name, addr: loopback(port), pid: cmd.Process.Pid}
	t.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if err := t.ready(10*time.Second, ask); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return t, nil
}

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

package root

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// vsockPort opens a vsock listener, finds what the kernel gives it, and leaves it to others.
func vsockPort(t *testing.T) uint32 {
	t.Helper()
	fd := vsock(t)
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return sa.(*unix.SockaddrVM).Port
}

func vsock(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		need.Kernel(t, "no vsock: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// vsockDial connects to a port of this machine and reads what comes; "" is a connection that was refused.
func vsockDial(t *testing.T, port uint32) (string, error) {
	t.Helper()
	fd := vsock(t)
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: port}); err != nil {
		return "", err
	}
	var all []byte
	for buf := make([]byte, 512); ; {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECONNRESET), err == nil && n == 0:
			return string(all), nil
		case err != nil:
			return string(all), err
		default:
			all = append(all, buf[:n]...)
		}
	}
}

// TestVsockListens: the service is open at its port, which the kernel then refuses to others.
func TestVsockListens(t *testing.T) {
	rig.Root(t)
	port := vsockPort(t)
	program := rig.Compile(t, "testdata/rogue.c")
	text := head + service("once", fmt.Sprintf("vsock:%d", port), []string{program, "once"}, "profile = profile.line", "acl = acl.anyone")
	b := rig.Serve(t, text)
	s, err := b.Service("once")
	if err != nil || len(s.Listeners) != 1 || s.Listeners[0].Key != fmt.Sprintf("vsock:%d", port) || s.Listeners[0].State != "listening" {
		t.Errorf("status: %+v, %v", s, err)
	}
	fd := vsock(t)
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("another binds it beside casemated: %v", err)
	}
	second, err := rig.Start(rig.Options{Bin: rig.Root(t), Files: map[string]string{"test.cm.hcl": text}})
	if err == nil {
		second.Stop()
		t.Fatal("a second casemated serves it as well")
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("bind vsock:%d: address already in use", port)) {
		t.Errorf("refused with %v", err)
	}
}

// TestVsockClients: clients are who their machine is, to rules, limits, programs and records. Only a
// kernel with a way from vsock to itself (vsock_loopback) has clients for a test.
func TestVsockClients(t *testing.T) {
	rig.Root(t)
	probe := vsock(t)
	defer unix.Close(probe)
	if err := errors.Join(unix.Bind(probe, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}), unix.Listen(probe, 1)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(probe)
	if err != nil {
		t.Fatal(err)
	}
	client := vsock(t)
	defer unix.Close(client)
	if err := unix.Connect(client, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: sa.(*unix.SockaddrVM).Port}); err != nil {
		need.Kernel(t, "no vsock to itself, as vsock_loopback gives one: %v", err)
	}
	admitted, denied, limited := vsockPort(t), vsockPort(t), vsockPort(t)
	program := rig.Compile(t, "testdata/rogue.c")
	text := head + `
acl "self" {
  allow "self" { from = ["cid=1"] }
}
acl "others" {
  deny { from = ["cid=1"] }
  default = "allow"
}
limit "one" {
  per_source {
    rate  = "1/h"
    burst = 1
  }
}
` + service("admitted", fmt.Sprintf("vsock:%d", admitted), []string{"/usr/bin/env"}, "profile = profile.line", "acl = acl.self", `env_style = ["ucspi", "systemd"]`) +
		service("denied", fmt.Sprintf("vsock:%d", denied), []string{program, "once"}, "profile = profile.line", "acl = acl.others") +
		service("limited", fmt.Sprintf("vsock:1:%d", limited), []string{program, "once"}, "profile = profile.line", "acl = acl.anyone", "limit = limit.one")
	b := rig.Serve(t, text)
	got, err := vsockDial(t, admitted)
	if err != nil || !strings.Contains(got, "PROTO=VSOCK\nVSOCKREMOTECID=1\nVSOCKREMOTEPORT=") || strings.Contains(got, "REMOTE_ADDR") {
		t.Errorf("admitted: %q, %v", got, err)
	}
	for _, c := range []struct {
		port uint32
		want string
	}{{denied, ""}, {limited, "once\n"}, {limited, ""}} {
		if got, err := vsockDial(t, c.port); err != nil || got != c.want {
			t.Errorf("port %d: %q, want %q (%v)", c.port, got, c.want, err)
		}
	}
	for _, want := range [][]string{
		{"service", "admitted", "verdict", "allow", "client", "vsock", "client_cid", "1", "rule_name", "self", "network", "vsock"},
		{"service", "denied", "verdict", "deny", "reason", "acl", "client_cid", "1"},
		{"service", "limited", "verdict", "deny", "reason", "source-rate", "client_cid", "1"},
	} {
		if _, err := b.Await(1, time.Minute, append([]string{"msg", "decision"}, want...)...); err != nil {
			t.Error(err)
		}
	}
}

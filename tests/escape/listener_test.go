package escape

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// disguised are the ways to make a socket connect without a rule on connect
// that sees it (attempt 59), for a listener and for a socket of its own.
var disguised = []string{"sendto", "sendmsg", "sendmmsg", "high"}

// TestListenerDoesNotConnect: a wait service holds a socket of the host's
// network. Under no profile without network does it come to connect that.
func TestListenerDoesNotConnect(t *testing.T) {
	rig.Root(t)
	victim, c := compileVictim(t), plant(t)
	var lines []string
	for _, how := range disguised {
		lines = append(lines, "listener-fastopen 127.0.0.1 {tcp} "+how)
	}
	lines = append(lines, "listener-connect 127.0.0.1 {tcp}", "listener-later")
	var s strings.Builder
	ports := map[string]string{}
	s.WriteString(policyHead)
	for _, n := range []string{"strict", "line", "files", "server", "login", "classic_wait", "answers"} {
		ports[n] = rig.Port(t)
		fmt.Fprintf(&s, "service %q {\n  listen = [\"tcp4://127.0.0.1:%s\"]\n  command = [%q]\n  user = \"nobody\"\n  wait = true\n"+
			"  acl = acl.anyone\n  limit = limit.wait\n  profile = profile.%[1]s\n}\n", n, ports[n], victim)
	}
	s.WriteString("profile \"answers\" {\n  base = profile.line\n  widens = [\"network\"]\n  network { mode = \"listener\" }\n}\n")
	b := rig.Serve(t, s.String())
	values := c.values(victim, "0")
	// The attempts shut the socket down, and the broker opens it again in its own time.
	again := func(name string) {
		t.Helper()
		if err := rig.Until(30*time.Second, func() error {
			s, err := b.Service(name)
			if err == nil && s.Listeners[0].State != "listening" {
				err = fmt.Errorf("the listener is %s", s.Listeners[0].State)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for n, port := range ports {
		if o := inside(t, port, "limits"); o.result != "ok" {
			t.Errorf("%s: the victim does not run: %s", n, o)
		}
		for _, line := range lines {
			again(n)
			if o := inside(t, port, fill(t, line, values)); !denied(shut+"|killed", o) {
				t.Errorf("%s: %s: %s, want %s", n, line, o, shut)
			}
		}
	}
	if n := c.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
	for _, line := range lines {
		if o := outsideListening(t, victim, fill(t, line, values)); o.result != "ok" {
			t.Errorf("%s: %s outside of the sandbox, so its denial inside proves nothing", line, o)
		}
	}
	if n := int(c.touched.Load()); n < len(disguised) {
		t.Errorf("outside, the canaries were reached %d times by %d ways", n, len(disguised))
	}
}

// outsideListening makes an attempt as a wait service of a classical inetd.
func outsideListening(t *testing.T, victim, line string) outcome {
	t.Helper()
	var plain net.ListenConfig // what casemated opens too: a listener of Go's is MPTCP, which has no MSG_FASTOPEN before Linux 6.2
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.SetNonblock(int(f.Fd()), false)
	cmd := exec.Command(victim)
	cmd.Stdin, cmd.Stdout = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	err = cmd.Start()
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(client, line+"\n")
	answer, _ := io.ReadAll(client)
	_ = cmd.Wait()
	name, _, _ := strings.Cut(line, " ")
	return parse(name, string(answer))
}

// TestListedPortsHold: a host network with one port to connect to is that port,
// by every way to connect: Landlock sees connect, the filter the others.
func TestListedPortsHold(t *testing.T) {
	rig.Root(t)
	if landlock.ABI() < 4 {
		need.Kernel(t, "Landlock knows no ports, so such a profile is refused")
	}
	victim, c, open := compileVictim(t), plant(t), plant(t)
	port := rig.Port(t)
	rig.Serve(t, policyHead+serviceText("hosted", port, victim, fmt.Sprintf(
		"  base = profile.line\n  widens = [\"network\", \"syscalls\"]\n  because = \"asks one port\"\n  network {\n    mode    = \"host\"\n"+
			"    connect = [%s]\n  }\n  syscalls { allow = [\"@socket-client\"] }", open.tcp)))
	if o := inside(t, port, "tcp 127.0.0.1 "+open.tcp); o.result != "ok" {
		t.Errorf("the port that is listed: %s", o)
	}
	lines := []string{"tcp 127.0.0.1 {tcp}", "mptcp 127.0.0.1 {tcp}"}
	for _, how := range disguised {
		lines = append(lines, "fastopen 127.0.0.1 {tcp} "+how)
	}
	for _, line := range slices.Concat(lines, []string{"socket 43 1 0", "socket 2 1 256"}) { // AF_SMC, IPPROTO_SMC
		if o := inside(t, port, fill(t, line, c.values(victim, port))); !denied(noSocket, o) {
			t.Errorf("%s: %s", line, o)
		}
	}
	time.Sleep(50 * time.Millisecond) // a connection that was made needs a moment to be counted
	if n := c.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
	for _, line := range lines {
		if o := outside(t, victim, fill(t, line, c.values(victim, port)), asNobody); o.result != "ok" {
			t.Errorf("outside: %s: %s", line, o)
		}
	}
}

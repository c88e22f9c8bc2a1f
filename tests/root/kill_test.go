package root

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// casemate runs the command against b and returns its exit status and what it wrote.
func casemate(t *testing.T, b *rig.Broker, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), append(args, "--control", b.Control)...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(e)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// TestKill: casemate kill ends sessions of every kind, with an orderly end for their
// clients and no penalty; an id that is over, or was never given, ends nobody.
func TestKill(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	ports := map[string]string{}
	of := func(name, network, way string, more ...string) string {
		ports[name] = rig.Port(t)
		return service(name, network+"://127.0.0.1:"+ports[name], []string{program, way}, more...)
	}
	const penal = "limit = limit.penal"
	b := rig.Serve(t, head+`
profile "takes" {
  base    = profile.server
  widens  = ["network"]
  network { mode = "listener" }
}

limit "penal" {
  penalty {
    on    = ["crash", "violation", "timeout"]
    first = "10m"
    max   = "20m"
  }
}
`+of("deaf", "tcp", "deaf", "profile = profile.server", penal)+
		of("first", "tcp", "hold", "profile = profile.line", penal)+
		of("second", "tcp", "hold", "profile = profile.server", penal)+
		of("take", "tcp", "take", "profile = profile.takes", "wait = true", "acl = acl.anyone", "limit = limit.wait")+
		of("udp", "udp", "hold", "profile = profile.server")+
		strings.Replace(of("worker", "tcp", ""), fmt.Sprintf("command = [%q, \"\"]", program), "builtin = \"echo\"", 1))

	// begin has a session of a service, which has said hello if it does.
	begin := func(name, hello string) net.Conn {
		t.Helper()
		network := "tcp4"
		if name == "udp" {
			network = "udp4"
		}
		c, err := net.DialTimeout(network, "127.0.0.1:"+ports[name], 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if name != "take" { // which may not have read that when it ends: a reset
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, len(hello))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != hello {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
		return c
	}
	for _, tt := range []struct {
		name, hello, signal string
		args                []string
		warned              bool
	}{
		{"second", "holding\n", "SIGTERM", nil, false},
		{"first", "holding\n", "SIGKILL", nil, true}, // process 1 does not hear TERM
		{"first", "holding\n", "SIGKILL", []string{"--now"}, false},
		{"deaf", "deaf\n", "SIGKILL", []string{"--now"}, false},
		{"deaf", "deaf\n", "SIGKILL", nil, false},
		{"take", "taken\n", "SIGTERM", nil, false},
		{"udp", "holding\n", "SIGTERM", nil, false},
		{"worker", "x", "", nil, false},
	} {
		c := begin(tt.name, tt.hello)
		s := session(t, b, tt.name)
		id := fmt.Sprint(s.ID)
		code, out, errs := casemate(t, b, append([]string{"kill", id}, tt.args...)...)
		if code != 0 || !strings.HasPrefix(out, "ended "+id+" "+tt.name) || strings.Contains(errs, "has no init") != tt.warned || !tt.warned && errs != "" {
			t.Errorf("%s %q: exit status %d, %q, %q", tt.name, tt.args, code, out, errs)
		}
		if err := gone(10*time.Second, s.PID); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		r, err := b.Await(1, 10*time.Second, "msg", "session", "service", tt.name, "id", id)
		if err != nil || r[0].Str("reason") != "killed" || r[0].Str("signal") != tt.signal {
			t.Errorf("%s %q: %v, %v, want it killed by %q", tt.name, tt.args, r, err, tt.signal)
		}
		if tt.name != "udp" {
			if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s %q: its client read %d bytes, %v, want an orderly end", tt.name, tt.args, n, err)
			}
		}
		stays := begin(tt.name, tt.hello) // no penalty, and the socket is served again
		code, out, errs = casemate(t, b, "kill", id, "7")
		if code != 3 || out != "" || strings.Count(errs, "is no session that runs") != 2 {
			t.Errorf("%s again: exit status %d, %q, %q", tt.name, code, out, errs)
		}
		next := session(t, b, tt.name)
		if next.ID == s.ID {
			t.Errorf("%s: id %d was given twice", tt.name, s.ID)
		}
		code, out, errs = casemate(t, b, "kill", "--now", "--service", tt.name)
		if code != 0 || out == "" {
			t.Errorf("%s as a service: exit status %d, %q, %q", tt.name, code, out, errs)
		}
		if err := gone(10*time.Second, next.PID); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		stays.Close()
	}
	if code, out, errs := casemate(t, b, "kill", "--service", "first"); code != 3 || out != "" || !strings.Contains(errs, `no session of "first" runs`) {
		t.Errorf("exit status %d, %q, %q", code, out, errs)
	}
}

package root

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// someone is an unprivileged user.
type someone struct {
	gid    uint32
	groups []uint32
}

// run runs casemate as that user, in a copy that everybody can reach.
func (s someone) run(t *testing.T, casemate string, b *rig.Broker, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command(casemate, append(args, "--control", b.Control)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: s.gid, Groups: s.groups}}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", &out, &err
	if e := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(e)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// TestOperators: members of the group, by their own or by another one of theirs, may look at
// the status and at what a client would get, and change nothing; others may do neither,
// though somebody has opened the socket's file to them.
func TestOperators(t *testing.T) {
	const group, stranger = 64901, 64902
	port := rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Args: []string{"--operators", fmt.Sprint(group)},
		Files: map[string]string{"test.cm.hcl": head + service("cat", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.line")}})
	if err := os.Chmod(b.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(b.Control)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 0 || s.Gid != group || info.Mode().Perm() != 0o660 {
		t.Errorf("the control socket has mode %v, uid %d and gid %d", info.Mode(), s.Uid, s.Gid)
	}
	text, err := os.ReadFile(filepath.Join(rig.Root(t), "casemate"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(rig.PublicDir(t), "casemate")
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := fmt.Sprint(session(t, b, "cat").ID)

	for name, who := range map[string]someone{"by its own group": {gid: group}, "by another of its groups": {stranger, []uint32{10, group, 20}}} {
		if code, out, errs := who.run(t, program, b, "status"); code != 0 || !strings.Contains(out, "cat ") {
			t.Errorf("%s: status: %d, %q, %q", name, code, out, errs)
		}
		if code, out, errs := who.run(t, program, b, "explain", "cat", "127.0.0.1"); code != 0 || !strings.HasPrefix(out, "allow ") {
			t.Errorf("%s: explain: %d, %q, %q", name, code, out, errs)
		}
		for _, args := range [][]string{{"reload"}, {"kill", id}, {"kill", id, "--now"}, {"kill", "--service", "cat"}} {
			if code, out, errs := who.run(t, program, b, args...); code != 1 || !strings.Contains(errs, "takes root") {
				t.Errorf("%s: %q: %d, %q, %q", name, args, code, out, errs)
			}
		}
		if code, out, errs := who.run(t, program, b, "status", "--sessions"); code != 0 || !strings.Contains(out, id) {
			t.Errorf("%s: the session has gone: %d, %q, %q", name, code, out, errs)
		}
	}
	none := someone{stranger, []uint32{10, 20}}
	if code, out, errs := none.run(t, program, b, "status"); code != 1 || !strings.Contains(errs, "permission denied") {
		t.Errorf("a stranger: %d, %q, %q", code, out, errs)
	}
	if err := os.Chmod(b.Control, 0o666); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := none.run(t, program, b, "status"); code != 1 || out != "" {
		t.Errorf("a stranger at an open socket: %d, %q, %q", code, out, errs)
	}
	if code, out, errs := (someone{gid: group}).run(t, program, b, "status"); code != 0 {
		t.Errorf("an operator beside it: %d, %q, %q", code, out, errs)
	}
	holdControl(t, b, group)
	if code, _, errs := casemate(t, b, "reload"); code != 0 {
		t.Errorf("root behind operators who hold the socket: %d, %q", code, errs)
	}
}

// holdControl has an operator hold as many connections as it gets, each with a request that
// goes on and on.
func holdControl(t *testing.T, b *rig.Broker, group int) {
	t.Helper()
	const many = 64
	held := exec.Command("python3", "-c", `
import os, socket, sys, time
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(65533)
held = []
for i in range(int(sys.argv[3])):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); held.append(s)
    try: s.send(b" ")
    except OSError: pass # those that are too many are closed
print("held", flush=True)
time.sleep(60)
`, b.Control, fmt.Sprint(group), fmt.Sprint(many))
	out, err := held.StdoutPipe()
	if err == nil {
		err = held.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Process.Kill(); _ = held.Wait() })
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
}

// TestOperatorsAskForNothingElse: the requests themselves, whatever casemate makes of them:
// every verb that is no reading is refused, one that starts a zygote too.
func TestOperatorsAskForNothingElse(t *testing.T) {
	const group = 64901
	port := rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Args: []string{"--operators", fmt.Sprint(group)},
		Files: map[string]string{"test.cm.hcl": head + service("cat", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.line")}})
	asker := asks(t, b, group)
	for _, q := range []control.Request{
		{Verb: control.VerbReload}, {Verb: control.VerbKill, Service: "cat"}, {Verb: control.VerbKill, Sessions: []uint64{1}, Now: true},
		{Verb: control.VerbStatus, Service: "cat", Now: true}, {Verb: control.VerbRollback, Digest: "sha256:" + strings.Repeat("0", 64)},
		{Verb: "stop"}, {Verb: ""},
	} {
		if a := asker(q); a.OK || !strings.Contains(a.Error, "takes root") {
			t.Errorf("%+v: %+v", q, a)
		}
	}
	for _, q := range []control.Request{{Verb: control.VerbStatus}, {Verb: control.VerbStatus, Service: "cat"}, {Verb: control.VerbDocument}, {Verb: control.VerbHistory}} {
		if a := asker(q); !a.OK {
			t.Errorf("%+v: %+v", q, a)
		}
	}
}

// asks connects as a member of the group: credentials are those of who connects.
func asks(t *testing.T, b *rig.Broker, group uint32) func(control.Request) control.Response {
	t.Helper()
	if err := os.Chmod(b.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return func(q control.Request) (a control.Response) {
		t.Helper()
		q.FormatVersion = control.Format
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("nc", "-U", "-N", b.Control)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: group}}
		cmd.Dir, cmd.Stdin = "/", bytes.NewReader(append(text, '\n'))
		out, err := cmd.Output()
		line, _, _ := bytes.Cut(out, []byte("\n"))
		if err = errors.Join(err, json.Unmarshal(line, &a)); err != nil {
			t.Fatalf("%+v: %q, %v", q, out, err)
		}
		return a
	}
}

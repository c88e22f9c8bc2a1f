package root

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestDeadMount: a file system that never answers, below a path of one service and the program
// of another, stops these two alone, whether casemated starts over it or it dies
// later, and only until it is gone. A reload says which path it is.
func TestDeadMount(t *testing.T) {
	rig.Root(t)
	dir := rig.PublicDir(t)
	program, dead := rig.Compile(t, "testdata/rogue.c"), filepath.Join(dir, "dead")
	heal := need.DeadMount(t, dead, 0)
	ports, text := map[string]string{}, head+fmt.Sprintf("\nprofile \"reads\" {\n  base = profile.line\n  files { read = [%q] }\n}\n", dead)
	for _, s := range []struct{ name, program, profile string }{
		{"reads", program, "reads"}, {"program", filepath.Join(dead, "program"), "line"}, {"good", program, "line"}, {"other", program, "line"},
	} {
		ports[s.name] = rig.Port(t)
		text += service(s.name, "tcp4://127.0.0.1:"+ports[s.name], []string{s.program, "once"}, "profile = profile."+s.profile)
	}
	b := rig.Serve(t, text)
	for _, name := range []string{"good", "other"} {
		exchange(t, ports[name], "", "once\n")
	}
	for _, name := range []string{"reads", "program"} {
		if st, err := b.Service(name); err != nil || !st.Broken || !strings.Contains(st.Error, dead) || !strings.Contains(st.Error, "does not answer") {
			t.Errorf("%+v, %v", st, err)
		}
	}
	heal()
	if err := rig.Until(30*time.Second, func() error { return replies(ports["reads"], "once\n") }); err != nil {
		t.Error(err)
	}

	must(t, "rmdir", dead)
	need.DeadMount(t, dead, 0)
	exchange(t, ports["reads"], "", "once\n") // as before: the sandbox is there
	text = strings.Replace(text, "10000\n", "9999\n", 1)
	if err := b.WritePolicy("test.cm.hcl", text); err != nil {
		t.Fatal(err)
	}
	answer, err := b.Request(control.Request{Verb: control.VerbReload})
	if err != nil || answer.OK || !strings.Contains(answer.Error, dead+": its file system does not answer") {
		t.Errorf("a reload over it: %+v, %v", answer, err)
	}
	for _, name := range []string{"good", "other"} {
		exchange(t, ports[name], "", "once\n")
	}
}

// TestSilentSources: a policy, or a log, on a file system that tells what stat(2) asks for and
// nothing else holds a load up for a while. Its error names the path, status answers meanwhile,
// the next load finds what there is then, and TERM ends the service within such a load.
func TestSilentSources(t *testing.T) {
	rig.Root(t)
	dir, port := rig.PublicDir(t), rig.Port(t)
	logs := filepath.Join(dir, "logs")
	must(t, "mkdir", logs)
	text := head + service("good", "tcp4://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.line")
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Args: []string{"--log", filepath.Join(logs, "log")}})
	for _, dead := range []string{b.Policy, logs} {
		heal := need.DeadMount(t, dead, need.Stats)
		answers, began := make(chan *control.Response, 1), time.Now()
		go func() {
			answer, err := b.Request(control.Request{Verb: control.VerbReload})
			if err != nil {
				t.Error(err)
			}
			answers <- answer
		}()
		var answer *control.Response
		for looks := 0; answer == nil; looks++ {
			if _, err := b.Status(); err != nil || time.Since(began) > time.Minute {
				t.Fatalf("%s: after %s, %d looks: %v", dead, time.Since(began), looks, err)
			}
			exchange(t, port, "hello", "hello")
			select {
			case answer = <-answers:
			case <-time.After(20 * time.Millisecond):
			}
		}
		heal()
		if policyDead := dead == b.Policy; answer.OK == policyDead || policyDead && !strings.Contains(answer.Error, dead+": its file system does not answer") {
			t.Errorf("%s: %+v", dead, answer)
		}
		if err := rig.Until(30*time.Second, func() error { // a healed one is asked as soon as it has answered
			answer, err := b.Request(control.Request{Verb: control.VerbReload})
			if err == nil && !answer.OK {
				err = fmt.Errorf("a load afterwards: %s", answer.Error)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	if err := rig.Until(30*time.Second, func() error {
		text, err := os.ReadFile(filepath.Join(logs, "log"))
		if err == nil && !strings.Contains(string(text), logs+"/log: its file system does not answer") {
			err = fmt.Errorf("the log does not tell of its own:\n%s", text)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	heal := need.DeadMount(t, b.Policy, need.Stats)
	if err := b.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // it has begun by then, or the test shows less
	if err := b.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// A thread whose question the server has read, nothing ends before the server does
	// (fuse: request_wait_answer), nor the process, but it holds nothing any more.
	if err := rig.Until(20*time.Second, func() error {
		if c, err := rig.Dial(port); err == nil {
			c.Close()
			return errors.New("the port is open")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	next, err := rig.Start(rig.Options{Bin: rig.Root(t), Files: map[string]string{"test.cm.hcl": text}})
	if err != nil {
		t.Errorf("another one in its place: %v", err)
	} else {
		next.Stop()
	}
	heal()
	if state, err := b.Ended(20 * time.Second); err != nil || !state.Success() {
		t.Errorf("asked to end within a load: %v, %v", state, err)
	}
}

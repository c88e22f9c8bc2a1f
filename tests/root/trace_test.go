package root

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// tracedCall is a failure as `casemate trace -o json` has it.
type tracedCall struct {
	Call, Path, Error, Before, Found, Remedy string
	Count                                    int
}

type traced struct {
	Service  string
	Sessions []struct {
		Program, Ended string
		Processes      int
		Said           []string
		Failed, Probes []tracedCall
	}
}

// tracer is a running `casemate trace` that follows already.
type tracer struct {
	cmd *exec.Cmd
	out io.ReadCloser
}

func startTrace(t *testing.T, b *rig.Broker, args ...string) *tracer {
	t.Helper()
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), append([]string{"trace", "-o", "json", "--control", b.Control}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil || !strings.Contains(line, "waiting for connections") {
		t.Fatalf("trace said %q (%v)", line, err)
	}
	return &tracer{cmd, out}
}

// result is what it prints when it has ended.
func (r *tracer) result(t *testing.T) *traced {
	t.Helper()
	text, err := io.ReadAll(r.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Fatalf("trace: %v\n%s", err, text)
	}
	got := new(traced)
	if err := json.Unmarshal(text, got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return got
}

func find(list []tracedCall, path string) *tracedCall {
	i := slices.IndexFunc(list, func(c tracedCall) bool { return c.Path == path })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// traceSite serves a program that looks for a file and fails, one that looks for it and
// goes on, and cat.
func traceSite(t *testing.T) (b *rig.Broker, ports map[string]string, dir string) {
	dir = rig.PublicDir(t)
	write(t, filepath.Join(dir, "there"), "there\n", 0o644)
	write(t, filepath.Join(dir, "hidden"), "hidden\n", 0o644)
	shown := filepath.Join(dir, "there")
	ports = map[string]string{}
	text := head + fmt.Sprintf("\nprofile \"shown\" {\n  base = profile.server\n  files { read = [%q] }\n}\n", shown)
	for name, command := range map[string][]string{
		"fails": {"/bin/sh", "-c", "cat " + filepath.Join(dir, "hidden") + " || exit 3"},
		"goes":  {"/bin/sh", "-c", "for f in " + filepath.Join(dir, "hidden") + " " + shown + "; do test -r $f && read -r x <$f && echo $x; done; mount /proc /mnt 2>/dev/null; exit 0"},
		"cat":   {"/bin/cat"},
		"late":  {"/bin/sh", "-c", "read -r x; i=0; while test $i -lt 3000; do i=$((i+1)); test -e /nonexistent; done; echo done; cat"},
	} {
		ports[name] = rig.Port(t)
		text += service(name, "tcp://127.0.0.1:"+ports[name], command, "profile = profile.shown", `linger = "1s"`)
	}
	return rig.Serve(t, text), ports, dir
}

// TestTrace: trace names what a program of the very next connection missed, with what
// would grant it, under "failed" where it ended for it and under "probes" where it went on.
func TestTrace(t *testing.T) {
	rig.Root(t)
	b, ports, dir := traceSite(t)
	hidden, shown := filepath.Join(dir, "hidden"), filepath.Join(dir, "there")

	r := startTrace(t, b, "fails")
	exchange(t, ports["fails"], "", "")
	got := r.result(t)
	if len(got.Sessions) != 1 || got.Sessions[0].Ended != "exited with status 3" || got.Sessions[0].Processes != 2 {
		t.Fatalf("got %+v", got)
	}
	s := got.Sessions[0]
	missed := find(s.Failed, hidden)
	if missed == nil || missed.Error != "ENOENT" || missed.Remedy != fmt.Sprintf("files { read = [%q] }", hidden) || !strings.Contains(missed.Before, "No such file") {
		t.Errorf("the missing file is told as %+v, in %+v", missed, s.Failed)
	}
	if find(s.Probes, hidden) != nil || find(s.Failed, "/etc/ld.so.preload") != nil {
		t.Errorf("failed %+v\nprobes %+v", s.Failed, s.Probes)
	}

	r = startTrace(t, b, "goes", "--connections", "2")
	for range 2 {
		exchange(t, ports["goes"], "", "there\n")
	}
	got = r.result(t)
	if len(got.Sessions) != 2 {
		t.Fatalf("got %+v", got)
	}
	for _, s := range got.Sessions {
		if s.Ended != "exited with status 0" || len(s.Failed) > 0 && find(s.Failed, hidden) != nil {
			t.Errorf("got %+v", s)
		}
		if c := find(s.Probes, hidden); c == nil || c.Remedy != fmt.Sprintf("files { read = [%q] }", hidden) {
			t.Errorf("the probe is told as %+v, in %+v", c, s.Probes)
		}
		if find(append(s.Failed, s.Probes...), shown) != nil {
			t.Errorf("what was found is told as missing: %+v", s)
		}
	}
}

// TestTraceIsKilled: with the tracer killed in the middle of sessions these, and the
// service, go on, and nothing is left stopped or followed.
func TestTraceIsKilled(t *testing.T) {
	rig.Root(t)
	b, ports, _ := traceSite(t)
	r := startTrace(t, b, "late", "--for", "10m")
	c := connect(t, ports["late"])
	defer c.Close()
	if _, err := c.Write([]byte("go\n")); err != nil { // it is busy with calls from here on
		t.Fatal(err)
	}
	s := session(t, b, "late")
	if err := rig.Until(20*time.Second, func() error {
		if st, err := rig.Status(s.PID); err != nil || st["TracerPid"] == "0" {
			return fmt.Errorf("the session is not followed (%v)", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "done\n" {
		t.Errorf("the session answered %q (%v)", line, err)
	}
	echo(t, c) // cat, which it has started since
	if err := rig.Until(20*time.Second, func() error {
		for _, pid := range family(t, b.PID) {
			st, err := rig.Status(pid)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue
			}
			if err != nil {
				return err
			}
			if st["TracerPid"] != "0" || strings.ContainsAny(st["State"][:1], "tT") {
				return fmt.Errorf("process %d is left behind: tracer %s, %s", pid, st["TracerPid"], st["State"])
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	next := connect(t, ports["late"])
	defer next.Close()
	if _, err := next.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(next).ReadString('\n'); err != nil || line != "done\n" {
		t.Errorf("the next session answered %q (%v)", line, err)
	}
}

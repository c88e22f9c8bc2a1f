package root

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// learning is a casemate learn that runs.
type learning struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{}
}

func (l *learning) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *learning) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startLearning starts one that follows a service for ten minutes, and waits until it does.
func startLearning(t *testing.T, b *rig.Broker, service string) *learning {
	t.Helper()
	l := &learning{cmd: exec.Command(filepath.Join(rig.Root(t), "casemate"), "learn", service, "--for", "10m", "--control", b.Control), done: make(chan struct{})}
	l.cmd.Stdout, l.cmd.Stderr = l, l
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.cmd.Wait(); close(l.done) }()
	t.Cleanup(func() { _ = l.cmd.Process.Kill(); <-l.done })
	if err := rig.Until(30*time.Second, func() error {
		if !strings.Contains(l.said(), "waiting for connections") {
			return fmt.Errorf("it said %q", l.said())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// ends waits for its end, and gives its exit status.
func (l *learning) ends(t *testing.T) int {
	t.Helper()
	select {
	case <-l.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end: %s", l.said())
	}
	return l.cmd.ProcessState.ExitCode()
}

// TestLearnMeanwhile: whatever happens to casemated, to its policy or to a learn that follows a service, the
// service serves on, no process of it stays followed, and the next learn follows it.
func TestLearnMeanwhile(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "nc")
	port := rig.Port(t)
	policy := func(more string) string {
		return head + "\nprofile \"cat\" {\n  base = profile.line\n  files { read = [\"/etc/passwd\"] }\n}\n" + more +
			service("cat", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.cat")
	}
	b := rig.Serve(t, policy(""))
	serves := func() {
		t.Helper()
		if out := must(t, "sh", "-c", "echo hello | nc -N -w 10 127.0.0.1 "+port); out != "hello\n" {
			t.Fatalf("it answers %q", out)
		}
	}
	load := func(text string) {
		t.Helper()
		if err := b.WritePolicy("test.cm.hcl", text); err != nil {
			t.Fatal(err)
		}
		if c, _, said := casemate(t, b, "reload"); c != 0 {
			t.Fatalf("reload: %s", said)
		}
	}
	free := func() {
		t.Helper()
		if err := rig.Until(20*time.Second, func() error {
			for _, pid := range family(t, b.PID) {
				if st, err := rig.Status(pid); err == nil && (st["TracerPid"] != "0" || strings.ContainsAny(st["State"][:1], "tT")) {
					return fmt.Errorf("process %d is left behind: tracer %s, %s", pid, st["TracerPid"], st["State"])
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}

	l := startLearning(t, b, "cat")
	serves()
	if code, said := learnSays(t, 0, nil, "cat", "--control", b.Control); code != 1 || !strings.Contains(said, "is traced by process") {
		t.Errorf("a second one exits with %d: %s", code, said)
	}
	load(policy("\nprofile \"other\" {\n  base = profile.files\n}\n")) // which is nothing to the service
	serves()
	select {
	case <-l.done:
		t.Errorf("it ended on a reload of the same service: %s", l.said())
	case <-time.After(time.Second): // four of its looks
	}
	load(strings.Replace(policy(""), "/etc/passwd", "/etc/group", 1))
	if code := l.ends(t); code != 1 || !strings.Contains(l.said(), "begin again") {
		t.Errorf("with another profile in force it exits with %d: %s", code, l.said())
	}
	free()
	serves()

	l = startLearning(t, b, "cat")
	serves()
	if err := l.cmd.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.ends(t)
	free()
	serves()

	l = startLearning(t, b, "cat")
	serves()
	if err := unix.Kill(b.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := l.ends(t); code != 1 || strings.Contains(l.said(), "\nprofile \"") {
		t.Errorf("without casemated it exits with %d: %s", code, l.said())
	}
}

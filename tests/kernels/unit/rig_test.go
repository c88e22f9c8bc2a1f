//go:build guest

package unit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/policy/input"
	"casemate/tests/root/rig"
)

const (
	unitName   = "casemated.service"
	policyFile = "/etc/casemate/guest.cm.hcl"
	groups     = "/sys/fs/cgroup"
)

// Ports of the policy's services.
const (
	factorPort = "7001"
	memoryPort = "7002"
	forksPort  = "7003"
	spinPort   = "7004"
	swarmPort  = "7005"
	addedPort  = "7006"
	barePort   = "7007"
)

// policyText has a profile for each limit, and a service that works.
const policyText = `
policy { edition = 1 }

profile "memory" {
  base = profile.server
  resources { memory = "24MiB" }
}

profile "bare" {
  base = profile.memory
  init = false
}

profile "forks" {
  base = profile.server
  resources { processes = 8 }
}

profile "spin" {
  base = profile.server
  resources { cpu = "20%" }
}
`

// service runs a command on a port under the profile.
func service(name, port, profile string, command ...string) string {
	return fmt.Sprintf("\nservice %q {\n  listen  = [\"tcp://127.0.0.1:%s\"]\n  command = [\"%s\"]\n  user    = \"dynamic\"\n  acl     = acl.localhost\n  profile = profile.%s\n}\n",
		name, port, strings.Join(command, `", "`), profile)
}

// broker answers on the unit's control socket.
var broker = &rig.Broker{Control: input.DefaultControlPath}

// started writes the policy, with a bomb for each limit, and sees to it that the
// unit serves it.
func started(t *testing.T) *rig.Broker {
	t.Helper()
	bomb := filepath.Join(os.Getenv(rig.Prebuilt), "bomb")
	write(t, policyText+service("factor", factorPort, "line", "/usr/bin/factor")+
		service("memory", memoryPort, "memory", bomb, "memory")+service("bare", barePort, "bare", bomb, "memory")+service("forks", forksPort, "forks", bomb, "forks")+
		service("spin", spinPort, "spin", bomb, "spin")+service("swarm", swarmPort, "server", bomb, "forks"))
	systemctl(t, "start", unitName)
	if s, err := broker.Status(); err != nil || s.LastReload != "" || s.Generation == 0 {
		t.Fatalf("after systemctl start: %+v, %v\n%s", s, err, journal(t))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal:\n%s", journal(t))
		}
	})
	return broker
}

func write(t *testing.T, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(policyFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(policyFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run executes a program; it must end within a minute and a half.
func run(name string, args ...string) (string, error) {
	out, err := exec.Command("timeout", append([]string{"90", name}, args...)...).CombinedOutput()
	return string(out), err
}

func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run("systemctl", args...)
	if err != nil {
		t.Fatalf("systemctl %s: %v\n%s\n%s", strings.Join(args, " "), err, out, journal(t))
	}
	return strings.TrimSpace(out)
}

// show is one property of the unit.
func show(t *testing.T, property string) string {
	t.Helper()
	return systemctl(t, "show", "--value", "-p", property, unitName)
}

// journal is the end of what the unit said.
func journal(t *testing.T) string {
	t.Helper()
	out, err := run("journalctl", "-u", unitName, "-o", "cat", "--no-pager", "-n", "30")
	if err != nil {
		return err.Error()
	}
	return out
}

// ends counts the session records of a service that have the reason.
func ends(service, reason string) (int, error) {
	out, err := run("journalctl", "-u", unitName, "-o", "cat", "--no-pager")
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range strings.Lines(out) {
		var r rig.Record
		if json.Unmarshal([]byte(line), &r) == nil && r.Str("msg") == "session" && r.Str("service") == service && r.Str("reason") == reason {
			n++
		}
	}
	return n, nil
}

// awaitEnds waits until n sessions of the service have ended for the reason.
func awaitEnds(t *testing.T, service, reason string, n int) {
	t.Helper()
	idle(t, service)
	if err := rig.Until(3*time.Second, func() error {
		got, err := ends(service, reason)
		if err == nil && got < n {
			err = fmt.Errorf("%d sessions of %s ended by %q, want %d", got, service, reason, n)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// idle waits until no session of the service runs; busy until one does.
func idle(t *testing.T, name string) { t.Helper(); awaitLive(t, name, false) }
func busy(t *testing.T, name string) { t.Helper(); awaitLive(t, name, true) }

func awaitLive(t *testing.T, name string, want bool) {
	t.Helper()
	if err := rig.Until(20*time.Second, func() error {
		s, err := broker.Service(name)
		if err == nil && (s.Live > 0) != want {
			err = fmt.Errorf("%d sessions of %s run", s.Live, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// factors tries the service that works.
func factors() error {
	got, err := rig.Exchange(factorPort, "12\n")
	if err == nil && got != "12: 2 2 3\n" {
		err = fmt.Errorf("factor answered %q", got)
	}
	return err
}

// processes are those in a group and below it, with their groups.
func processes(t *testing.T, group string) map[int]string {
	t.Helper()
	out := map[int]string{}
	if err := filepath.WalkDir(filepath.Join(groups, group), func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || !d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, pid := range strings.Fields(string(text)) {
			var n int
			if _, err := fmt.Sscan(pid, &n); err != nil {
				return err
			}
			out[n] = strings.TrimPrefix(path, groups)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

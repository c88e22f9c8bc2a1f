package root

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// observer looks at the process whose number it reads, and tries what would be
// more than looking. Everything it opens for writing it leaves as it is.
const observer = `read -r pid
try() { name=$1; shift; if (eval "$*") >/dev/null 2>&1; then echo "$name yes"; else echo "$name no"; fi; }
try ps "ps -eo pid= | grep -qw $pid"
try pgrep "pgrep -f '^sleep 98765'"
try cmdline "tr '\0' ' ' </proc/$pid/cmdline | grep -q 98765"
try self "test -e /proc/self/fd/0"
try environ "tr '\0' ' ' </proc/$pid/environ | grep -q hidden"
try maps "grep -q . /proc/$pid/maps"
try root "test -e /proc/$pid/root/etc"
try cwd "test -e /proc/$pid/cwd/."
try fd "readlink /proc/$pid/fd/0"
try mem ": <>/proc/$pid/mem"
try score "cat /proc/$pid/oom_score_adj >/proc/$pid/oom_score_adj"
try signal "kill -0 $pid"
try sysctl ": >>/proc/sys/kernel/hostname"
try sysrq ": >>/proc/sysrq-trigger"
try kcore ": </proc/kcore"
`

// TestHostProc: under proc = "host" ps and pgrep see a process of the host, and
// under a /proc of its own they do not. What is more than seeing stays shut, even for
// a process of the service's own user, for which it is open outside.
func TestHostProc(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "ps", "pgrep")
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	watched := exec.Command("sleep", "98765")
	watched.Env = []string{"SECRET=hidden"}
	watched.SysProcAttr = nobody
	if err := watched.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watched.Process.Kill(); _ = watched.Wait() }()
	pid := fmt.Sprintf("%d\n", watched.Process.Pid)

	outside := exec.Command("/bin/sh", "-c", observer)
	outside.SysProcAttr, outside.Stdin = nobody, strings.NewReader(pid)
	out, err := outside.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ps", "pgrep", "cmdline", "self", "environ", "maps", "root", "cwd", "fd", "mem", "score", "signal"} {
		tells(t, string(out), name+" yes")
	}

	profile := func(name, widens, proc string) string {
		return fmt.Sprintf("profile %q {\n  base = profile.server\n%s  because = \"monitoring\"\n  files { proc = %s }\n}\n", name, widens, proc)
	}
	text := head + profile("watches", "  widens = [\"files\"]\n", `"host"`) + profile("alone", "", "true")
	ports := map[string]string{}
	for name, user := range map[string]string{"watches": "nobody", "alone": "nobody", "root": "root"} {
		ports[name] = rig.Port(t)
		use := strings.Replace(name, "root", "watches", 1)
		text += service(name, "tcp://127.0.0.1:"+ports[name], []string{"/bin/sh", "-c", observer}, "profile = profile."+use, fmt.Sprintf("user = %q", user), `because = "monitoring"`)
	}
	rig.Serve(t, text)
	for name, sees := range map[string]string{"watches": "yes", "alone": "no", "root": "yes"} {
		told, err := order("127.0.0.1", ports[name], strings.TrimSpace(pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"ps", "pgrep", "cmdline"} {
			tells(t, told, what+" "+sees)
		}
		tells(t, told, "self yes")
		for _, what := range []string{"environ", "maps", "root", "cwd", "fd", "mem", "score", "signal", "sysctl", "sysrq", "kcore"} {
			tells(t, told, what+" no")
		}
	}
}

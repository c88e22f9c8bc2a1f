package root

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestNothingOutlivesItsBroker: of a broker that is killed nothing is left, before any other broker looks:
// no session of a fixed user whose program executes from a thread, which clears its own tie, with
// an init; no zygote of any kind of user, not even one that is stopped. A wait service's address is free.
func TestNothingOutlivesItsBroker(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	text := head + "profile \"mapped\" {\n  base = profile.line\n  user_namespace = true\n}\n"
	wait := rig.Port(t)
	text += service("wait", "tcp://127.0.0.1:"+wait, []string{program, "take-by-thread", program}, "wait = true", "acl = acl.anyone", `user = "nobody"`, "profile = profile.server")
	ports := map[string]string{}
	for _, user := range []string{"nobody", "dynamic"} {
		for name, way := range map[string]string{"server": "untie-by-thread", "line": "hold", "mapped": "hold"} {
			ports[user+"-"+name] = rig.Port(t)
			text += service(user+"-"+name, "tcp://127.0.0.1:"+ports[user+"-"+name], []string{program, way, program}, fmt.Sprintf("user = %q", user), "profile = profile."+name)
		}
	}
	b := rig.Serve(t, text)
	says(t, wait, "taken")
	for name, port := range ports {
		if strings.HasSuffix(name, "-server") {
			says(t, port, "untied")
			continue
		}
		says(t, port, "holding")
		rig.Signal(t, zygoteOf(t, b, name), syscall.SIGSTOP)
	}
	all := descendants(t, b.PID)
	if n := len(ports) + 1; len(all) < 2*n+2 { // a zygote and a program each, and some inits
		t.Fatalf("%d services have %d processes", n, len(all))
	}
	kill9(t, b)
	if err := rig.Until(10*time.Second, func() error {
		for _, p := range all {
			if s, err := rig.Status(p.PID); err == nil && s["Name"] == p.Name && !strings.HasPrefix(s["State"], "Z") { // and not another with its number
				return fmt.Errorf("process %d (%s, child of %d) has outlived its broker", p.PID, p.Name, p.PPID)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	rig.Serve(t, text)
	says(t, wait, "taken")
}

// descendants are the processes below one.
func descendants(t *testing.T, pid int) []rig.Process {
	t.Helper()
	out, err := rig.Children(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range out {
		out = append(out, descendants(t, p.PID)...)
	}
	return out
}

package escape

import (
	"fmt"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// TestDenyWriteExecute: a profile that grants every call with which a program can execute what it has written lets it
// (the control), and one on top of it with deny_write_execute alone does not, whatever it inherits and allows itself.
func TestDenyWriteExecute(t *testing.T) {
	rig.Root(t)
	victim := compileVictim(t)
	const calls = `"@jit", "@memfd", "@sysv-ipc", "mmap", "mprotect", "personality", "pkey_mprotect", "shmat"`
	var s strings.Builder
	s.WriteString("policy { edition = 1 }\nlimit \"wide\" { concurrent = 1000 }\n" +
		"profile \"open\" {\n  base = profile.files\n  widens = [\"syscalls\"]\n  syscalls { allow = [" + calls + "] }\n}\n" +
		"profile \"kept\" {\n  base = profile.open\n  syscalls { deny_write_execute = true }\n}\n" +
		"profile \"named\" {\n  base = profile.files\n  syscalls {\n    deny_write_execute = true\n    allow = [\"@jit\", \"mmap\", \"mprotect\"]\n" +
		"    rule \"mprotect\" {\n      arg = 2\n      values = [5, 7]\n    }\n  }\n}\n")
	ports := map[string]string{}
	for _, n := range []string{"open", "kept", "named"} {
		ports[n] = rig.Port(t)
		fmt.Fprintf(&s, "service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [%q]\n  user = \"nobody\"\n"+
			"  acl = acl.localhost\n  limit = limit.wide\n  profile = profile.%[1]s\n}\n", n, ports[n], victim)
	}
	rig.Serve(t, s.String())
	for _, n := range []string{"kept", "named"} {
		if o := inside(t, ports[n], "limits"); o.result != "ok" {
			t.Errorf("%s: the victim does not run: %s", n, o)
		}
	}
	for _, line := range []string{"map-wx", "map-x-shared", "protect-x", "pkey-x", "memfd-x", "shm-x", "implied-x"} {
		if o := inside(t, ports["open"], line); o.result != "ok" && !(line == "pkey-x" && o.result == "ENOSPC") { // no keys on this processor
			t.Errorf("open: %s: %s: the control fails", line, o)
		}
		for _, n := range []string{"kept", "named"} {
			if o := inside(t, ports[n], line); !denied(shut, o) {
				t.Errorf("%s: %s: %s, want %s", n, line, o, shut)
			}
		}
	}
}

package root

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestListedPortIsReached: a program connects to the port that its network block lists,
// which brings the calls for it, and to no other.
func TestListedPortIsReached(t *testing.T) {
	rig.Root(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "reached")
			c.Close()
		}
	}()
	_, open, _ := net.SplitHostPort(l.Addr().String())
	nc, err := filepath.EvalSymlinks(need.Programs(t, "nc")[0]) // no tree shows Debian's /etc/alternatives
	if err != nil {
		t.Fatal(err)
	}
	if abi := landlock.ABI(); abi < landlock.ABINet {
		need.Kernel(t, "it has Landlock ABI %d: a list of ports is refused", abi)
	}
	port, shut := rig.Port(t), rig.Port(t)
	relay := func(name, listed, port string) string {
		return fmt.Sprintf(`
profile %[1]q {
  base    = profile.server
  widens  = ["network"]
  because = "asks another service"
  network {
    mode    = "host"
    connect = [%[2]s]
  }
}
`, name, listed) + service(name, "tcp://127.0.0.1:"+port, []string{"/bin/sh", "-c", "exec " + nc + " -N 127.0.0.1 " + open + " </dev/null 2>&1"}, `user = "dynamic"`, "profile = profile."+name)
	}
	rig.Serve(t, head+relay("asks", open, port)+relay("shut", "1", shut))
	if out, err := rig.Exchange(port, ""); err != nil || strings.TrimSpace(out) != "reached" {
		t.Errorf("through the listed port: %q (%v)", out, err)
	}
	if out, err := rig.Exchange(shut, ""); err != nil || strings.Contains(out, "reached") {
		t.Errorf("through a port that is not listed: %q (%v)", out, err)
	}
}

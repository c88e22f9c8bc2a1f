package root

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestAuth asks two of them (RFC 1413), one of which is an entry of an inetd.conf that its inetd
// would serve itself, as root and out of the user's files: here its worker has neither.
func TestAuth(t *testing.T) {
	rig.Root(t)
	one, other := rig.Port(t), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{
		"inetd.conf": "auth stream tcp nowait root internal auth\n",
		"test.cm.hcl": fmt.Sprintf(`policy { edition = 1 }
inetd { acl = acl.anyone }
service "auth" {
  extends = "auth/tcp"
  listen  = ["tcp://127.0.0.1:%s"]
}
service "guest" {
  listen  = ["tcp://127.0.0.1:%s"]
  builtin = "auth"
  says    = ["guest"]
  acl     = acl.anyone
}
`, one, other)}})
	for _, x := range []struct{ port, query, want string }{
		{one, "6191, 23\r\n", "6191 , 23 : ERROR : HIDDEN-USER\r\n"},
		{other, "6191, 23\r\n", "6191 , 23 : USERID : UNIX : guest\r\n"},
		{other, "6191, 0\r\n", "0 , 0 : ERROR : INVALID-PORT\r\n"},
		{other, strings.Repeat("7", 4096) + "\r\n", "0 , 0 : ERROR : INVALID-PORT\r\n"},
	} {
		if got, err := ask("tcp", x.port, x.query); err != nil || got != x.want {
			t.Errorf("to %.20q it answered %q (%v)", x.query, got, err)
		}
	}
	s := session(t, b, "auth")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if uid, ok := strings.CutPrefix(line, "Uid:"); ok && strings.Fields(uid)[0] == "0" {
			t.Errorf("the worker runs as root: %s", line)
		}
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "guest", "reason", "exit"); err != nil {
		t.Error(err)
	}
}

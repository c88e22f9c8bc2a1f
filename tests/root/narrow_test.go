package root

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestNarrow: casemate reload --end-disallowed, and on_narrow = "end" at a plain reload, end the sessions whose client the new acl does not
// admit, of programs and of built-ins, with a record that says why; plan says how many there would be. All others go on, and so do those where nobody asked.
func TestNarrow(t *testing.T) {
	rig.Root(t)
	ports := map[string]string{"cat": rig.Port(t), "echo": rig.Port(t)}
	text := func(more, from string) string {
		return strings.Replace(head, "{ edition = 1 }", "{\n  edition = 1\n"+more+"}", 1) + fmt.Sprintf("acl \"some\" {\n  allow { from = [%s] }\n}\n", from) +
			service("cat", "tcp4://127.0.0.1:"+ports["cat"], []string{"/bin/cat"}, "profile = profile.line", "acl = acl.some") +
			fmt.Sprintf("service \"echo\" {\n  listen = [\"tcp4://127.0.0.1:%s\"]\n  builtin = \"echo\"\n  acl = acl.some\n}\n", ports["echo"])
	}
	const both, one = `"127.0.0.2", "127.0.0.3"`, `"127.0.0.2"`
	b := rig.Serve(t, text("", both))
	talk := func(c net.Conn) error {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Write([]byte("x"))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	begin := func(from string) (list []net.Conn) {
		t.Helper()
		for _, name := range []string{"cat", "echo"} {
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp4", "127.0.0.1:"+ports[name])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if err := talk(c); err != nil {
				t.Fatalf("%s at %s: %v", from, name, err)
			}
			list = append(list, c)
		}
		return list
	}
	does := func(says string, args ...string) {
		t.Helper()
		if code, out, errs := casemate(t, b, args...); code != 0 || !strings.Contains(out, says) {
			t.Errorf("%v: %d, %s%s, want %q", args, code, out, errs, says)
		}
	}
	turn := func(text string) {
		t.Helper()
		if err := b.WritePolicy("test.cm.hcl", text); err != nil {
			t.Fatal(err)
		}
	}
	ended := 0
	check := func(when string, goes []net.Conn, ends bool) {
		t.Helper()
		if ends {
			ended++
			for _, name := range []string{"cat", "echo"} {
				if _, err := b.Await(ended, 20*time.Second, "msg", "session", "service", name, "client", "127.0.0.3", "reason", "killed", "detail", "the policy that was loaded does not admit its client"); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			}
		}
		for i, c := range goes {
			if err := talk(c); (err != nil) != ends {
				t.Errorf("%s: session %d: %v, want that it ends: %v", when, i, err, ends)
			}
		}
	}
	stays, goes := begin("127.0.0.2"), begin("127.0.0.3")
	turn(text("", one))
	does("1 of them has a client that the policy does not admit", "plan")
	does("reloaded", "reload")
	check("a plain reload", goes, false)
	does("1 session has ended, whose client the policy does not admit", "reload", "--end-disallowed")
	check("--end-disallowed", goes, true)
	check("--end-disallowed", stays, false)

	turn(text("", both))
	does("reloaded", "reload")
	goes = begin("127.0.0.3")
	does("1 session has ended, whose client the policy does not admit", "rollback", "--end-disallowed", "2") // the run that was narrowed
	check("rollback --end-disallowed", goes, true)
	check("rollback --end-disallowed", stays, false)

	turn(text("", both))
	does("reloaded", "reload")
	goes = begin("127.0.0.3")
	turn(text("  on_narrow = \"end\"\n", one))
	does("1 of them ends, whose client the policy does not admit", "plan")
	does("1 session has ended", "reload")
	check("on_narrow", goes, true)
	check("on_narrow", stays, false)
}

package root

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// tcpmux serves one with services behind it, and one that did not opt in.
func tcpmux(t *testing.T) (b *rig.Broker, mux, direct string) {
	t.Helper()
	mux, direct = rig.Port(t), rig.Port(t)
	cat := func(name, listen, user, list string) string {
		return fmt.Sprintf("service %q {\n  listen = [%s]\n  command = [\"/bin/cat\"]\n  user = %q\n  profile = profile.line\n  limit = limit.many\n  acl = acl.%s\n}\n", name, listen, user, list)
	}
	b = rig.Serve(t, head+fmt.Sprintf("service \"mux\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"tcpmux\"\n  acl = acl.anyone\n  limit = limit.many\n}\nlimit \"many\" {\n  concurrent = 100\n}\n", mux)+
		cat("cat", `"tcpmux:+cat"`, "nobody", "anyone")+cat("raw", `"tcpmux:Raw"`, "dynamic", "anyone")+
		cat("closed", `"tcpmux:+closed"`, "nobody", "nobody")+cat("hidden", `"tcp://127.0.0.1:`+direct+`"`, "nobody", "anyone"))
	return b, mux, direct
}

// open asks a tcpmux for a service and leaves the connection open.
func open(t *testing.T, port, line string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func reads(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got, err := r.ReadString('\n'); err != nil || got != want {
		t.Errorf("the client read %q (%v), want %q", got, err, want)
	}
}

// TestTcpmux (RFC 1078): a client that names a service has it as if it had come to a port of that,
// with everything that it has sent behind the name.
func TestTcpmux(t *testing.T) {
	rig.Root(t)
	b, port, _ := tcpmux(t)
	c, r := open(t, port, "CAT\r\nmarco\n")
	reads(t, r, "+Go\r\n")
	reads(t, r, "marco\n")
	me := fmt.Sprint(c.LocalAddr().(*net.TCPAddr).Port)
	_ = c.CloseWrite()
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		t.Errorf("behind its end the client read %q (%v)", rest, err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "cat", "client_port", me, "reason", "exit"); err != nil {
		t.Error(err)
	}
	c, r = open(t, port, "raw\r\n")
	if _, err := io.WriteString(c, "polo\n"); err != nil {
		t.Fatal(err)
	}
	reads(t, r, "polo\n") // the + is its program's to say
	for range 50 {        // many that come and go leave nothing behind
		c, r := open(t, port, "cat\r\nagain\n")
		reads(t, r, "+Go\r\n")
		reads(t, r, "again\n")
		c.Close()
	}
	if _, r = open(t, port, "closed\r\n"); true {
		rest, _ := io.ReadAll(r)
		if s := string(rest); s != "" && s != "+Go\r\n" {
			t.Errorf("whom nobody admits read %q", s)
		}
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "decision", "service", "closed", "verdict", "deny", "reason", "acl"); err != nil {
		t.Error(err)
	}
}

// TestTcpmuxRunsAsItsUser (CVE-2013-4342: services behind xinetd's tcpmux ran as root): a session
// behind tcpmux has the user and the layers of its service, and no process that reads for it is root's.
func TestTcpmuxRunsAsItsUser(t *testing.T) {
	rig.Root(t)
	b, port, _ := tcpmux(t)
	for _, name := range []string{"cat", "raw"} {
		c, r := open(t, port, name+"\r\nhere\n")
		if name == "cat" {
			reads(t, r, "+Go\r\n")
		}
		reads(t, r, "here\n")
		s := session(t, b, name)
		if s.UID == 0 || name == "cat" && s.UID != 65534 {
			t.Errorf("%s runs as %d", name, s.UID)
		}
		confined(t, b, s, leaves{})
		c.Close()
	}
	s := session(t, b, "mux")
	if s.UID == 0 {
		t.Error("the worker that reads names runs as root")
	}
	confined(t, b, s, leaves{})
}

// TestTcpmuxHidesOthers (CVE-2012-0862: enabling tcpmux exposed every service): only names that
// opted in are known, and told.
func TestTcpmuxHidesOthers(t *testing.T) {
	bin := rig.Root(t)
	b, port, direct := tcpmux(t)
	exchange(t, direct, "it is there\n", "it is there\n")
	for line, want := range map[string]string{
		"hidden\r\n": "-There is no such service\r\n", "mux\r\n": "-There is no such service\r\n", direct + "\r\n": "-There is no such service\r\n",
		"help\r\n": "cat\r\nclosed\r\nraw\r\n", strings.Repeat("x", 5000): "-The name is too long\r\n",
	} {
		if got, err := rig.Exchange(port, line); err != nil || got != want {
			t.Errorf("to %.20q it answered %q (%v), want %q", line, got, err, want)
		}
	}
	if out := must(t, filepath.Join(bin, "casemate"), "status", "--control", b.Control); !regexp.MustCompile(`(?m)^closed +tcpmux:\+closed +listening `).MatchString(out) {
		t.Errorf("status has not what is behind tcpmux alone:\n%s", out)
	}
	if s, err := b.Service("hidden"); err != nil || s.Admitted != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestTcpmuxEntries: an inetd.conf with its tcpmux is served as it stands.
func TestTcpmuxEntries(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	rig.ServeWith(t, rig.Options{Files: map[string]string{
		"inetd.conf":  "tcpmux stream tcp nowait root internal\ntcpmux/+Date stream tcp nowait nobody /bin/echo echo today\n",
		"test.cm.hcl": "policy { edition = 1 }\ninetd {\n  acl = acl.localhost\n}\nservice \"mux\" {\n  extends = \"tcpmux/tcp\"\n  listen = [\"tcp://127.0.0.1:" + port + "\"]\n}\n"}})
	if got, err := rig.Exchange(port, "date\r\n"); err != nil || got != "+Go\r\ntoday\n" {
		t.Errorf("it answered %q (%v)", got, err)
	}
}

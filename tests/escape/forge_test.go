package escape

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"casemate/tests/root/rig"
)

// TestLogIsNotForged: neither what a service writes to stderr nor the name of a
// client's socket makes a record, breaks a line or reaches a terminal
// (attempt 69).
func TestLogIsNotForged(t *testing.T) {
	rig.Root(t)
	victim, port, dir := compileVictim(t), rig.Port(t), rig.PublicDir(t)
	sock := filepath.Join(dir, "sock")
	text := serviceText("victim", port, victim, "  base = profile.server\n  init = false")
	text = strings.Replace(text, "listen = [", "socket {\n    mode = \"0666\"\n  }\n  listen = [\"unix:"+sock+"\", ", 1)
	text = strings.Replace(text, "acl.localhost", "acl.anyone", 1)
	b := rig.Serve(t, policyHead+text)
	if o := inside(t, port, "forge"); o.result != "ok" {
		t.Fatalf("forge: %s", o)
	}
	const name = "@x\n{\"msg\":\"decision\",\"service\":\"forged\"}\r\x1b[31m"
	c, err := net.DialUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}, &net.UnixAddr{Name: sock, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write([]byte("identity\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 100)); n == 0 {
		t.Fatalf("over the unix socket: %v", err)
	}
	if _, err := b.Await(2, 30*time.Second, "msg", "session", "service", "victim"); err != nil {
		t.Fatal(err)
	}
	lines, err := b.Await(5, 30*time.Second, "msg", "stderr", "service", "victim")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.Find("service", "forged"); err != nil || len(n) > 0 {
		t.Errorf("forged records: %v (%v)", n, err)
	}
	if n, err := b.Find("msg", "decision"); err != nil || len(n) != 2 {
		t.Errorf("%d decisions for two connections (%v)", len(n), err)
	}
	raw, err := os.ReadFile(b.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(raw) {
		t.Error("the log is no UTF-8")
	}
	for _, r := range string(raw) {
		if r != '\n' && (unicode.IsControl(r) || r == '\u2028' || r == '\u202e') {
			t.Errorf("the log holds %U", r)
		}
	}
	for _, l := range lines {
		if n := len(l.Str("text")); n > 16<<10 {
			t.Errorf("a line of %d bytes was logged whole", n)
		}
		for _, r := range l.Str("text") { // also once it is decoded for a terminal
			if unicode.IsControl(r) && r != '\t' {
				t.Errorf("a record's text holds %U: %q", r, l.Str("text"))
				break
			}
		}
	}
	t.Logf("%d lines of stderr, the first %q", len(lines), lines[0].Str("text"))
}

package root

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// injected is what no line of a log may carry: a record of its own, controls of terminals and of
// C1, directions of text, separators of lines, a NUL, and bytes that are no UTF-8.
const injected = "a\r\n{\"msg\":\"decision\",\"service\":\"forged\"}\x1b[31m\x1b]0;t\x07\x00\u0085\u009b31m\u2028\u202e\u2066\u200b\ufeff\x7f\xff\xc2end"

// TestLogInjection (the audit of xinetd 2.3.0, and others): wherever a client or a service has a
// word, the log stays whole: a record for each thing that happened, no line that it did
// not begin, nothing that moves a terminal.
func TestLogInjection(t *testing.T) {
	rig.Root(t)
	logNeeds(t)
	stderr, syslog, mux, auth, sock := rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t), filepath.Join(t.TempDir(), "sock")
	b := rig.Serve(t, head+logs("line", "")+
		service("stderr", "tcp://127.0.0.1:"+stderr, []string{"/bin/sh", "-c", "cat >&2; echo ok"}, "profile = profile.server")+
		service("syslog", "tcp://127.0.0.1:"+syslog, []string{rig.Compile(t, "testdata/syslog.c")}, "profile = profile.linelog")+
		service("unix", "unix:"+sock, []string{"/bin/echo", "ok"}, "profile = profile.line", "acl = acl.anyone")+
		fmt.Sprintf("service \"mux\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"tcpmux\"\n  acl = acl.loopback\n}\n", mux)+
		service("behind", "tcpmux:+behind", []string{"/bin/echo", "ok"}, "profile = profile.line")+
		fmt.Sprintf("service \"auth\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"auth\"\n  acl = acl.loopback\n}\n", auth))
	line := strings.NewReplacer("\r", "", "\n", "").Replace(injected) // to whom reads a line
	exchange(t, stderr, injected+"\n", "ok\n")
	exchange(t, syslog, strings.ReplaceAll(line, "\x00", "")+"\n", "ok\n")
	if got, err := rig.Exchange(mux, line+"\r\n"); err != nil || !strings.HasPrefix(got, "-") {
		t.Errorf("tcpmux: %q, %v", got, err)
	}
	if got, err := rig.Exchange(auth, line+", 1\r\n"); err != nil || !strings.Contains(got, "INVALID-PORT") {
		t.Errorf("auth: %q, %v", got, err)
	}
	c, err := net.DialUnix("unix", &net.UnixAddr{Name: "@" + line, Net: "unix"}, &net.UnixAddr{Name: sock, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readSome(c); err != nil || got != "ok\n" {
		t.Errorf("over the unix socket: %q, %v", got, err)
	}
	c.Close()
	for _, s := range []string{"stderr", "syslog", "unix", "mux", "auth"} { // all has been said
		if s == "mux" || s == "auth" { // of a built-in's clients the record is its worker's
			_, err = b.Await(1, 30*time.Second, "msg", "decision", "service", s)
		} else {
			_, err = b.Await(1, 30*time.Second, "msg", "session", "service", s)
		}
		if err != nil {
			t.Error(err)
		}
	}
	for _, msg := range []string{"stderr", "syslog"} {
		if _, err := b.Await(1, 30*time.Second, "msg", msg, "service", msg); err != nil {
			t.Error(err)
		}
	}
	if forged, err := b.Find("service", "forged"); err != nil || len(forged) > 0 {
		t.Errorf("forged: %v, %v", forged, err)
	}
	printable(t, b)
}

// printable expects a log that moves no terminal, as it is and as its records' texts are once decoded.
func printable(t *testing.T, b *rig.Broker) {
	t.Helper()
	raw, err := os.ReadFile(b.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	bad := func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError
	}
	if i := strings.IndexFunc(strings.ReplaceAll(string(raw), "\n", ""), bad); i >= 0 || !utf8.Valid(raw) {
		t.Errorf("the log holds what it may not at %d: %.300q", i, raw[max(0, i-100):])
	}
	records, err := b.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		for key, v := range r {
			if s, ok := v.(string); ok && strings.ContainsFunc(s, bad) {
				t.Errorf("%s of a record is %q", key, s)
			}
		}
	}
}

// TestHostileFolder (old xinetd dumped its state through a link that anybody could plant in /tmp):
// a log and a control socket in a user's folder, where links lie in wait, are refused, and
// what these lead to stays as it was.
func TestHostileFolder(t *testing.T) {
	bin := rig.Root(t)
	const eve = 64903
	dir, precious := rig.PublicDir(t), filepath.Join(t.TempDir(), "precious")
	write(t, precious, "precious", 0o600)
	for _, name := range []string{"log", "control"} {
		if err := os.Symlink(precious, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(filepath.Join(dir, name), eve, eve); err != nil {
			t.Fatal(err)
		}
	}
	for name, own := range map[string]func() error{
		"its user's":           func() error { return os.Chown(dir, eve, eve) },
		"everybody's, as /tmp": func() error { return errors.Join(os.Chown(dir, 0, 0), os.Chmod(dir, 0o777|os.ModeSticky)) },
	} {
		if err := own(); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"log", "control"} {
			b, err := rig.Launch(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": head}, Args: []string{"--" + file, filepath.Join(dir, file)}})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Stop()
			if state, err := b.Ended(30 * time.Second); err != nil || state.ExitCode() != 1 || !strings.Contains(b.Stderr(), dir) {
				t.Errorf("%s in %s: ended with %v (%v) and said %q", file, name, state, err, b.Stderr())
			}
			if text, err := os.ReadFile(precious); err != nil || string(text) != "precious" {
				t.Errorf("%s in %s: the file that the link leads to holds %q (%v)", file, name, text, err)
			}
		}
	}
}

// TestCVE2026_24061_Login (and CVE-2026-28372): telnetd took USER="-f root" from its client to a
// login that ran as root. A daemon that does the same under the user and profile that
// services have gets no root: not by login, not by a set-user-id program, and it reads no
// folder of its client's choice. Outside, the latter two work, where /var/tmp is not nosuid.
func TestCVE2026_24061_Login(t *testing.T) {
	rig.Root(t)
	login := need.Programs(t, "login", "id", "setpriv")
	dir, port := rig.PublicDir(t), rig.Port(t)
	id, folder := filepath.Join(dir, "id"), filepath.Join(dir, "credentials")
	must(t, "cp", login[1], id)
	if err := os.Chmod(id, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "login.noauth"), "open sesame\n", 0o644)
	script := fmt.Sprintf(`read -r USER; read -r CREDENTIALS_DIRECTORY; export USER CREDENTIALS_DIRECTORY
echo "euid $(%s -u)"; cat "$CREDENTIALS_DIRECTORY/login.noauth"; echo 'echo "root $(id -u)"' | %s $USER 2>&1; echo end`, id, login[0])
	said := "-f root\n" + folder + "\n"
	rig.Serve(t, head+fmt.Sprintf("profile \"old\" {\n  base = profile.server\n  widens = [\"files\"]\n  files {\n    exec = [%q, %q]\n  }\n}\n", id, login[0])+
		service("old", "tcp://127.0.0.1:"+port, []string{"/bin/sh", "-c", script}, "profile = profile.old"))
	got, err := rig.Exchange(port, said)
	if err != nil || !strings.Contains(got, "end\n") || !regexp.MustCompile(`euid \d`).MatchString(got) {
		t.Fatalf("it said %q (%v)", got, err)
	}
	if strings.Contains(got, "euid 0") || strings.Contains(got, "root 0") || strings.Contains(got, "open sesame") {
		t.Errorf("a client became root, or read what it liked:\n%s", got)
	}
	control := exec.Command(login[2], "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", script)
	control.Stdin = strings.NewReader(said)
	out, err := control.CombinedOutput()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if nosuid := fs.Flags&unix.ST_NOSUID != 0; err != nil || !strings.Contains(string(out), "open sesame") || strings.Contains(string(out), "euid 0") == nosuid {
		t.Errorf("outside: %q, %v", out, err)
	}
	t.Logf("it said %q, and outside %q", got, out)
}

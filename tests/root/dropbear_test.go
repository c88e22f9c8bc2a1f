package root

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// ownUsers runs the calling test again with a copy of /etc over the host's, so that it may make users, and as often at
// once as anybody likes. It reports whether this is that second run.
func ownUsers(t *testing.T) bool {
	t.Helper()
	rig.Root(t)
	if !rig.Alone(t, 10*time.Minute) {
		return false
	}
	ownEtc(t)
	return true
}

// account makes a user in the test's own /etc (ownUsers), because a login needs one with a shell and a home.
func account(t *testing.T, name, home string) (uid int) {
	t.Helper()
	need.Programs(t, "useradd")
	must(t, "useradd", "--system", "--user-group", "--shell", "/bin/sh", "--home-dir", home, "--no-create-home", name)
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{home, filepath.Join(home, ".ssh")} {
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return uid
}

// login is a user's dropbear behind a broker, and what its client needs.
type login struct {
	b          *rig.Broker
	name, home string
	port       string
	uid        int
	options    []string // of ssh(1)
}

// dropbear serves logins of one user with a key. The daemon runs as the user who
// logs in: it never has root to give away. The test has users of its own (ownUsers).
func dropbear(t *testing.T) login {
	t.Helper()
	rig.Root(t)
	dropbear := need.Programs(t, "dropbear")[0]
	need.Programs(t, "dropbearkey", "ssh", "ssh-keygen")
	const name = "casemate-test"
	dir, port := rig.PublicDir(t), rig.Port(t)
	home, hostKey, key := filepath.Join(dir, "home"), filepath.Join(dir, "hostkey"), filepath.Join(t.TempDir(), "key")
	uid := account(t, name, home)
	must(t, "dropbearkey", "-t", "ed25519", "-f", hostKey)
	must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, ".ssh", "authorized_keys"), string(public), 0o600)
	for _, f := range []string{hostKey, filepath.Join(home, ".ssh", "authorized_keys")} {
		if err := os.Chown(f, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	b := rig.Serve(t, head+fmt.Sprintf(`
profile "ssh" {
  base   = profile.login
  widens = ["files"]
  files {
    read  = [%q, "/etc/passwd", "/etc/group", "/etc/shells", "/etc/nsswitch.conf"]
    write = [%q]
  }
}
`, hostKey, home)+service("ssh", "tcp://127.0.0.1:"+port, []string{dropbear, "-i", "-s", "-r", hostKey},
		fmt.Sprintf("user = %q", name), "profile = profile.ssh"))
	return login{b: b, name: name, home: home, port: port, uid: uid, options: []string{"-i", key, "-p", port,
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}}
}

// TestDropbear logs in with a real client and a key and runs a command.
func TestDropbear(t *testing.T) {
	if !ownUsers(t) {
		return
	}
	l := dropbear(t)
	out := must(t, "ssh", append(l.options, l.name+"@127.0.0.1", "id -u; echo made > made; cat made; ls /root /home 2>&1; true")...)
	if !strings.HasPrefix(out, fmt.Sprintf("%d\nmade\n", l.uid)) {
		t.Errorf("the command printed %q", out)
	}
	if strings.Contains(out, "authorized_keys") || !strings.Contains(out, "No such file") {
		t.Errorf("the session sees the host's homes: %q", out)
	}
	if made, err := os.ReadFile(filepath.Join(l.home, "made")); err != nil || string(made) != "made\n" {
		t.Errorf("the command left %q (%v) in the home", made, err)
	}
	if out, err := run(t, nil, "ssh", append(l.options, "root@127.0.0.1", "id")...); err == nil {
		t.Errorf("a login as root worked:\n%s", out)
	}
	watched(t, l.b, "ssh", l.port)
}

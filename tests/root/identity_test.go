package root

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestCVS checks a module out of a password server, which changes to the user
// that it already runs as before it serves anything, and gives up where that fails.
func TestCVS(t *testing.T) {
	rig.Root(t)
	cvs := need.Programs(t, "cvs")[0]
	dir, port := rig.PublicDir(t), rig.Port(t)
	repo, work := filepath.Join(dir, "repo"), t.TempDir()
	must(t, cvs, "-d", repo, "init")
	write(t, filepath.Join(repo, "CVSROOT", "passwd"), "anonymous::nobody\n", 0o644)
	write(t, filepath.Join(dir, "import", "file"), "versioned\n", 0o644)
	must(t, "sh", "-c", fmt.Sprintf("cd %s && %s -Q -d %s import -m first mod vendor release", filepath.Join(dir, "import"), cvs, repo))
	must(t, "chown", "-R", "nobody:nogroup", repo)
	b := rig.Serve(t, head+fmt.Sprintf(`
profile "cvs" {
  base   = profile.server
  widens = ["files"]
  files {
    read  = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"]
    write = [%q]
  }
}
`, repo)+service("cvs", "tcp://127.0.0.1:"+port, []string{cvs, "-f", "-T", "/tmp", "--allow-root=" + repo, "pserver"}, `user = "nobody"`, "profile = profile.cvs"))
	out, err := run(t, []string{"HOME=" + work, "CVS_PASSFILE=" + filepath.Join(work, "pass")}, "sh", "-c",
		fmt.Sprintf("cd %s && %s -Q -d :pserver:anonymous@127.0.0.1:%s%s checkout mod", work, cvs, port, repo))
	if err != nil {
		t.Fatalf("checkout: %v\n%s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(work, "mod", "file")); err != nil || string(got) != "versioned\n" {
		t.Errorf("the module holds %q (%v)", got, err)
	}
	watched(t, b, "cvs", port)
}

// TestSshdTerminal logs in on a terminal through OpenSSH's server. It sets the ids
// that it has, and asks libaudit to record the login: whatever but "no audit" ends it.
func TestSshdTerminal(t *testing.T) {
	rig.Root(t)
	sshd := need.Programs(t, "sshd")[0]
	need.Programs(t, "ssh", "ssh-keygen")
	if !ownUsers(t) {
		return
	}
	const name = "casemate-sshd"
	dir, port := rig.PublicDir(t), rig.Port(t)
	home, hostKey, key := filepath.Join(dir, "home"), filepath.Join(dir, "hostkey"), filepath.Join(t.TempDir(), "key")
	uid := account(t, name, home)
	must(t, "usermod", "-p", "*", name) // "!" is a locked account, to sshd for keys as well
	for _, k := range []string{hostKey, key} {
		must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", k)
	}
	must(t, "cp", key+".pub", filepath.Join(home, ".ssh", "authorized_keys"))
	for _, f := range []string{hostKey, filepath.Join(home, ".ssh", "authorized_keys")} {
		if err := os.Chown(f, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	b := rig.Serve(t, head+fmt.Sprintf(`
profile "sshd_own" {
  base   = profile.login
  widens = ["files", "network", "syscalls"]
  network { mode = "listener" }
  files {
    read  = [%q, "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"]
    write = [%q]
  }
  syscalls { allow = ["@fd-passing"] } # its monitor passes the terminal on
}
`, hostKey, home)+service("sshd", "tcp://127.0.0.1:"+port, []string{sshd, "-i", "-e", "-f", "/dev/null", "-h", hostKey, "-o", "UsePAM=no", "-o", "StrictModes=no"},
		fmt.Sprintf("user = %q", name), "profile = profile.sshd_own"))
	l := login{b: b, name: name, options: []string{"-i", key, "-p", port,
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}}
	s := l.interact(t, "tty; id -u; echo done")
	if got := s.until(t, "done"); got != fmt.Sprintf("/dev/pts/0\n%d\n", uid) {
		t.Errorf("the session printed %q", got)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the session ended with %v", err)
	}
}

// TestPAM reads a mailbox through popa3d, as root with no more than it takes to change its user. PAM asks
// libaudit to record the login, and refuses it over whatever is not "no audit".
func TestPAM(t *testing.T) {
	rig.Root(t)
	popa3d := need.Programs(t, "popa3d")[0]
	need.Programs(t, "chpasswd")
	if !ownUsers(t) {
		return
	}
	const name = "casemate-mail"
	dir, port := rig.PublicDir(t), rig.Port(t)
	uid := account(t, name, filepath.Join(dir, "home"))
	must(t, "sh", "-c", "echo "+name+":open-sesame | chpasswd")
	privately(t, "/var/mail")
	box := filepath.Join("/var/mail", name)
	write(t, box, "From a@example.org Thu Jan  1 00:00:00 1970\nSubject: hello\n\nbody\n\n", 0o600)
	if err := os.Chown(box, uid, -1); err != nil {
		t.Fatal(err)
	}
	rig.Serve(t, head+`
profile "mail" {
  base         = profile.server
  widens       = ["capabilities", "files", "syscalls"]
  because      = "it becomes the user whose mail it shows"
  capabilities = ["CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
  files {
    read  = ["/etc/group", "/etc/nsswitch.conf", "/etc/pam.d", "/etc/passwd", "/etc/security", "/etc/shadow", "/var/lib/popa3d"]
    write = ["/var/mail"]
  }
  syscalls { allow = ["chroot"] }
}
`+service("pop3", "tcp://127.0.0.1:"+port, []string{popa3d}, `user = "root"`, "profile = profile.mail"))
	c := connect(t, port)
	from, said := bufio.NewReader(c), []string{}
	for _, send := range []string{"", "USER " + name, "PASS open-sesame", "STAT", "QUIT"} {
		if send != "" {
			if _, err := c.Write([]byte(send + "\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		line, err := from.ReadString('\n')
		if said = append(said, line); err != nil {
			t.Fatalf("the dialogue was %q (%v)", said, err)
		}
	}
	if !strings.HasPrefix(said[3], "+OK 1 ") {
		t.Errorf("the dialogue was %q", said)
	}
}

// TestOwnIdentity sets, under every shipped profile of several programs, the ids that a service has, and
// others: the kernel allows the first and nothing else, and the tie to the broker stays.
func TestOwnIdentity(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "perl", "nc")
	port := rig.Port(t)
	rig.Serve(t, head+service("ids", "tcp://127.0.0.1:"+port, []string{"/usr/bin/perl", "-e", `
		my ($u, $g) = ($<, $( + 0); my $s = "";
		for ([105, $u], [106, $g], [113, $u, $u], [114, $g, $g], [117, $u, $u, $u], [119, $g, $g, $g],
		     [105, 0], [106, 0], [117, 0, 0, 0], [119, -1, 0, -1], [105, 65534], [116, 0, 0]) {
			my ($nr, @a) = @$_; $s .= (syscall($nr, @a) == 0 ? "ok " : "$!{EPERM} " =~ /^0/ ? "? " : "no ");
		}
		my $sig = pack("i", 0); syscall(157, 2, $sig); print $s, unpack("i", $sig), "\n";
	`}, "profile = profile.server"))
	out, err := exec.Command("sh", "-c", "timeout 20 nc -N 127.0.0.1 "+port+" </dev/null").Output()
	if want := strings.Repeat("ok ", 6) + strings.Repeat("no ", 5) + "no "; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("got %q (%v), want %q", out, err, want)
	}
}

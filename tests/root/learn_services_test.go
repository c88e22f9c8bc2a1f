package root

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

func TestLearnMicroHTTPD(t *testing.T) {
	rig.Root(t)
	httpd := need.Programs(t, "micro-httpd", "curl")[0]
	dir := rig.PublicDir(t)
	write(t, filepath.Join(dir, "www", "index.html"), "<p>casemate</p>\n", 0o644)
	learned(t, &lesson{site: dir, command: []string{httpd, filepath.Join(dir, "www")}, base: "line", shipped: "www", lacks: []string{"/etc", "syscalls"},
		clients: []string{`curl -fsS http://$HOST:$PORT/index.html | grep -q casemate`}})
}

func TestLearnRsync(t *testing.T) {
	rig.Root(t)
	rsync := need.Programs(t, "rsync")[0]
	dir := rig.PublicDir(t)
	tree(t, filepath.Join(dir, "pub"))
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o777); err != nil {
		t.Fatal(err)
	}
	must(t, "chmod", "777", filepath.Join(dir, "in"))
	conf := filepath.Join(dir, "rsyncd.conf")
	write(t, conf, fmt.Sprintf("use chroot = no\nreverse lookup = no\n[pub]\npath = %[1]s/pub\nread only = yes\n[in]\npath = %[1]s/in\nread only = no\n", dir), 0o644)
	learned(t, &lesson{site: dir, shipped: "rsync", command: []string{rsync, "--daemon", "--config=" + conf}, lacks: []string{"/etc/", "mode =", "sockets", `"` + dir + `"`},
		clients: []string{"rsync -a rsync://$HOST:$PORT/pub/ $SCRATCH/ && diff -r " + dir + "/pub $SCRATCH", "rsync -rt " + dir + "/pub/ rsync://$HOST:$PORT/in/$(basename $SCRATCH)/"}})
}

func TestLearnGit(t *testing.T) {
	rig.Root(t)
	git := need.Programs(t, "git")[0]
	dir := rig.PublicDir(t)
	work, bare := filepath.Join(t.TempDir(), "work"), filepath.Join(dir, "project.git")
	must(t, "git", "init", "-q", "-b", "main", work)
	write(t, filepath.Join(work, "file"), "content\n", 0o644)
	must(t, "git", "-C", work, "add", "file")
	must(t, "git", "-C", work, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first")
	must(t, "git", "clone", "-q", "--bare", work, bare)
	must(t, "chmod", "-R", "a+rX", dir)
	learned(t, &lesson{site: dir, command: []string{git, "-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--base-path=" + dir, dir}, env: map[string]string{"HOME": "/tmp"}, shipped: "repositories",
		lacks: []string{"/etc/", "network"}, clients: []string{"git clone -q git://$HOST:$PORT/project.git $SCRATCH/x && test -s $SCRATCH/x/file"}})
}

func TestLearnTFTP(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "tftp")
	tftpd := need.Programs(t, "in.tftpd")[0]
	dir := rig.PublicDir(t)
	boot := filepath.Join(dir, "boot")
	write(t, filepath.Join(boot, "image"), strings.Repeat("boot image ", 1000), 0o644)
	learned(t, &lesson{site: dir, command: []string{tftpd, "-t", "10", "-u", "nobody", boot}, listen: "udp-wait", user: "nobody", base: "line", shipped: "tftp", lacks: []string{"@socket-server", "pty", "write"},
		clients: []string{"timeout 2 tftp -m binary $HOST $PORT -c get " + boot + "/image $SCRATCH/image && cmp " + boot + "/image $SCRATCH/image"}})
}

func TestLearnCVS(t *testing.T) {
	rig.Root(t)
	cvs := need.Programs(t, "cvs")[0]
	dir := rig.PublicDir(t)
	repo := filepath.Join(dir, "repo")
	must(t, cvs, "-d", repo, "init")
	write(t, filepath.Join(repo, "CVSROOT", "passwd"), "anonymous::nobody\n", 0o644)
	write(t, filepath.Join(dir, "import", "file"), "versioned\n", 0o644)
	must(t, "sh", "-c", fmt.Sprintf("cd %s && %s -Q -d %s import -m first mod vendor release", filepath.Join(dir, "import"), cvs, repo))
	must(t, "chown", "-R", "nobody:nogroup", repo)
	learned(t, &lesson{site: dir, shipped: "classic", command: []string{cvs, "-f", "-T", "/tmp", "--allow-root=" + repo, "pserver"}, user: "nobody", lacks: []string{"network"},
		clients: []string{"cd $SCRATCH && HOME=$SCRATCH CVS_PASSFILE=$SCRATCH/pass timeout 5 " + cvs + " -Q -d :pserver:anonymous@$HOST:$PORT" + repo + " checkout mod && test -s mod/file"}})
}

// TestLearnPOP learns a root service that changes its user and its root: which capabilities
// it takes is found out by the clients that fail without.
func TestLearnPOP(t *testing.T) {
	rig.Root(t)
	popa3d := need.Programs(t, "popa3d", "curl")[0]
	need.Programs(t, "chpasswd")
	if !ownUsers(t) {
		return
	}
	const name = "casemate-pop"
	dir := rig.PublicDir(t)
	uid := account(t, name, filepath.Join(dir, "home"))
	must(t, "sh", "-c", "echo "+name+":open-sesame | chpasswd")
	privately(t, "/var/mail")
	box := filepath.Join("/var/mail", name)
	write(t, box, "From a@example.org Thu Jan  1 00:00:00 1970\nSubject: hello\n\nbody\n\n", 0o600)
	if err := os.Chown(box, uid, -1); err != nil {
		t.Fatal(err)
	}
	learned(t, &lesson{site: dir, shipped: "classic_login", command: []string{popa3d}, user: "root", extra: []string{`because = "it becomes the user whose mail it shows"`}, lacks: []string{"CAP_DAC_OVERRIDE", "pty", `"/etc"`},
		clients: []string{"curl -fsS -m 5 pop3://" + name + ":open-sesame@$HOST:$PORT/1 | grep -q body"}})
}

func TestLearnDropbear(t *testing.T) {
	rig.Root(t)
	dropbear := need.Programs(t, "dropbear")[0]
	need.Programs(t, "dropbearkey", "ssh", "ssh-keygen")
	if !ownUsers(t) {
		return
	}
	const name = "casemate-learn"
	dir := rig.PublicDir(t)
	home, hostKey, key := filepath.Join(dir, "home"), filepath.Join(dir, "hostkey"), filepath.Join(t.TempDir(), "key")
	uid := account(t, name, home)
	must(t, "dropbearkey", "-t", "ed25519", "-f", hostKey)
	must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	must(t, "cp", key+".pub", filepath.Join(home, ".ssh", "authorized_keys"))
	for _, f := range []string{hostKey, filepath.Join(home, ".ssh", "authorized_keys")} {
		if err := os.Chown(f, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	ssh := "timeout 10 ssh -i " + key + " -p $PORT -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR " + name + "@$HOST"
	learned(t, &lesson{site: dir, command: []string{dropbear, "-i", "-s", "-r", hostKey}, user: name, status: "1", shipped: "ssh", lacks: []string{"network", `"` + home + `"`},
		clients: []string{ssh + " 'id -u' | grep -qx " + fmt.Sprint(uid)}})
}

// TestLearnSshd learns a daemon whose monitor passes descriptors, with a terminal.
func TestLearnSshd(t *testing.T) {
	rig.Root(t)
	sshd := need.Programs(t, "sshd")[0]
	need.Programs(t, "ssh", "ssh-keygen")
	if !ownUsers(t) {
		return
	}
	const name = "casemate-sshl"
	dir := rig.PublicDir(t)
	home, hostKey, key := filepath.Join(dir, "home"), filepath.Join(dir, "hostkey"), filepath.Join(t.TempDir(), "key")
	uid := account(t, name, home)
	must(t, "usermod", "-p", "*", name)
	for _, k := range []string{hostKey, key} {
		must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", k)
	}
	must(t, "cp", key+".pub", filepath.Join(home, ".ssh", "authorized_keys"))
	for _, f := range []string{hostKey, filepath.Join(home, ".ssh", "authorized_keys")} {
		if err := os.Chown(f, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	ssh := "timeout 10 ssh -tt -i " + key + " -p $PORT -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR " + name + "@$HOST"
	learned(t, &lesson{site: dir, shipped: "sshd", command: []string{sshd, "-i", "-e", "-f", "/dev/null", "-h", hostKey, "-o", "UsePAM=no", "-o", "StrictModes=no"}, user: name, status: "255",
		clients: []string{ssh + " 'tty; id -u' | grep -q ^/dev/pts/"}})
}

// TestLearnBusyboxHTTPD: a static program is learnt on the narrowest base.
func TestLearnBusyboxHTTPD(t *testing.T) {
	rig.Root(t)
	busybox := need.Programs(t, "busybox", "curl")[0]
	dir := rig.PublicDir(t)
	write(t, filepath.Join(dir, "index.html"), "<p>casemate</p>\n", 0o644)
	learned(t, &lesson{site: dir, shipped: "www", command: []string{busybox, "httpd", "-i", "-h", dir}, base: "strict", lacks: []string{"/etc", "@file-read", "/lib"},
		clients: []string{`curl -fsS http://$HOST:$PORT/index.html | grep casemate`}})
}

// TestLearnTelnetd learns a daemon that gives a terminal, by a client that types. It asks for job control, without which
// a shell sometimes goes on and sometimes ends.
func TestLearnTelnetd(t *testing.T) {
	rig.Root(t)
	busybox := need.Programs(t, "busybox", "bash")[0]
	dir := rig.PublicDir(t)
	client := filepath.Join(dir, "client")
	write(t, client, `exec 3<>/dev/tcp/$HOST/$PORT || exit 1
for i in {1..20}; do
  echo 'case $- in *m*) echo mar""ker;; esac' >&3
  while true; do
    IFS= read -r -t 0.2 line <&3
    status=$?
    case $line in *marker$'\r') exit 0;; esac
    [ $status -gt 128 ] && break
    [ $status = 0 ] || exit 2 # it has ended
  done
done
exit 3
`, 0o644)
	learned(t, &lesson{site: dir, shipped: "login", command: []string{busybox, "telnetd", "-i", "-K", "-l", "/bin/sh"}, user: "nobody", status: "1", lacks: []string{"network", "capabilities", "write"}, clients: []string{"bash " + client}})
}

// TestLearnShell learns a script with its helpers, with a client that every host has.
func TestLearnShell(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "bash")
	dir := rig.PublicDir(t)
	script, notes := filepath.Join(dir, "greet"), filepath.Join(dir, "notes")
	write(t, notes, "remember\n", 0o644)
	write(t, script, "#!/bin/sh\nread -r name\necho hello $name\nsort "+notes+"\ndate +%Y >/tmp/year && cat /tmp/year\n", 0o755)
	learned(t, &lesson{site: dir, shipped: "server", command: []string{script}, base: "shell", lacks: []string{"/etc/", "network"},
		clients: []string{"bash -c 'exec 3<>/dev/tcp/$HOST/$PORT; echo joe >&3; timeout 30 cat <&3 >$SCRATCH/out'; grep -q 'hello joe' $SCRATCH/out && grep -q remember $SCRATCH/out && grep -q ^20 $SCRATCH/out"}})
}

// TestLearnGitPush learns a repository that is written.
func TestLearnGitPush(t *testing.T) {
	rig.Root(t)
	git := need.Programs(t, "git")[0]
	dir := rig.PublicDir(t)
	work, bare := filepath.Join(dir, "work"), filepath.Join(dir, "project.git")
	must(t, "git", "init", "-q", "-b", "main", work)
	write(t, filepath.Join(work, "file"), "content\n", 0o644)
	must(t, "git", "-C", work, "add", "file")
	must(t, "git", "-C", work, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first")
	must(t, "git", "clone", "-q", "--bare", work, bare)
	must(t, "chown", "-R", "nobody:nogroup", bare)
	learned(t, &lesson{site: dir, shipped: "repositories", command: []string{git, "daemon", "--inetd", "--export-all", "--enable=receive-pack", "--base-path=" + dir, dir}, user: "nobody", env: map[string]string{"HOME": "/tmp"},
		lacks:   []string{"/etc/", "network"},
		clients: []string{"git clone -q git://$HOST:$PORT/project.git $SCRATCH/x && cd $SCRATCH/x && date +%N >new && git add new && git -c user.name=T -c user.email=t@example.org commit -q -m new && git push -q origin HEAD:refs/heads/b$(date +%s%N)"}})
}

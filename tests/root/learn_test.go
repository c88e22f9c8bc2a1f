package root

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// lesson is a service to learn.
type lesson struct {
	command []string // of the service, and of --command
	listen  string   // of --listen; "" is tcp
	user    string   // "" is dynamic
	clients []string // lines of sh, with $PORT
	env     map[string]string
	base    string   // that the profile has to stand on
	lacks   []string // words that the profile must not hold
	extra   []string // lines of the service when it is served
}

// learntProfile is `casemate learn -o json`.
type learntProfile struct {
	Profile, Base string
	Lines         []struct{ Attribute, Value, Without string }
	NotNeeded     []struct{ Attribute, Value string } `json:"not_needed"`
}

// learn runs casemate learn.
func learn(t *testing.T, l *lesson) *learntProfile {
	t.Helper()
	var quoted []string
	for _, w := range l.command {
		quoted = append(quoted, "'"+w+"'")
	}
	args := []string{"learn", "-o", "json", "--profile", "learnt", "--command", strings.Join(quoted, " ")}
	if l.listen != "" {
		args = append(args, "--listen", l.listen)
	}
	if l.user != "" {
		args = append(args, "--user", l.user)
	}
	for _, c := range l.clients {
		args = append(args, "--client", c)
	}
	for name, value := range l.env {
		args = append(args, "--env", name+"="+value)
	}
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	err := cmd.Run()
	t.Logf("learnt in %.1f s:\n%s", time.Since(began).Seconds(), said.String())
	if err != nil {
		t.Fatalf("learn: %v\n%s%s", err, out.String(), said.String())
	}
	got := new(learntProfile)
	if err := json.Unmarshal(out.Bytes(), got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	t.Logf("%s", got.Profile)
	return got
}

// evidenced are the lines of a profile that say what is missing without them, but for those
// that no profile can be without.
var evidenced = regexp.MustCompile(`(?m)^.*# .*; without it client .*$`)

// learned learns a service, serves it under the profile with its clients, and then without
// one of the profile's lines, each of a sample, and expects a client to fail.
func learned(t *testing.T, l *lesson) *learntProfile {
	t.Helper()
	rig.Root(t)
	need.Programs(t, "timeout")
	got := learn(t, l)
	if l.base != "" && got.Base != l.base {
		t.Errorf("it stands on %s, want %s", got.Base, l.base)
	}
	code := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(got.Profile, "")
	for _, w := range l.lacks {
		if strings.Contains(code, w) {
			t.Errorf("the profile grants %q:\n%s", w, code)
		}
	}
	network := "tcp4"
	extra := append([]string{"profile = profile.learnt"}, l.extra...)
	if l.listen == "udp-wait" {
		network, extra = "udp4", append(extra, "wait = true", "acl = acl.anyone", "limit = limit.wait")
	}
	if l.user != "" {
		extra = append(extra, fmt.Sprintf("user = %q", l.user))
	}
	if len(l.env) > 0 {
		env := ""
		for name, value := range l.env {
			env += fmt.Sprintf(" %q = %q,", name, value)
		}
		extra = append(extra, "env = {"+strings.TrimSuffix(env, ",")+" }")
	}
	port := rig.Port(t)
	text := func(profile string) string {
		return head + profile + service("taught", network+"://127.0.0.1:"+port, l.command, extra...)
	}
	b := rig.Serve(t, text(got.Profile))
	clients := func() (failed string) {
		for i, c := range l.clients {
			if out, err := run(t, []string{"PORT=" + port, "HOST=127.0.0.1", "SCRATCH=" + t.TempDir()}, "sh", "-c", c); err != nil {
				return fmt.Sprintf("client %d: %v: %s", i+1, err, out)
			}
		}
		return ""
	}
	if why := clients(); why != "" {
		t.Fatalf("under its profile: %s\n%s", why, got.Profile)
	}
	file := filepath.Join(b.Policy, "test.cm.hcl")
	if c, _, said := casemate(t, b, "check", file); c != 0 {
		t.Errorf("check exits with %d: %s", c, said)
	}
	for _, line := range sample(t, got) {
		if err := b.WritePolicy("test.cm.hcl", text(without(got.Profile, line))); err != nil {
			t.Fatal(err)
		}
		if c, _, said := casemate(t, b, "kill", "--service", "taught", "--now"); c == 1 {
			t.Fatal(said)
		}
		if c, _, said := casemate(t, b, "reload"); c != 0 {
			t.Fatalf("without %s: reload: %s", line, said)
		}
		if why := clients(); why == "" {
			t.Errorf("the clients are served without %s", line)
		}
	}
	return got
}

// sample gives some of the lines that have evidence, the base's if there are no others.
func sample(t *testing.T, p *learntProfile) []string {
	t.Helper()
	lines := evidenced.FindAllString(p.Profile, -1)
	if len(lines) == 0 {
		if lines = onBase.FindAllString(p.Profile, -1); len(lines) == 0 {
			t.Fatalf("no line has evidence:\n%s", p.Profile)
		}
	}
	return slices.Compact([]string{lines[0], lines[len(lines)-1]})
}

// onBase is the line of a base whose narrower one would not do.
var onBase = regexp.MustCompile(`(?m)^  base += profile\.\w+ # on profile\.(\w+) .*$`)

// without leaves a line out of a profile, and what it was in if that is empty then. In
// place of the base's it puts the narrower one.
func without(profile, line string) string {
	if onBase.MatchString(line) {
		return strings.Replace(profile, line, onBase.ReplaceAllString(line, "  base = profile.$1"), 1)
	}
	text := strings.Replace(profile, line+"\n", "", 1)
	for range 3 {
		text = regexp.MustCompile(`(?m)^ *[a-z]+ += \[\n *\]\n`).ReplaceAllString(text, "")
		text = regexp.MustCompile(`(?m)^ *[a-z]+ \{\n *\}\n`).ReplaceAllString(text, "")
	}
	layers := map[string]bool{}
	for word, layer := range map[string]string{"write": "files", "exec": "files", "proc": "files", "pty": "files", "log": "files", "allow": "syscalls", "rule": "syscalls", "mode": "network", "sockets": "network", "connect": "network", "capabilities": "capabilities"} {
		if regexp.MustCompile(`(?m)^ *` + word + ` `).MatchString(text) {
			layers[layer] = true
		}
	}
	var widens []string
	for _, l := range []string{"capabilities", "files", "network", "syscalls"} {
		if layers[l] {
			widens = append(widens, fmt.Sprintf("%q", l))
		}
	}
	return regexp.MustCompile(`(?m)^ *widens .*$`).ReplaceAllString(text, "  widens = ["+strings.Join(widens, ", ")+"]")
}

func TestLearnMicroHTTPD(t *testing.T) {
	rig.Root(t)
	httpd := need.Programs(t, "micro-httpd", "curl")[0]
	dir := rig.PublicDir(t)
	write(t, filepath.Join(dir, "www", "index.html"), "<p>casemate</p>\n", 0o644)
	learned(t, &lesson{command: []string{httpd, filepath.Join(dir, "www")}, base: "line", lacks: []string{"/etc", "syscalls"},
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
	// Of the shipped test's profile it has neither the accounts nor more of the folder.
	learned(t, &lesson{command: []string{rsync, "--daemon", "--config=" + conf}, lacks: []string{"/etc/", "network", `"` + dir + `"`},
		clients: []string{"rsync -a rsync://$HOST:$PORT/pub/ $SCRATCH/ && diff -r " + dir + "/pub $SCRATCH", "rsync -rt " + dir + "/pub/ rsync://$HOST:$PORT/in/$$/"}})
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
	learned(t, &lesson{command: []string{git, "-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--base-path=" + dir, dir}, env: map[string]string{"HOME": "/tmp"},
		lacks: []string{"/etc/", "network", "syscalls"}, clients: []string{"git clone -q git://$HOST:$PORT/project.git $SCRATCH/x && test -s $SCRATCH/x/file"}})
}

func TestLearnTFTP(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "tftp")
	tftpd := need.Programs(t, "in.tftpd")[0]
	dir := rig.PublicDir(t)
	boot := filepath.Join(dir, "boot")
	write(t, filepath.Join(boot, "image"), strings.Repeat("boot image ", 1000), 0o644)
	learned(t, &lesson{command: []string{tftpd, "-t", "10", "-u", "nobody", boot}, listen: "udp-wait", user: "nobody", lacks: []string{"@socket-server", "pty", "write"},
		clients: []string{"timeout 1 tftp -m binary $HOST $PORT -c get " + boot + "/image $SCRATCH/image && cmp " + boot + "/image $SCRATCH/image"}})
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
	learned(t, &lesson{command: []string{cvs, "-f", "-T", "/tmp", "--allow-root=" + repo, "pserver"}, user: "nobody", lacks: []string{"network"},
		clients: []string{"cd $SCRATCH && HOME=$SCRATCH CVS_PASSFILE=$SCRATCH/pass timeout 5 " + cvs + " -Q -d :pserver:anonymous@$HOST:$PORT" + repo + " checkout mod && test -s mod/file"}})
}

// TestLearnPOP learns a root service that changes its user and its root: which capabilities
// it takes is found out by the clients that fail without.
func TestLearnPOP(t *testing.T) {
	rig.Root(t)
	popa3d := need.Programs(t, "popa3d", "curl")[0]
	need.Programs(t, "chpasswd")
	const name = "casemate-pop"
	dir := rig.PublicDir(t)
	uid := account(t, name, filepath.Join(dir, "home"))
	must(t, "sh", "-c", "echo "+name+":open-sesame | chpasswd")
	box := filepath.Join("/var/mail", name)
	write(t, box, "From a@example.org Thu Jan  1 00:00:00 1970\nSubject: hello\n\nbody\n\n", 0o600)
	t.Cleanup(func() { _ = os.Remove(box) })
	if err := os.Chown(box, uid, -1); err != nil {
		t.Fatal(err)
	}
	learned(t, &lesson{command: []string{popa3d}, user: "root", extra: []string{`because = "it becomes the user whose mail it shows"`}, lacks: []string{"CAP_DAC_OVERRIDE", "pty", `"/etc"`},
		clients: []string{"curl -fsS -m 5 pop3://" + name + ":open-sesame@$HOST:$PORT/1 | grep -q body"}})
}

func TestLearnDropbear(t *testing.T) {
	rig.Root(t)
	dropbear := need.Programs(t, "dropbear")[0]
	need.Programs(t, "dropbearkey", "ssh", "ssh-keygen")
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
	learned(t, &lesson{command: []string{dropbear, "-i", "-s", "-r", hostKey}, user: name, lacks: []string{"network", `"` + home + `"`},
		clients: []string{ssh + " 'id -u' | grep -qx " + fmt.Sprint(uid)}})
}

// TestLearnSshd learns a daemon whose monitor passes descriptors, with a terminal.
func TestLearnSshd(t *testing.T) {
	rig.Root(t)
	sshd := need.Programs(t, "sshd")[0]
	need.Programs(t, "ssh", "ssh-keygen")
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
	learned(t, &lesson{command: []string{sshd, "-i", "-e", "-f", "/dev/null", "-h", hostKey, "-o", "UsePAM=no", "-o", "StrictModes=no"}, user: name,
		clients: []string{ssh + " 'tty; id -u' | grep -q ^/dev/pts/"}})
}

// TestLearnBusyboxHTTPD: a static program is learnt on the narrowest base.
func TestLearnBusyboxHTTPD(t *testing.T) {
	rig.Root(t)
	busybox := need.Programs(t, "busybox", "curl")[0]
	dir := rig.PublicDir(t)
	write(t, filepath.Join(dir, "index.html"), "<p>casemate</p>\n", 0o644)
	learned(t, &lesson{command: []string{busybox, "httpd", "-i", "-h", dir}, base: "strict", lacks: []string{"/etc", "@file-read", "/lib"},
		clients: []string{`curl -fsS http://$HOST:$PORT/index.html | grep casemate`}})
}

// TestLearnTelnetd learns a daemon that gives a terminal, by a client that types.
func TestLearnTelnetd(t *testing.T) {
	rig.Root(t)
	busybox := need.Programs(t, "busybox", "bash")[0]
	client := filepath.Join(rig.PublicDir(t), "client")
	write(t, client, `exec 3<>/dev/tcp/$HOST/$PORT || exit 1
for i in {1..20}; do
  echo 'echo mar""ker' >&3
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
	learned(t, &lesson{command: []string{busybox, "telnetd", "-i", "-K", "-l", "/bin/sh"}, user: "nobody", lacks: []string{"network", "capabilities", "write"}, base: "login", clients: []string{"bash " + client}})
}

// TestLearnShell learns a script with its helpers.
func TestLearnShell(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "nc")
	dir := rig.PublicDir(t)
	script, notes := filepath.Join(dir, "greet"), filepath.Join(dir, "notes")
	write(t, notes, "remember\n", 0o644)
	write(t, script, "#!/bin/sh\nread -r name\necho hello $name\nsort "+notes+"\ndate +%Y >/tmp/year && cat /tmp/year\n", 0o755)
	learned(t, &lesson{command: []string{script}, base: "server", lacks: []string{"/etc/", "network"},
		clients: []string{"echo joe | nc -N -w 5 $HOST $PORT >$SCRATCH/out; grep -q 'hello joe' $SCRATCH/out && grep -q remember $SCRATCH/out && grep -q ^20 $SCRATCH/out"}})
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
	learned(t, &lesson{command: []string{git, "daemon", "--inetd", "--export-all", "--enable=receive-pack", "--base-path=" + dir, dir}, user: "nobody", env: map[string]string{"HOME": "/tmp"},
		lacks:   []string{"/etc/", "network"},
		clients: []string{"git clone -q git://$HOST:$PORT/project.git $SCRATCH/x && cd $SCRATCH/x && date +%N >new && git add new && git -c user.name=T -c user.email=t@example.org commit -q -m new && git push -q origin HEAD:refs/heads/b$(date +%s%N)"}})
}

// TestLearnService learns from real sessions of a running service: by counting, with
// clients, and what it does not use.
func TestLearnService(t *testing.T) {
	rig.Root(t)
	httpd := need.Programs(t, "micro-httpd", "curl")[0]
	dir, port := rig.PublicDir(t), rig.Port(t)
	www, other := filepath.Join(dir, "www"), filepath.Join(dir, "other")
	write(t, filepath.Join(www, "index.html"), "<p>casemate</p>\n", 0o644)
	write(t, filepath.Join(www, "late.html"), "<p>late</p>\n", 0o644)
	write(t, filepath.Join(other, "x"), "x\n", 0o644)
	b := rig.Serve(t, head+fmt.Sprintf("\nprofile \"web\" {\n  base = profile.server\n  widens = [\"syscalls\"]\n  files { read = [%q, %q] }\n  syscalls { allow = [\"@watch\"] }\n}\n", www, other)+
		service("web", "tcp://127.0.0.1:"+port, []string{httpd, www}, "profile = profile.web"))
	get := func(page string) {
		t.Helper()
		if out := must(t, "curl", "-sS", "http://127.0.0.1:"+port+"/"+page); !strings.Contains(out, "<p>") {
			t.Errorf("curl got %q", out)
		}
	}
	follow := func(n int, page func(i int) string, args ...string) (int, string, string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), append([]string{"learn", "web", "-o", "json", "--control", b.Control}, args...)...)
		var out, said bytes.Buffer
		cmd.Stdout = &out
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		for !strings.Contains(said.String(), "waiting for connections") {
			k, err := pipe.Read(buf)
			said.Write(buf[:k])
			if err != nil {
				t.Fatalf("learn said %q (%v)", said.String(), err)
			}
		}
		for i := range n {
			get(page(i))
		}
		for {
			k, err := pipe.Read(buf)
			said.Write(buf[:k])
			if err != nil {
				break
			}
		}
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode(), out.String(), said.String()
	}
	index := func(int) string { return "index.html" }
	code, out, said := follow(4, index, "--connections", "2")
	got := new(learntProfile)
	if err := json.Unmarshal([]byte(out), got); code != 0 || err != nil {
		t.Fatalf("%d, %v: %s%s", code, err, out, said)
	}
	if got.Base != "line" || !strings.Contains(got.Profile, `"`+www+`/index.html"`) || strings.Contains(got.Profile, other) {
		t.Errorf("learnt by counting:\n%s", got.Profile)
	}
	code, out, said = follow(4, func(i int) string { return []string{"index.html", "index.html", "index.html", "late.html"}[i] }, "--connections", "2")
	if code != 3 || strings.Contains(out, "profile \\\"") || !strings.Contains(said, www+"/late.html") {
		t.Errorf("a later session used another file, and learn exits with %d: %s%s", code, out, said)
	}
	code, out, said = follow(2, func(i int) string { return []string{"index.html", "late.html"}[i] }, "--connections", "2", "--client", "curl -fsS http://$HOST:$PORT/index.html | grep -q casemate")
	got = new(learntProfile)
	if err := json.Unmarshal([]byte(out), got); code != 0 || err != nil {
		t.Fatalf("%d, %v: %s%s", code, err, out, said)
	}
	if got.Base != "line" || !strings.Contains(got.Profile, `"`+www+`/index.html"`) || !strings.Contains(got.Profile, `"`+www+`/late.html"`) {
		t.Errorf("learnt with a client:\n%s", got.Profile)
	}
	code, out, said = follow(2, index, "--connections", "2", "--tighten")
	if code != 0 || !strings.Contains(out, other) || strings.Contains(out, www) || !strings.Contains(out, `"@watch"`) || !strings.Contains(out, `"files.proc"`) || strings.Contains(out, `"@file-read"`) {
		t.Errorf("to tighten, learn exits with %d: %s%s", code, out, said)
	}
	get("index.html")
}

// TestLearnIsKilled: with casemate learn killed, what it has started is gone: its broker, and
// what that had started.
func TestLearnIsKilled(t *testing.T) {
	rig.Root(t)
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), "learn", "--command", "/bin/cat", "--client", "echo $PORT >"+filepath.Join(t.TempDir(), "port")+"; sleep 100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var below []int
	if err := rig.Until(30*time.Second, func() error {
		below = family(t, cmd.Process.Pid)[1:]
		names := ""
		for _, pid := range below {
			if s, err := rig.Status(pid); err == nil {
				names += s["Name"] + " "
			}
		}
		if !strings.Contains(names, "casemated") || !strings.Contains(names, "sleep") || !strings.Contains(names, "casemate-zygote") {
			return fmt.Errorf("it has started %s", names)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "casemate-learn-*"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	var kept []int
	for _, pid := range below { // the client's own child is its own affair
		if s, err := rig.Status(pid); err == nil && s["Name"] == "sleep" {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		kept = append(kept, pid)
	}
	if err := gone(30*time.Second, kept...); err != nil {
		t.Error(err)
	}
	for _, d := range dirs {
		_ = os.RemoveAll(d)
	}
}

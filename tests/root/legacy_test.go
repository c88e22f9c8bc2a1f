package root

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestLegacyHost serves examples/legacy-host as it is written, on its own ports
// and paths, and uses each service with its real client.
func TestLegacyHost(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "rsync", "git", "dropbear", "dropbearkey", "ssh", "ssh-keygen", "tftp", "in.tftpd", "micro-httpd", "curl", "nc")
	if !alone(t) {
		return
	}
	files := written(t, "legacy-host")
	legacyHost(t, files)
	b := rig.ServeWith(t, rig.Options{Files: files})
	t.Run("rsync", func(t *testing.T) { legacyRsync(t, b) })
	t.Run("git", func(t *testing.T) { legacyGit(t, b) })
	t.Run("ssh", func(t *testing.T) { legacySSH(t, b) })
	t.Run("tftp", func(t *testing.T) { legacyTFTP(t, b) })
	t.Run("http", func(t *testing.T) { legacyHTTP(t, b) })
	t.Run("finger", func(t *testing.T) { legacyFinger(t, b) })
}

// legacyHost makes the users, folders and files that the example asks for.
func legacyHost(t *testing.T, files map[string]string) {
	ownEtc(t)
	privately(t, "/srv")
	privately(t, "/home")
	for i, line := range []string{"rsync:x:%[1]d:%[1]d:rsync:/srv/rsync:/usr/sbin/nologin", "guest:x:%[1]d:%[1]d:A guest:/home/guest:/bin/sh"} {
		must(t, "sed", "-i", "/^"+line[:5]+":/d", "/etc/passwd", "/etc/group") // the host may have one of its own
		add(t, "/etc/passwd", fmt.Sprintf(line, 901+i))
		add(t, "/etc/group", fmt.Sprintf("%s:x:%d:", line[:5], 901+i))
	}
	owned(t, "/srv/rsync", 901, 0o755)
	owned(t, "/home/guest/.ssh", 902, 0o700)
	owned(t, "/home/guest", 902, 0o700)
	var conf strings.Builder
	for line := range strings.Lines(files["rsync.cm.hcl"]) {
		if text, ok := strings.CutPrefix(line, "#   "); ok {
			conf.WriteString(text)
		}
	}
	write(t, "/etc/rsyncd.conf", conf.String(), 0o644)
	tree(t, "/srv/www")
	owned(t, "/srv/git", 0, 0o755)
	if _, err := user.Lookup("tftp"); err != nil { // Debian's tftpd-hpa makes it
		add(t, "/etc/passwd", "tftp:x:903:903::/srv/tftp:/usr/sbin/nologin")
		add(t, "/etc/group", "tftp:x:903:")
	}
	owned(t, "/srv/tftp", id(t, "tftp"), 0o755)
	must(t, "mkdir", "-p", "/etc/dropbear")
	must(t, "dropbearkey", "-t", "ed25519", "-f", "/etc/dropbear/guest_key")
	if err := os.Chown("/etc/dropbear/guest_key", 902, 902); err != nil {
		t.Fatal(err)
	}
}

// owned makes a folder.
func owned(t *testing.T, path string, uid int, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
}

func id(t *testing.T, name string) (uid int) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(u.Uid, &uid); err != nil {
		t.Fatal(err)
	}
	return uid
}

func legacyRsync(t *testing.T, b *rig.Broker) {
	local := filepath.Join(t.TempDir(), "local")
	tree(t, local)
	must(t, "rsync", "-rt", local+"/", "rsync://127.0.0.1/files/copy/")
	must(t, "diff", "-r", local, "/srv/rsync/copy")
	pulled := filepath.Join(t.TempDir(), "pulled")
	must(t, "rsync", "-a", "rsync://127.0.0.1/files/copy/", pulled+"/")
	must(t, "diff", "-r", local, pulled)
	var st unix.Stat_t
	if err := unix.Stat("/srv/rsync/copy/hello.txt", &st); err != nil || st.Uid != 901 {
		t.Errorf("the pushed file belongs to uid %d (%v), want rsync's 901", st.Uid, err)
	}
	watched(t, b, "rsync", "873")
}

func legacyGit(t *testing.T, b *rig.Broker) {
	work := filepath.Join(t.TempDir(), "work")
	commit := []string{"-C", work, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m"}
	must(t, "git", "init", "-q", "-b", "main", work)
	write(t, filepath.Join(work, "file"), strings.Repeat("content\n", 100_000), 0o644)
	must(t, "git", "-C", work, "add", "file")
	must(t, "git", append(commit, "first")...)
	must(t, "git", "clone", "-q", "--bare", work, "/srv/git/project.git")
	clone, url := filepath.Join(t.TempDir(), "clone"), "git://127.0.0.1/project.git"
	must(t, "git", "clone", "-q", url, clone)
	must(t, "cmp", filepath.Join(work, "file"), filepath.Join(clone, "file"))
	must(t, "git", append(commit, "second")...)
	if out, err := run(t, nil, "git", "-C", work, "push", "-q", url, "main"); err == nil {
		t.Errorf("a push worked:\n%s", out)
	}
	watched(t, b, "git", "9418")
}

func legacySSH(t *testing.T, b *rig.Broker) {
	key := filepath.Join(t.TempDir(), "key")
	must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	must(t, "install", "-o", "902", "-g", "902", "-m", "600", key+".pub", "/home/guest/.ssh/authorized_keys")
	options := []string{"-i", key, "-p", "2222", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}
	out := must(t, "ssh", append(options, "guest@127.0.0.1", "id -un; pwd; echo made > made; cat made; ls /srv; true")...)
	if !strings.HasPrefix(out, "guest\n/home/guest\nmade\n") || strings.Contains(out, "rsync") {
		t.Errorf("the command printed %q", out)
	}
	shell := "echo 'echo shell $((6*7)); exit' | ssh -T " + strings.Join(options, " ") + " guest@127.0.0.1"
	if out = must(t, "sh", "-c", shell); !strings.HasSuffix(out, "shell 42\n") {
		t.Errorf("the shell printed %q", out)
	}
	if out = must(t, "ssh", append(append([]string{"-tt"}, options...), "guest@127.0.0.1", "tty")...); !strings.Contains(out, "/dev/pts/0\r\n") {
		t.Errorf("on a terminal, tty printed %q", out)
	}
	local, back := filepath.Join(t.TempDir(), "local"), filepath.Join(t.TempDir(), "back")
	write(t, local, strings.Repeat("copy ", 100_000), 0o644)
	scp := append([]string{"-O", "-q", "-P", "2222"}, append(options[:2:2], options[4:]...)...)
	must(t, "scp", append(scp, local, "guest@127.0.0.1:copied")...)
	must(t, "scp", append(scp, "guest@127.0.0.1:copied", back)...)
	must(t, "cmp", local, back)
	if out, err := run(t, nil, "ssh", append(options, "root@127.0.0.1", "id")...); err == nil {
		t.Errorf("a login as root worked:\n%s", out)
	}
	watched(t, b, "ssh", "2222")
}

func legacyTFTP(t *testing.T, b *rig.Broker) {
	heldHere(t, b, "tftp")
	image := strings.Repeat("boot image ", 10_000)
	write(t, "/srv/tftp/image", image, 0o644)
	got := filepath.Join(t.TempDir(), "image")
	must(t, "tftp", "-m", "binary", "127.0.0.1", "69", "-c", "get", "image", got)
	must(t, "cmp", "/srv/tftp/image", got)
	must(t, "tftp", "-m", "binary", "127.0.0.1", "69", "-c", "put", got, "upload")
	must(t, "cmp", got, "/srv/tftp/upload")
	must(t, "tftp", "-m", "binary", "127.0.0.1", "69", "-c", "get", "/../../etc/passwd", got)
	if text, _ := os.ReadFile(got); strings.Contains(string(text), "root:") {
		t.Error("tftp gave away /etc/passwd")
	}
	if s := session(t, b, "tftp"); s.PID == 0 {
		t.Error("the program that waits is not in the status")
	}
}

func legacyHTTP(t *testing.T, b *rig.Broker) {
	if out := must(t, "curl", "-sS", "http://127.0.0.1/hello.txt"); out != "hello\n" {
		t.Errorf("curl got %q", out)
	}
	got := filepath.Join(t.TempDir(), "large.bin")
	must(t, "curl", "-sS", "-o", got, "http://127.0.0.1/deep/large.bin")
	must(t, "cmp", "/srv/www/deep/large.bin", got)
	if out := must(t, "curl", "-sS", "http://127.0.0.1/"); !strings.Contains(out, "hello.txt") {
		t.Errorf("the index is %q", out)
	}
	if out, _ := run(t, nil, "curl", "-sS", "--path-as-is", "http://127.0.0.1/../../etc/passwd"); strings.Contains(out, "root:") {
		t.Errorf("curl got /etc/passwd: %q", out)
	}
	watched(t, b, "http", "80")
}

func legacyFinger(t *testing.T, b *rig.Broker) {
	for send, want := range map[string]string{
		"guest\r\n": "login: guest\r\nA guest\n", "guest\n": "", "nobody-at-all\r\n": "login: nobody-at-all\r\n",
		"$(id);`id`\r\n": "login: $(id);`id`\r\n", "-s files\r\n": "login: -s files\r\n",
	} {
		if got, err := rig.Exchange("79", send); err != nil || want != "" && got != want {
			t.Errorf("%q answered %q (%v), want %q", send, got, err, want)
		}
	}
	watched(t, b, "finger", "79")
}

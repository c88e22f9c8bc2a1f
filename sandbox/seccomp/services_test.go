package seccomp

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"casemate/tests/need"
)

// TestHTTP fetches a page from two classical servers, in the list for services
// that only read.
func TestHTTP(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("the page"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, argv := range map[string][]string{
		"busybox httpd": {need.Programs(t, "busybox")[0], "httpd", "-i", "-h", dir},
		"micro-httpd":   {need.Programs(t, "/usr/sbin/micro-httpd")[0], dir},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "busybox httpd" {
				need.Root(t, busyboxIDs)
			}
			addr := inetd(t, func() *exec.Cmd { return confined(t, []string{"@line"}, Kill, argv...) })
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(c, "GET /index.html HTTP/1.0\r\n\r\n")
			got, err := io.ReadAll(c)
			if !bytes.HasSuffix(got, []byte("the page")) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestRsync copies a tree from and to an rsync daemon that is started for the connection.
func TestRsync(t *testing.T) {
	need.Root(t, "rsync --daemon sets its groups")
	rsync := need.Programs(t, "rsync")[0]
	dir := t.TempDir()
	for _, d := range []string{"module", "copy"} {
		if err := os.MkdirAll(filepath.Join(dir, d, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "module/sub/file"), "content")
	conf := filepath.Join(dir, "rsyncd.conf")
	write(t, conf, "use chroot = no\nreverse lookup = no\n[m]\npath = "+dir+"/module\nread only = no\nuid = "+strconv.Itoa(os.Geteuid())+"\ngid = "+strconv.Itoa(os.Getegid())+"\n")
	addr := inetd(t, func() *exec.Cmd {
		return confined(t, []string{"@server", "@identity"}, Kill, rsync, "--daemon", "--config="+conf)
	})
	client(t, rsync, "-a", "rsync://"+addr+"/m/", dir+"/copy/")
	write(t, filepath.Join(dir, "copy/sub/new"), "pushed")
	client(t, rsync, "-aX", dir+"/copy/", "rsync://"+addr+"/m/")
	if got, err := os.ReadFile(filepath.Join(dir, "module/sub/new")); string(got) != "pushed" {
		t.Errorf("pushed file: %q, %v", got, err)
	}
}

// TestGitDaemon clones from git daemon, which starts git upload-pack.
func TestGitDaemon(t *testing.T) {
	git := need.Programs(t, "git")[0]
	dir := t.TempDir()
	client(t, git, "init", "-q", dir+"/repo")
	write(t, dir+"/repo/file", "content")
	client(t, git, "-C", dir+"/repo", "add", "file")
	client(t, git, "-C", dir+"/repo", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "one")
	addr := inetd(t, func() *exec.Cmd {
		cmd := confined(t, []string{"@server"}, Kill, git, "daemon", "--inetd", "--export-all", "--base-path="+dir, dir)
		cmd.Env = append(cmd.Env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
		return cmd
	})
	client(t, git, "clone", "-q", "git://"+addr+"/repo", dir+"/clone")
	if got, err := os.ReadFile(dir + "/clone/file"); string(got) != "content" {
		t.Errorf("cloned file: %q, %v", got, err)
	}
}

// TestTFTP asks a wait service, which opens sockets of its own: it needs a
// profile that widens the network.
func TestTFTP(t *testing.T) {
	tftpd := need.Programs(t, "/usr/sbin/in.tftpd")[0]
	need.Root(t, "in.tftpd changes its root and its user")
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/file", "tftp content")
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := l.LocalAddr().(*net.UDPAddr)
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	cmd := confined(t, []string{"@server", "@identity", "@socket-server", "chroot"}, Kill, tftpd, "-s", "-v", dir)
	cmd.Stdin, cmd.Stdout = f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.WriteTo([]byte("\x00\x01file\x00octet\x00"), addr); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 600)
	n, _, err := c.ReadFrom(buf)
	if want := "\x00\x03\x00\x01tftp content"; string(buf[:n]) != want {
		t.Errorf("got %q, %v, want %q", buf[:n], err, want)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// client runs an unconfined program that must succeed.
func client(t *testing.T, argv ...string) []byte {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return out
}

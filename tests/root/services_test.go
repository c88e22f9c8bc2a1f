package root

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// run executes a client and returns its output; it must end within 30 seconds.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("timeout", append([]string{"30", name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is run that has to succeed.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(t, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// watched opens a connection that sends nothing, so that the service's program
// is there to be looked at, and looks.
func watched(t *testing.T, b *rig.Broker, name, port string) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service(name)
		if err == nil && s.Live > 0 {
			err = fmt.Errorf("%d earlier sessions still run", s.Live)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, b, name)
	time.Sleep(100 * time.Millisecond) // past exec, and past what the program does first
	confined(t, b, s, leaves{})
	c.Close()
}

func TestRsync(t *testing.T) {
	rig.Root(t)
	rsync := need.Programs(t, "rsync")[0]
	dir, port := rig.PublicDir(t), rig.Port(t)
	tree(t, filepath.Join(dir, "pub"))
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "in"), 0o777); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "rsyncd.conf")
	write(t, conf, fmt.Sprintf("use chroot = no\nreverse lookup = no\n[pub]\npath = %[1]s/pub\nread only = yes\n[in]\npath = %[1]s/in\nread only = no\n", dir), 0o644)
	b := rig.Serve(t, head+fmt.Sprintf(`
profile "rsync" {
  base   = profile.server
  widens = ["files"]
  files {
    read  = [%q, %q, "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime"]
    write = [%q]
  }
}
`, conf, filepath.Join(dir, "pub"), filepath.Join(dir, "in"))+
		service("rsync", "tcp://127.0.0.1:"+port, []string{rsync, "--daemon", "--config=" + conf}, "profile = profile.rsync"))
	pulled := filepath.Join(t.TempDir(), "pulled")
	must(t, "rsync", "-a", "rsync://127.0.0.1:"+port+"/pub/", pulled+"/")
	must(t, "diff", "-r", filepath.Join(dir, "pub"), pulled)
	must(t, "rsync", "-rt", pulled+"/", "rsync://127.0.0.1:"+port+"/in/copy/")
	must(t, "diff", "-r", pulled, filepath.Join(dir, "in", "copy"))
	if out, err := run(t, nil, "rsync", "-a", pulled+"/", "rsync://127.0.0.1:"+port+"/pub/"); err == nil {
		t.Errorf("a push to the read-only module worked:\n%s", out)
	}
	watched(t, b, "rsync", port)
}

// tree makes a folder with files of several sizes.
func tree(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "hello.txt"), "hello\n", 0o644)
	write(t, filepath.Join(dir, "deep", "er", "empty"), "", 0o644)
	write(t, filepath.Join(dir, "deep", "large.bin"), strings.Repeat("0123456789abcdef", 1<<17), 0o644)
}

func TestGitDaemon(t *testing.T) {
	rig.Root(t)
	git := need.Programs(t, "git")[0]
	dir, port := rig.PublicDir(t), rig.Port(t)
	work, bare := filepath.Join(t.TempDir(), "work"), filepath.Join(dir, "project.git")
	must(t, "git", "init", "-q", "-b", "main", work)
	write(t, filepath.Join(work, "file"), "content\n", 0o644)
	must(t, "git", "-C", work, "add", "file")
	must(t, "git", "-C", work, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first")
	must(t, "git", "clone", "-q", "--bare", work, bare)
	must(t, "chmod", "-R", "a+rX", dir)
	b := rig.Serve(t, head+fmt.Sprintf(`
profile "repositories" {
  base = profile.git
  files { read = [%q] }
}
`, bare)+service("git", "tcp://127.0.0.1:"+port, []string{git, "daemon", "--inetd", "--export-all", "--base-path=" + dir, dir},
		"profile = profile.repositories",
		// The repository is not the leased uid's own; the policy says that this is meant.
		`env = { GIT_CONFIG_COUNT = "1", GIT_CONFIG_KEY_0 = "safe.directory", GIT_CONFIG_VALUE_0 = "*", HOME = "/tmp" }`))
	clone, url := filepath.Join(t.TempDir(), "clone"), "git://127.0.0.1:"+port+"/project.git"
	must(t, "git", "clone", "-q", url, clone)
	must(t, "diff", filepath.Join(work, "file"), filepath.Join(clone, "file"))
	write(t, filepath.Join(clone, "file"), "changed\n", 0o644)
	must(t, "git", "-C", clone, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-am", "second")
	if out, err := run(t, nil, "git", "-C", clone, "push", "-q", url, "main"); err == nil {
		t.Errorf("a push worked:\n%s", out)
	}
	watched(t, b, "git", port)
}

func TestMicroHTTPD(t *testing.T) {
	rig.Root(t)
	httpd := need.Programs(t, "micro-httpd", "curl")[0]
	dir, port := rig.PublicDir(t), rig.Port(t)
	write(t, filepath.Join(dir, "www", "index.html"), "<p>casemate</p>\n", 0o644)
	write(t, filepath.Join(dir, "secret"), "secret\n", 0o644)
	b := rig.Serve(t, head+fmt.Sprintf(`
profile "web" {
  base = profile.line
  files { read = [%q] }
}
`, filepath.Join(dir, "www"))+service("web", "tcp://127.0.0.1:"+port, []string{httpd, filepath.Join(dir, "www")}, "profile = profile.web"))
	if out := must(t, "curl", "-sS", "http://127.0.0.1:"+port+"/index.html"); out != "<p>casemate</p>\n" {
		t.Errorf("curl got %q", out)
	}
	if out, _ := run(t, nil, "curl", "-sS", "--path-as-is", "http://127.0.0.1:"+port+"/../secret"); strings.Contains(out, "secret\n") {
		t.Errorf("curl got out of the folder: %q", out)
	}
	watched(t, b, "web", port)
}

func TestShellScript(t *testing.T) {
	rig.Root(t)
	dir, port := rig.PublicDir(t), rig.Port(t)
	script := filepath.Join(dir, "greet")
	write(t, script, "#!/bin/sh\nread name\necho \"hello $name from $(id -u)\"\nwc -c < \"$0\"\n", 0o755)
	b := rig.Serve(t, head+service("greet", "tcp://127.0.0.1:"+port, []string{script}, "profile = profile.server"))
	out, err := rig.Exchange(port, "world\n")
	if err != nil || !strings.HasPrefix(out, "hello world from ") || strings.Contains(out, "from 0\n") {
		t.Errorf("the script answered %q (%v)", out, err)
	}
	other, err := rig.Exchange(port, "world\n")
	if err != nil || strings.HasPrefix(other, "hello world from 65534") {
		t.Errorf("the script answered %q (%v), want a leased uid", other, err)
	}
	watched(t, b, "greet", port)
}

// TestTFTP serves datagrams in wait mode. The program answers from a socket of
// its own and insists on setting its groups, so its profile grants both, and
// says why.
func TestTFTP(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "tftp")
	tftpd := need.Programs(t, "in.tftpd")[0]
	dir, port := rig.PublicDir(t), rig.Port(t)
	boot := filepath.Join(dir, "boot")
	write(t, filepath.Join(boot, "image"), strings.Repeat("boot image ", 1000), 0o644)
	write(t, filepath.Join(boot, "upload"), "", 0o666)
	b := rig.Serve(t, head+fmt.Sprintf(`
profile "tftp" {
  base         = profile.login
  widens       = ["capabilities", "files", "network", "syscalls"]
  because      = "tftp answers each transfer from a port of its own (RFC 1350 section 4); the program ends when it cannot set its groups"
  network { mode = "host" }
  capabilities = ["CAP_SETGID"]
  best_effort  = ["landlock.net", "landlock.scopes"] # on older kernels
  files {
    read  = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"]
    write = [%q]
  }
  syscalls { allow = ["@socket-server"] }
}
`, boot)+service("tftp", "udp4://127.0.0.1:"+port, []string{tftpd, "-t", "10", "-u", "nobody", boot},
		"wait = true", `user = "nobody"`, "profile = profile.tftp", "acl = acl.anyone", "limit = limit.wait", `linger = "5s"`))
	got := filepath.Join(t.TempDir(), "image")
	must(t, "tftp", "-m", "binary", "127.0.0.1", port, "-c", "get", filepath.Join(boot, "image"), got)
	must(t, "cmp", filepath.Join(boot, "image"), got)
	// What serves a transfer is a process of its own, which ends a little after it, with the group of nobody.
	confined(t, b, session(t, b, "tftp"), leaves{namespaces: []string{"net"}, caps: 1 << unix.CAP_SETGID, groups: "65534"})
	must(t, "tftp", "-m", "binary", "127.0.0.1", port, "-c", "put", got, filepath.Join(boot, "upload"))
	must(t, "cmp", got, filepath.Join(boot, "upload"))
	if err := rig.Until(time.Minute, func() error {
		s, err := b.Service("tftp")
		if err == nil && s.Live > 0 {
			err = fmt.Errorf("%d programs still running", s.Live)
		}
		return err
	}); err != nil {
		t.Errorf("the program does not end when idle: %v", err)
	}
	must(t, "tftp", "-m", "binary", "127.0.0.1", port, "-c", "get", filepath.Join(boot, "image"), got)
}

// TestBuiltins: the small services, by tcp and udp.
func TestBuiltins(t *testing.T) {
	rig.Root(t)
	var s strings.Builder
	ports := map[string]string{}
	for _, name := range []string{"echo", "daytime", "discard", "chargen", "time"} {
		ports[name] = rig.Port(t)
		fmt.Fprintf(&s, "\nservice %q {\n  listen = [\"tcp://127.0.0.1:%[2]s\", \"udp://127.0.0.1:%[2]s\"]\n  builtin = %[1]q\n  acl = acl.loopback\n  linger = \"10s\"\n}\n", name, ports[name])
	}
	b := rig.Serve(t, head+s.String())
	exchange(t, ports["echo"], "marco\n", "marco\n")
	if got, err := rig.Exchange(ports["daytime"], ""); err != nil || !strings.Contains(got, fmt.Sprint(time.Now().UTC().Year())) {
		t.Errorf("daytime answered %q (%v)", got, err)
	}
	if got, err := rig.Exchange(ports["time"], ""); err != nil || len(got) != 4 {
		t.Errorf("time answered %d bytes (%v), want 4", len(got), err)
	}
	exchange(t, ports["discard"], "anything\n", "")
	u, err := net.Dial("udp4", "127.0.0.1:"+ports["echo"])
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	_ = u.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := u.Write([]byte("polo")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := u.Read(buf); err != nil || string(buf[:n]) != "polo" {
		t.Errorf("udp echo answered %q (%v)", buf[:n], err)
	}
	confined(t, b, session(t, b, "echo"), leaves{})
}

package root

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// listening is the inode of the listening socket at 127.0.0.1:port.
func listening(t *testing.T, port string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	fmt.Sscan(port, &n)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == fmt.Sprintf("0100007F:%04X", n) && f[3] == "0A" {
			return f[9]
		}
	}
	t.Fatalf("nothing listens at port %s", port)
	return ""
}

// TestInetdConf: an inetd.conf in the policy's directory is served as it stands, with the
// blocks that extend it: a program for each connection, one that takes the socket of its
// datagrams, and what inetd answers itself. Each runs confined, and an edit leaves alone what it does not change.
func TestInetdConf(t *testing.T) {
	rig.Root(t)
	rogue, ftpd := rig.Compile(t, "testdata/rogue.c"), filepath.Join(rig.PublicDir(t), "ftpd") // by its name it lets users in
	if err := os.Rename(rig.Compile(t, "testdata/ftpd.c"), ftpd); err != nil {
		t.Fatal(err)
	}
	hold, gram, login, echo, late, shut, accepts := rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t)
	table := strings.NewReplacer("HOLD", hold, "GRAM", gram, "LOGIN", login, "SHUT", shut, "ACCEPTS", accepts, "ROGUE", rogue, "FTPD", ftpd).Replace(`# what the host has
127.0.0.1:HOLD	stream	tcp	nowait	nobody	/usr/sbin/tcpd	ROGUE hold
127.0.0.1:GRAM	dgram	udp	wait	nobody	ROGUE called-so shut-0
127.0.0.1:LOGIN	stream	tcp	nowait	root	FTPD ftpd -l
127.0.0.1:SHUT	stream	tcp	nowait	nobody	ROGUE rogue hold
127.0.0.1:ACCEPTS	stream	tcp	wait	nobody	ROGUE rogue shut-0
echo	stream	tcp	nowait	root	internal
`)
	site := head + `
inetd { acl = acl.loopback }

service "echo" {
  extends = "echo/tcp"
  listen  = ["tcp://127.0.0.1:` + echo + `"]
}

acl "elsewhere" {
  allow { from = ["192.0.2.0/24"] }
}

service "shut" {
  extends = "` + shut + `/tcp"
  acl     = acl.elsewhere
}

service "accepts" {
  extends = "` + accepts + `/tcp"
  acl     = acl.anyone
}

service "gram" {
  extends = "` + gram + `/udp"
  acl     = acl.anyone
}
`
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"site.cm.hcl": site, "inetd.conf": table}})
	held := says(t, hold, "holding")
	confined(t, b, session(t, b, "port-"+hold), leaves{})
	for network, at := range map[string]string{"udp": gram, "tcp": accepts} {
		if err := askOnce(network, "127.0.0.1:"+at); err != nil {
			t.Errorf("wait, %s: %v", network, err)
		}
	}
	exchange(t, echo, "around\n", "around\n")
	says(t, login, "became 65534 65534, back Operation not permitted")
	if c, err := rig.Dial(shut); err == nil {
		closed(t, c)
	}
	if r, err := b.Await(1, 30*time.Second, "msg", "decision", "service", "shut", "verdict", "deny"); err != nil || len(r) == 0 {
		t.Errorf("%v (%v), want a refusal of the acl of the block", r, err)
	}

	before := listening(t, hold)
	if err := b.WritePolicy("inetd.conf", table+fmt.Sprintf("127.0.0.1:%s stream tcp nowait nobody %s rogue hold\n", late, rogue)); err != nil {
		t.Fatal(err)
	}
	reload(t, b, "")
	says(t, late, "holding")
	if after := listening(t, hold); after != before {
		t.Errorf("the listener of an entry that did not change is socket %s, and was %s", after, before)
	}
	if _, err := held.Write([]byte("still\n")); err != nil {
		t.Errorf("a session did not outlive the edit of another line: %v", err)
	}

	// What cannot be understood is refused as a whole, with its line, and all goes on.
	if err := b.WritePolicy("inetd.conf", table+"finger strem tcp nowait nobody /bin/cat cat\n"); err != nil {
		t.Fatal(err)
	}
	reload(t, b, `there is no type of socket "strem"`)
	for name, text := range map[string]string{
		"larger than 1MiB": table + strings.Repeat("# padding\n", 1<<17),
		"more than":        strings.Repeat("127.0.0.1:9 stream tcp nowait nobody /d d\n", 20000),
	} {
		if err := b.WritePolicy("inetd.conf", text); err != nil {
			t.Fatal(err)
		}
		reload(t, b, name)
	}
	says(t, late, "holding")
	says(t, hold, "holding")
}

// TestInetdTftp: a Debian daemon that takes its datagrams itself, as its package writes its
// entry, under the profile that it has by itself, and under one that a block gives it, the example's or the shipped
// one.
func TestInetdTftp(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "in.tftpd", "tftp")
	example, err := os.ReadFile(filepath.Join(rig.Top(t), "examples/legacy-host/tftp.cm.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(example), "\nservice ")
	t.Run("entry", func(t *testing.T) { // which has some folders alone to read
		if alone(t) {
			privately(t, "/srv")
			tftpOfEntry(t, "", "/srv/tftp")
		}
	})
	t.Run("example", func(t *testing.T) {
		if abi := landlock.ABI(); abi < landlock.ABINet {
			need.Kernel(t, "it has Landlock ABI %d: the profile is refused, as it names ports", abi)
		}
		tftpOfEntry(t, text, rig.PublicDir(t))
	})
	t.Run("shipped", func(t *testing.T) {
		tftpOfEntry(t, "profile \"tftp\" {\n  base = profile.tftpd\n  widens = [\"files\"]\n  files { write = [\"/srv/tftp\"] }\n}\n", rig.PublicDir(t))
	})
}

// tftpOfEntry fetches a file of dir from in.tftpd under the text's profile "tftp", which has /srv/tftp, or that of
// its entry.
func tftpOfEntry(t *testing.T, text, dir string) {
	port := rig.Port(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	given := ""
	if text != "" {
		given = "  profile = profile.tftp\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "boot"), []byte("an image\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{
		"site.cm.hcl": head + "inetd { acl = acl.anyone }\n" + strings.Replace(text, "/srv/tftp", dir, 1) + "\nservice \"tftp\" {\n  extends = \"" + port + "/udp4\"\n" + given + "}\n",
		"host.inetd":  "127.0.0.1:" + port + " dgram udp4 wait root /usr/sbin/in.tftpd /usr/sbin/in.tftpd -s " + dir + "\n",
	}})
	out := filepath.Join(t.TempDir(), "got")
	must(t, "tftp", "-m", "binary", "127.0.0.1", port, "-c", "get", "boot", out)
	if got, err := os.ReadFile(out); err != nil || string(got) != "an image\n" {
		t.Errorf("got %q, %v", got, err)
	}
	admits(t, b, "tftp", 1)
}

// TestExampleInetd serves examples/inetd as it stands on a host that lacks some of its programs:
// those are broken, by name, and the others are served to their real clients.
func TestExampleInetd(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "rsync")
	if !alone(t) {
		return
	}
	ownEtc(t)
	privately(t, "/srv")
	tree(t, "/srv/files")
	write(t, "/etc/rsyncd.conf", "use chroot = no\nreverse lookup = no\n[files]\npath = /srv/files\n", 0o644)
	b := rig.ServeWith(t, rig.Options{Files: written(t, "inetd")})
	local := filepath.Join(t.TempDir(), "local")
	must(t, "rsync", "-rt", "rsync://127.0.0.1/files/", local+"/")
	must(t, "diff", "-r", local, "/srv/files")
	if s, err := b.Service("finger"); err != nil || !s.Broken {
		t.Errorf("finger without its program: %+v, %v", s, err)
	}
	c, err := rig.Dial("13")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 64)
	if n, err := c.Read(buf); err != nil || n < 20 {
		t.Errorf("daytime said %q, %v", buf[:n], err)
	}
}

// TestInetdTelnet: a telnetd that runs as root, as the shipped profile for such programs lets
// it, and a terminal behind it.
func TestInetdTelnet(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "busybox")
	port := rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{
		"site.cm.hcl": head + "inetd { acl = acl.loopback }\n",
		"inetd.conf":  "127.0.0.1:" + port + " stream tcp nowait root /bin/busybox telnetd -i -l /bin/sh\n",
	}})
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	var said []byte
	read := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		for !strings.Contains(string(said), want) {
			n, err := c.Read(buf)
			if said = append(said, buf[:n]...); err != nil {
				t.Fatalf("said %q (%v), want %q", said, err, want)
			}
		}
	}
	read("# ") // its prompt
	if _, err := c.Write([]byte("tty; echo =$((6*7))=\r\n")); err != nil {
		t.Fatal(err)
	}
	read("/dev/pts/0")
	read("=42=")
	if s := session(t, b, "port-"+port); s.UID != 0 {
		t.Errorf("%+v, want a session of root's", s)
	}
}

// TestArgv0: a program is called by what the policy says, or by its own name.
func TestArgv0(t *testing.T) {
	rig.Root(t)
	own, other := rig.Port(t), rig.Port(t)
	_ = rig.Serve(t, head+service("own", "tcp://127.0.0.1:"+own, []string{"/bin/sh", "-c", `echo "$0"; cat /proc/$$/cmdline | tr '\0' ' '; read x`}, "profile = profile.server")+
		service("other", "tcp://127.0.0.1:"+other, []string{"/bin/sh", "-c", `tr '\0' ' ' </proc/$$/cmdline; echo; read x`}, `argv0 = "-login"`, "profile = profile.server"))
	answer := func(port string) string {
		c, err := rig.Dial(port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		buf := make([]byte, 200)
		n := 0
		for !strings.Contains(string(buf[:n]), "-c ") {
			k, err := c.Read(buf[n:])
			if n += k; err != nil {
				break
			}
		}
		return string(buf[:n])
	}
	if got := answer(other); !strings.HasPrefix(got, "-login -c ") {
		t.Errorf("argv0 = \"-login\" made %q", got)
	}
	if got := answer(own); !strings.Contains(got, "\nsh -c ") {
		t.Errorf("without argv0 it is %q", got)
	}
}

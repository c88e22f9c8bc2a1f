package escape

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// canaries are what an escape would touch on the host, and who watches it.
type canaries struct {
	dir      string // read/, write/ and hidden
	tcp, udp string // ports on 127.0.0.1 (tcp also on ::1)
	abstract string
	sleeper  int // a process of the service's own user
	touched  atomic.Int64
}

// plant makes a set of canaries. One set is for the sandbox, another for the
// positive controls: those are expected to be touched.
func plant(t *testing.T) *canaries {
	t.Helper()
	c := &canaries{dir: rig.PublicDir(t)}
	c.files(t)
	c.listen(t)
	sleeper := exec.Command("sleep", "600")
	sleeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	c.sleeper = sleeper.Process.Pid
	return c
}

// files lays out the tree afresh. Everything in it belongs to the service's
// user and is writable for all: what stops an attempt is never the file mode.
func (c *canaries) files(t *testing.T) {
	t.Helper()
	for _, d := range []string{"read", "write"} {
		if err := os.RemoveAll(filepath.Join(c.dir, d)); err != nil {
			t.Fatal(err)
		}
		c.owned(t, os.Mkdir(filepath.Join(c.dir, d), 0o777), d, 0o777)
	}
	for _, f := range []string{"hidden", "read/f", "write/f", "write/g"} {
		c.owned(t, os.WriteFile(filepath.Join(c.dir, f), []byte("canary"), 0o666), f, 0o666)
	}
	program, err := os.ReadFile("/bin/true")
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, "read/prog"), program, 0o755)
	}
	c.owned(t, err, "read/prog", 0o755)
	c.listenPath(t)
}

func (c *canaries) owned(t *testing.T, err error, name string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err == nil {
		err = os.Chown(path, nobody, nobody)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// listenPath puts a unix socket into the readable folder.
func (c *canaries) listenPath(t *testing.T) {
	t.Helper()
	path := filepath.Join(c.dir, "read", "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	c.watch(t, l)
}

// listen opens the canary sockets and counts whoever comes.
func (c *canaries) listen(t *testing.T) {
	t.Helper()
	c.tcp, c.udp = rig.Port(t), rig.Port(t)
	c.abstract = fmt.Sprintf("casemate-canary-%d-%s", os.Getpid(), c.tcp)
	for _, l := range [][2]string{{"tcp4", "127.0.0.1:" + c.tcp}, {"tcp6", "[::1]:" + c.tcp}, {"unix", "@" + c.abstract}} {
		listener, err := net.Listen(l[0], l[1])
		if err != nil {
			t.Fatal(err)
		}
		c.watch(t, listener)
	}
	u, err := net.ListenPacket("udp4", "127.0.0.1:"+c.udp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	go func() {
		for {
			if _, _, err := u.ReadFrom(make([]byte, 16)); err != nil {
				return
			}
			c.touched.Add(1)
		}
	}()
}

func (c *canaries) watch(t *testing.T, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.touched.Add(1)
			_ = conn.Close()
		}
	}()
}

// values are the placeholders of the attempt table. The broker's own files are
// added by the site; outside, canaries stand in for them.
func (c *canaries) values(victim, listenPort string) map[string]string {
	return map[string]string{
		"dir": c.dir, "victim": victim, "tcp": c.tcp, "udp": c.udp, "abstract": c.abstract,
		"sleeper": strconv.Itoa(c.sleeper), "port": listenPort,
		"policy": filepath.Join(c.dir, "hidden"), "log": filepath.Join(c.dir, "hidden"), "control": filepath.Join(c.dir, "read", "sock"),
	}
}

// host is what the whole machine shows; no attempt may change it.
type host struct {
	node, domain string
	mounts       int
	files        string
	alive        bool
}

// observe looks at the host from outside.
func (c *canaries) observe(t *testing.T) host {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	m, err := rig.Mounts(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	h := host{node: unix.ByteSliceToString(u.Nodename[:]), domain: unix.ByteSliceToString(u.Domainname[:]), mounts: len(m)}
	for _, name := range []string{"hidden", "read/f"} {
		path := filepath.Join(c.dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		h.files += fmt.Sprintf("%s %s %s %s\n", name, text, fi.Mode(), fi.ModTime().Format(time.RFC3339Nano))
	}
	s, err := rig.Status(c.sleeper)
	h.alive = err == nil && s["State"] != "" && s["State"][0] == 'S'
	return h
}

package root

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestProgramSpoilsPassedSocket: a wait program leaves a socket that a service manager passed shut
// down. There is no other to be had: the service says that it does not listen and why, unless the
// kernel takes it back, and the broker sleeps.
func TestProgramSpoilsPassedSocket(t *testing.T) {
	rig.Root(t)
	rogue, dir := rig.Compile(t, "testdata/rogue.c"), rig.PublicDir(t)
	udp, tcp, path := rig.Port(t), rig.Port(t), filepath.Join(dir, "s.sock")
	files := []*os.File{
		passed(t, unix.AF_INET, unix.SOCK_DGRAM, loopbackAt(t, udp)),
		passed(t, unix.AF_INET, unix.SOCK_STREAM, loopbackAt(t, tcp)),
		passed(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}),
	}
	text := head + "profile \"answers\" {\n  base    = profile.server\n  widens  = [\"network\"]\n  network { mode = \"listener\" }\n}\n"
	for name, listen := range map[string]string{"udp": "udp4://127.0.0.1:" + udp, "tcp": "tcp4://127.0.0.1:" + tcp, "file": "unix:" + path} {
		text += service(name, listen, []string{rogue, "shut-2"}, "wait = true", "acl = acl.anyone", "limit = limit.wait", "profile = profile.answers")
	}
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Sockets: files})
	for name, at := range map[string][2]string{"udp": {"udp", "127.0.0.1:" + udp}, "tcp": {"tcp", "127.0.0.1:" + tcp}, "file": {"unix", path}} {
		if err := askOnce(at[0], at[1]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := rig.Until(30*time.Second, func() error {
			s, err := b.Service(name)
			if l := s.Listeners; err == nil && (s.Live != 0 || name == "tcp" && l[0].State != "listening" ||
				name != "tcp" && (l[0].State != "retrying" || !strings.Contains(l[0].Error, "shut down"))) {
				err = fmt.Errorf("%d live, %+v", s.Live, l)
			}
			return err
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+tcp); err != nil {
		t.Errorf("tcp, which can be had back: %v", err)
	} else {
		c.Close()
	}
	before, err := rig.CPU(acceptor(t, b))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if after, err := rig.CPU(acceptor(t, b)); err != nil || after-before > 200*time.Millisecond {
		t.Errorf("the broker used %v in a second without a client (%v)", after-before, err)
	}
}

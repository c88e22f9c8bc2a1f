package seccomp

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestDropbear logs in with and without a terminal. The session runs a shell
// with coreutils, inside the same filter.
func TestDropbear(t *testing.T) {
	programs := need.Programs(t, "dropbear", "dropbearkey", "dbclient")
	dropbear, keygen, dbclient := programs[0], programs[1], programs[2]
	need.Root(t, "dropbear changes its user")
	dir := t.TempDir()
	host, key := filepath.Join(dir, "host"), filepath.Join(dir, "key")
	client(t, keygen, "-t", "ed25519", "-f", host)
	out := client(t, keygen, "-t", "ed25519", "-f", key)
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "ssh-") {
			write(t, filepath.Join(home, ".ssh/authorized_keys"), line)
		}
	}
	// dropbear takes the home directory from passwd: give it a passwd file of its own.
	passwd := filepath.Join(dir, "passwd")
	write(t, passwd, "root:x:0:0:root:"+home+":/bin/sh\n")
	addr := inetd(t, func() *exec.Cmd {
		return withPasswd(confined(t, []string{"@login"}, Kill, dropbear, "-i", "-s", "-r", host), passwd)
	})
	hostname, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range [][]string{{"-T"}, {"-t"}} {
		argv := append([]string{dbclient, "-y", "-y", "-i", key, "-p", port}, opts...)
		argv = append(argv, "root@"+hostname, "tty; id -u; echo $((6*7))")
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		tty := "not a tty"
		if opts[0] == "-t" {
			tty = "/dev/pts/"
			cmd.Stdin = terminal(t)
		}
		got, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(got), tty) || !strings.Contains(string(got), "42") {
			t.Errorf("%v: %v\n%s", opts, err, got)
		}
	}
}

// terminal makes a pseudo-terminal for the client, which it sets to raw mode.
func terminal(t *testing.T) *os.File {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ptmx.Close() })
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return tty
}

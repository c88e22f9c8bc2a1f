package sandbox

import (
	"bufio"
	_ "embed"
	"errors"
	"os"
	"strings"
	"testing"

	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

//go:embed testdata/pty.c
var ptySource string

// session is one connection that is still there.
type session struct {
	pid    int
	client *os.File
}

// talk starts a connection and reads what its program prints up to "end".
func talk(t *testing.T, z *zygote.Zygote) (session, string) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = z.Send(&zygote.Request{ID: 1, UID: LeaseBase + 7, GID: LeaseBase + 7, FDs: pair[1:]})
	unix.Close(pair[1])
	if err != nil {
		t.Fatal(err)
	}
	s := session{client: os.NewFile(uintptr(pair[0]), "client")}
	t.Cleanup(func() { s.client.Close() })
	r, err := z.Recv()
	for errors.Is(err, unix.EAGAIN) {
		unix.Poll([]unix.PollFd{{Fd: int32(z.FD()), Events: unix.POLLIN}}, 5000)
		r, err = z.Recv()
	}
	if err = errors.Join(err, r.Err()); err != nil {
		t.Fatal(err)
	}
	s.pid = r.PID
	var out strings.Builder
	for in := bufio.NewScanner(s.client); in.Scan() && in.Text() != "end"; {
		out.WriteString(in.Text() + "\n")
	}
	return s, out.String()
}

// Each connection has terminals of its own: the names begin at 0 for all of
// them, nobody's are in another's list, and one can be the controlling one.
func TestTerminals(t *testing.T) {
	needRoot(t)
	const want = `before ptmx
name /dev/pts/0
open done
stat done
mine 1 mode 620
control done
session 1
size done
typed abc

inject Operation not permitted
make Permission denied
after 0 ptmx
room 16
`
	bin := compiled(t, ptySource)
	for _, c := range []struct {
		name string
		edit func(*Profile, *Command)
	}{
		{"leased user", func(_ *Profile, c *Command) { c.Dynamic = true }},
		{"static user", func(*Profile, *Command) {}},
		{"under init", func(p *Profile, _ *Command) { p.Init = true }},
		{"user namespace", func(p *Profile, _ *Command) { p.UserNamespace, p.Files.Proc = true, false }},
		{"user namespace with leased users", func(p *Profile, c *Command) { p.UserNamespace, p.Files.Proc, c.Dynamic = true, false, true }},
		{"no device", func(p *Profile, _ *Command) { p.Files.Dev = nil }},
		{"sealed", func(p *Profile, _ *Command) { p.Syscalls.Seal = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := realistic()
			p.Files.Pty, p.Syscalls.Allow = true, []string{"@login"}
			cmd := Command{Service: "test", Path: bin, Argv: []string{"pty"}, Dir: "/", UID: 65534, GID: 65534, Umask: 0o077}
			c.edit(&p, &cmd)
			z := start(t, p, cmd)
			var live []session
			for range 3 { // together: each sees only its own
				s, out := talk(t, z)
				live = append(live, s)
				if out != want {
					t.Errorf("got\n%swant\n%s", out, want)
				}
			}
			for _, s := range live {
				s.client.Close()
				if ws := wait(t, s.pid); ws.ExitStatus() != 0 {
					t.Errorf("status %#x", ws)
				}
			}
		})
	}
}

// Without the word there is no terminal, whatever the calls allow.
func TestNoTerminals(t *testing.T) {
	p := realistic()
	p.Syscalls.Allow = []string{"@login"}
	out, r, _ := once(t, start(t, p, shell("ls -A /dev; (: <>/dev/ptmx) 2>/dev/null || echo none")), zygote.Request{})
	if r.Err() != nil || out != "fd\nnull\nstderr\nstdin\nstdout\nnone\n" {
		t.Fatalf("output %q, reply %v", out, r.Err())
	}
}

// The name of one's own terminal leads nowhere without one.
func TestOwnTerminal(t *testing.T) {
	p := realistic()
	p.Files.Pty, p.Syscalls.Allow = true, []string{"@login"}
	out, r, ws := once(t, start(t, p, shell(`(: <>/dev/tty) 2>&1 | sed 's/.*: //'; script -qec 'echo seen >/dev/tty' /dev/null`)), zygote.Request{})
	if want := "No such device or address\nseen\r\n"; r.Err() != nil || out != want {
		t.Errorf("output %q (status %v, %v), want %q", out, ws, r.Err(), want)
	}
}

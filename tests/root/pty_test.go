package root

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// interactive is a login on a terminal that goes on until its input ends it.
type interactive struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// interact logs in with ssh -tt and runs script.
func (l login) interact(t *testing.T, script string) *interactive {
	t.Helper()
	args := append([]string{"60", "ssh", "-tt"}, l.options...)
	s := &interactive{cmd: exec.Command("timeout", append(args, l.name+"@127.0.0.1", script)...)}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

// until reads up to a line that is last, and returns what came before it.
func (s *interactive) until(t *testing.T, last string) string {
	t.Helper()
	var all strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		line = strings.ReplaceAll(line, "\r", "")
		if line == last+"\n" {
			return all.String()
		}
		all.WriteString(line)
		if err != nil {
			t.Fatalf("%v before %q; got %q", err, last, all.String())
		}
	}
}

// hostTerminals opens terminals of the host for the length of the test, so that
// there is something a session could see.
func hostTerminals(t *testing.T) {
	t.Helper()
	for range 3 {
		f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
}

// TestTerminal logs in on a terminal, twice at once. Each session has one of its
// own at /dev/pts/0 and sees neither the other's nor the host's; the keys that
// make signals work, which takes a controlling terminal.
func TestTerminal(t *testing.T) {
	if !ownUsers(t) {
		return
	}
	l := dropbear(t)
	hostTerminals(t)
	const look = "tty; stat -c '%U %G %a' /dev/pts/0; ls -1 /dev/pts; "
	const want = "/dev/pts/0\ncasemate-test tty 620\n0\nptmx\n"
	first := l.interact(t, look+`trap 'echo; echo interrupted; exit 42' INT; echo ready; while read -r x; do echo "got $x"; done`)
	if got := first.until(t, "ready"); got != want {
		t.Errorf("the first session printed %q, want %q", got, want)
	}
	second := l.interact(t, look+"echo intruder >/dev/pts/0; echo ready; stty -echo && echo silent")
	if got := second.until(t, "ready"); got != want+"intruder\n" {
		t.Errorf("the second session printed %q, want %q", got, want+"intruder\n")
	}
	second.until(t, "silent")
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("the second session ended with %v", err)
	}
	if _, err := io.WriteString(first.in, "typed\n"); err != nil {
		t.Fatal(err)
	}
	if got := first.until(t, "got typed"); got != "typed\n" { // the echo
		t.Errorf("the first session printed %q meanwhile", got)
	}
	if _, err := io.WriteString(first.in, "\x03"); err != nil {
		t.Fatal(err)
	}
	if got := first.until(t, "interrupted"); got != "^C\n" {
		t.Errorf("the first session printed %q at the interrupt", got)
	}
	if err := first.cmd.Wait(); first.cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("the first session ended with %v", err)
	}
	watched(t, l.b, "ssh", l.port)
}

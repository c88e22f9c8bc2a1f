package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// service is one that the host serves, and the client that asks it.
type service struct {
	name    string      // as the policy calls it
	port    string      // by tcp; "" is one by udp
	guarded bool        // by tcpd: hosts.deny is about strangers
	ask     string      // the shell's line
	types   [][2]string // what a user types at which prompt
	want    string      // in what the line prints
}

// dialogue is what a user types at telnet's prompts.
var dialogue = [][2]string{{"login: ", "guest"}, {"Password: ", "open-sesame"}, {"$ ", "id -un; tty; exit"}}

var services = []service{
	{name: "echo", port: "7", ask: "exec 3<>/dev/tcp/127.0.0.1/7; echo around >&3; head -n1 <&3", want: "around"},
	{name: "echo-udp", ask: "exec 3<>/dev/udp/" + address + "/7; echo around >&3; head -n1 <&3", want: "around"},
	{name: "daytime", port: "13", ask: "cat </dev/tcp/127.0.0.1/13", want: ":"},
	{name: "time", port: "37", ask: "wc -c </dev/tcp/127.0.0.1/37", want: "4"},
	{name: "ftp", port: "21", guarded: true, want: "by ftp",
		ask: "echo by ftp >/tmp/f; f='curl -sS --user guest:open-sesame'; $f -T /tmp/f ftp://127.0.0.1/hello; $f ftp://127.0.0.1/hello; $f -Q 'DELE hello' ftp://127.0.0.1/"},
	{name: "telnet", port: "23", guarded: true, ask: "telnet 127.0.0.1", types: dialogue, want: "/dev/pts/"},
	{name: "shell", port: "514", guarded: true, ask: "rsh -l guest localhost 'id -un; pwd'", want: "guest\n/home/guest"},
	{name: "pop3", port: "110", guarded: true, ask: "curl -sS -u guest:open-sesame pop3://127.0.0.1/1", want: "Subject: hello"},
	{name: "finger", port: "79", guarded: true, ask: "finger guest@127.0.0.1", want: "Name: A guest"},
	{name: "ident", port: "113", ask: "exec 3<>/dev/tcp/127.0.0.1/113; printf '1,2\\r\\n' >&3; head -n1 <&3", want: "USERID"},
	{name: "tftp", ask: "cd /tmp; rm -f hello; echo get hello | tftp 127.0.0.1; cat hello", want: "by tftp"},
	{name: "http", port: "80", guarded: true, ask: "curl -sS http://127.0.0.1/hello", want: "by http"},
	{name: "rsync", port: "873", ask: "rm -rf /tmp/pulled; rsync -a rsync://127.0.0.1/pub/ /tmp/pulled/; cat /tmp/pulled/hello", want: "by rsync"},
	{name: "cvspserver", port: "2401", guarded: true, want: "by cvs",
		ask: "cd /tmp; rm -rf mod; touch pass; export CVS_PASSFILE=/tmp/pass; cvs -Q -d :pserver:anonymous@127.0.0.1:/srv/cvs checkout mod; cat mod/file"},
	{name: "gopher", port: "70", guarded: true, ask: "curl -sS gopher://127.0.0.1/0/hello", want: "by gopher"},
	{name: "port-7001", port: "7001", ask: "cat </dev/tcp/127.0.0.1/7001", want: "guest"},
}

// patience is how long a client may take on a crowded machine.
const patience = "90"

// check has the client ask, and says what is wrong with the answer.
func (s *service) check() error {
	cmd := exec.Command("timeout", patience, "bash", "-e", "-c", s.ask)
	if len(s.types) == 0 {
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), s.want) {
			return fmt.Errorf("no %q in the answer: %v\n%s", s.want, err, out)
		}
		return nil
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Wait() }() // telnet ends with 1 when the other side closes
	var out strings.Builder
	buf := make([]byte, 4096)
	for _, say := range s.types {
		for at := out.Len(); !strings.Contains(out.String()[at:], say[0]); {
			n, err := from.Read(buf)
			out.Write(buf[:n])
			if err != nil {
				return fmt.Errorf("%w before %q in:\n%s", err, say[0], out.String())
			}
		}
		if _, err := io.WriteString(in, say[1]+"\n"); err != nil {
			return err
		}
	}
	rest, _ := io.ReadAll(from)
	if out.Write(rest); !strings.Contains(out.String(), s.want) {
		return fmt.Errorf("no %q in:\n%s", s.want, out.String())
	}
	return nil
}

// stranger is a client whom hosts.allow does not know.
const stranger = "127.0.0.9"

// refuses tells whether the stranger gets no byte. A service that says nothing first is asked for something.
func (s *service) refuses() error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(stranger)}, Timeout: time.Minute}
	c, err := d.Dial("tcp", "127.0.0.1:"+s.port)
	if errors.Is(err, syscall.ECONNRESET) { // before the handshake was seen to be over
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	buf := make([]byte, 256)
	switch n, err := c.Read(buf); {
	case n > 0:
		return fmt.Errorf("%s is answered %q", stranger, buf[:n])
	case err == nil || isTimeout(err):
		return fmt.Errorf("%s is not refused: %v", stranger, err)
	}
	return nil
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

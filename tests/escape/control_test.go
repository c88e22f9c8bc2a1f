package escape

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is the uid and gid of the service's user.
const nobody = 65534

// since is the first kernel on which an attempt can work anywhere, for those that
// Debian 12's own is too old for.
var since = map[string][2]int{
	"lsm-attr": {6, 8}, // lsm_set_self_attr(2)
	"setxattr": {6, 6}, // user attributes on a tmpfs, which is all that a guest of tests/kernels has
}

// tooNew tells whether this kernel is too old for the attempt to work.
func tooNew(t *testing.T, line string) bool {
	t.Helper()
	name, _, _ := strings.Cut(line, " ")
	first, ok := since[name]
	if !ok {
		return false
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major < first[0] || major == first[0] && minor < first[1]
}

// outside makes the attempt without casemate: the same program on a client's
// socket as a classical inetd would start it, and a leaked directory beside it.
// It runs in a session and in mount, uts and ipc namespaces of its own, so that
// an attempt that works changes nothing on the host.
func outside(t *testing.T, victim, line string, c elsewhere) outcome {
	t.Helper()
	return outsideWith(t, victim, line, c, nil)
}

// outsideWith is outside for a victim with that stderr; nil is /dev/null.
func outsideWith(t *testing.T, victim, line string, c elsewhere, stderr *os.File) outcome {
	t.Helper()
	name, _, _ := strings.Cut(line, " ")
	client, server := loopbackPair(t)
	defer client.Close()
	leak, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, victim)
	cmd.Stdin, cmd.Stdout = server, server
	if stderr != nil {
		cmd.Stderr = stderr
	}
	cmd.ExtraFiles = []*os.File{leak}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC}
	if c == asNobody {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	err = cmd.Start()
	server.Close()
	if err != nil {
		t.Fatalf("start the victim outside: %v", err)
	}
	if _, err := client.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
	_ = client.CloseWrite()
	answer := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(client)
		answer <- string(text)
	}()
	_ = cmd.Wait()
	// What the victim wrote is here; a socket that it took away may never end.
	_ = client.SetReadDeadline(time.Now().Add(time.Second))
	o := parse(name, <-answer)
	if o.result == "killed" && cmd.ProcessState.ExitCode() == worked {
		o.result = "ok"
	}
	return o
}

// worked is the exit status of a victim whose attempt worked.
const worked = 3

// loopbackPair is a connected TCP pair: the client's side, and the server's as
// a blocking file.
func loopbackPair(t *testing.T) (*net.TCPConn, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	f, err := server.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
		t.Fatal(err)
	}
	return client.(*net.TCPConn), f
}

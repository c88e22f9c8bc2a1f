package main

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/acl/decide"
	"casemate/listener"
	"casemate/listener/endpoint"
	"casemate/listener/warden"
	"casemate/listener/wire"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// These tests run the real static binary as the broker would: an unprivileged
// user in an empty root, with its sockets and nothing else.

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "casemate-worker-test")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "casemate-worker"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return dir, os.Chmod(dir, 0o755)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := build(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// worker prepares the binary in a root that holds it alone.
func worker(t *testing.T, verb string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	need.Root(t, "chroot and setuid")
	root, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/casemate-worker", verb)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	log := new(bytes.Buffer)
	cmd.Stderr = log
	return cmd, log
}

func finish(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	kill := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	return cmd.Wait()
}

// echoConfig serves echo to everybody.
const echoConfig = `{"service":"echo","builtin":"echo","acl":{"name":"anyone","rules":[{"verdict":"allow","from":["any"]}],"default":"deny"},` +
	`"limit":{"name":"l","concurrent":0,"rate":{"events":0,"per_ns":0},"burst":0,"session_ns":0,"per_source":{"concurrent":0,` +
	`"rate":{"events":0,"per_ns":0},"burst":0,"prefix4":32,"prefix6":64},"penalty":{"first_ns":0,"max_ns":0}},` +
	`"linger_ns":60000000000,"digest":"sha256:0"}`

// told is a file of what a built-in's worker is told, as its first descriptor.
func told(t *testing.T, text string) *os.File {
	t.Helper()
	fd, err := warden.FileOf([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "told")
	t.Cleanup(func() { f.Close() })
	return f
}

// kept is a file of what limits remember, in which there is nothing, as its second descriptor.
func kept(t *testing.T) *os.File { return told(t, string(make([]byte, wire.KeptSize))) }

// waiting is a loopback socket as a wait service gets it.
func waiting(t *testing.T, network string) *os.File {
	t.Helper()
	s, err := listener.Open(listener.Spec{Endpoint: endpoint.Endpoint{Network: network, Addr: netip.MustParseAddrPort("127.0.0.1:0")}, Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	at, err := listener.LocalAddr(s.FD)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(s.FD), at.String())
	t.Cleanup(func() { f.Close() })
	return f
}

func TestBuiltinProcess(t *testing.T) {
	cmd, log := worker(t, "builtin")
	cmd.ExtraFiles = []*os.File{told(t, echoConfig), kept(t)}
	addrs := map[string]string{}
	for _, network := range []string{"tcp4", "udp4"} {
		f := waiting(t, network)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		addrs[network] = f.Name()
	}
	cmd.Env = append(cmd.Env, "LISTEN_FDS=4")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for network, addr := range addrs {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 5)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Errorf("%s: %q, %v", network, buf, err)
		}
	}
	if status, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "RssAnon") || strings.HasPrefix(line, "Threads") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := finish(t, cmd); err != nil {
		t.Errorf("%v: %s", err, log)
	}
	if n := strings.Count(log.String(), `"msg":"decision"`); n != 2 {
		t.Errorf("%d decisions: %s", n, log)
	}
	if !strings.Contains(log.String(), `"msg":"session"`) {
		t.Errorf("no session record: %s", log)
	}
}

func TestNamesAndLogProcesses(t *testing.T) {
	for _, verb := range []string{"names", "log"} {
		for _, nonsense := range []bool{false, true} {
			cmd, log := worker(t, verb)
			ours, theirs := pair(t, unix.SOCK_SEQPACKET)
			cmd.Stdin = theirs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			broker := conn(t, ours)
			if nonsense {
				if _, err := broker.Write([]byte("what?")); err != nil {
					t.Fatal(err)
				}
				if err := finish(t, cmd); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(log.String(), "malformed") {
					t.Errorf("%s: nonsense gave %v: %s", verb, err, log)
				}
				continue
			}
			if verb == "names" {
				askProcess(t, broker)
			}
			broker.Close()
			if err := finish(t, cmd); err != nil {
				t.Errorf("%s: %v: %s", verb, err, log)
			}
		}
	}
}

// askProcess asks a worker that has no resolver: it must say so in time.
func askProcess(t *testing.T, broker *net.UnixConn) {
	t.Helper()
	if _, err := broker.Write(wire.Order{Kind: wire.Ask, ID: 77, Name: string(netip.MustParseAddr("192.0.2.1").AsSlice())}.Encode()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 300)
	n, err := broker.Read(buf)
	a, derr := wire.DecodeReport(buf[:n])
	if err != nil || derr != nil || a.Kind != wire.Named || a.ID != 77 || a.Name.State != decide.NoAnswer {
		t.Errorf("answer %q, %v, %v", buf[:n], err, derr)
	}
}

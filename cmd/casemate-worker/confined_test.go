package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"casemate/cmd/confine"
	"casemate/sandbox/landlock"
	"casemate/tests/inject"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestConfined: without any sandbox around it, each role but the broker has its files, its
// port, and nothing else.
func TestConfined(t *testing.T) {
	if abi, enforced := confine.InForce(); abi < landlock.ABINet {
		need.Kernel(t, "the test is about Landlock with tcp, and it has ABI %d (%v)", abi, enforced)
	}
	own := map[string]string{"builtin": "", "names": "/etc/hosts", "log": "", "denials": "", "relay": "", "shield": ""}
	if len(own) != len(roles)-1 { // the broker is confined from outside alone
		t.Fatal("a role is not tested")
	}
	for role, file := range own {
		t.Run(role, func(t *testing.T) {
			cmd, log := worker(t, role)
			root := cmd.SysProcAttr.Chroot
			writeAll(t, root, "/etc/hosts", "127.0.0.1 localhost\n")
			writeAll(t, root, "/secret", "x")
			if err := os.MkdirAll(filepath.Join(root, "open"), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(root, "open"), 0o777); err != nil {
				t.Fatal(err)
			}
			port := listening(t)
			switch role {
			case "relay":
				client, _ := pair(t, unix.SOCK_STREAM)
				target, _ := pair(t, unix.SOCK_STREAM)
				cmd.Args = append(cmd.Args, "tcp://127.0.0.1:1")
				cmd.ExtraFiles, cmd.Env = []*os.File{client, target}, []string{"LISTEN_FDS=2"}
			case "builtin":
				cmd.ExtraFiles, cmd.Env = []*os.File{told(t, echoConfig), kept(t), waiting(t, "tcp4")}, []string{"LISTEN_FDS=3"}
			default:
				ours, theirs := pair(t, unix.SOCK_SEQPACKET)
				cmd.Stdin = theirs
				defer ours.Close()
				defer theirs.Close()
			}
			p := stop(t, cmd, true)
			if file != "" {
				p.Open(file, unix.O_RDONLY, nil)
				p.Open(file, unix.O_WRONLY, unix.EACCES)
			}
			p.Open("/secret", unix.O_PATH, nil) // it is there
			p.Open("/secret", unix.O_RDONLY, unix.EACCES)
			p.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, unix.EACCES)
			p.Open("/open/new", unix.O_WRONLY|unix.O_CREAT, unix.EACCES)
			p.Connect(port, unix.EACCES)
			if role == "names" {
				p.Connect(53, unix.ECONNREFUSED)
			}
			if t.Failed() {
				t.Log(log)
			}

			// What is denied above, somebody of the same user who is not confined does.
			free := exec.Command(need.Programs(t, "sleep")[0], "1000")
			attr := *cmd.SysProcAttr
			attr.Chroot = ""
			free.SysProcAttr = &attr
			p = stop(t, free, false)
			p.Open(filepath.Join(root, "secret"), unix.O_RDONLY, nil)
			p.Open(filepath.Join(root, "open/new"), unix.O_WRONLY|unix.O_CREAT, nil)
			p.Connect(port, nil)
		})
	}
}

// stop starts a command and stops it where it waits; it ends with the test.
func stop(t *testing.T, cmd *exec.Cmd, noNewPrivs bool) *inject.Process {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	time.Sleep(100 * time.Millisecond)
	return inject.Stop(t, cmd.Process.Pid, noNewPrivs)
}

// listening is a loopback port that accepts.
func listening(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func writeAll(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

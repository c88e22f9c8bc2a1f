package seccomp

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confineEnv holds a program in hex: the test binary, started with it, installs
// the program on itself and becomes the command of its arguments.
const confineEnv = "SECCOMP_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if prog := os.Getenv(confineEnv); prog != "" {
		if len(os.Args) == 1 {
			err := probeKernel(prog)
			if err == nil {
				os.Exit(0)
			}
			fmt.Fprintln(os.Stderr, "probe:", err)
			os.Exit(125)
		}
		fmt.Fprintln(os.Stderr, "confine:", confine(prog, os.Args[1:]))
		os.Exit(125)
	}
	if when := os.Getenv(withholdEnv); when != "" {
		tryWithheld(when == "after")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// confine returns only when it fails.
func confine(program string, argv []string) error {
	prog, err := hex.DecodeString(program)
	if err != nil {
		return err
	}
	if err := os.Unsetenv(confineEnv); err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := overlayPasswd(); err != nil {
		return err
	}
	env := os.Environ()
	if err := install(prog); err != nil {
		return err
	}
	return syscall.Exec(argv[0], argv, env)
}

// install puts the program on the calling thread, which must be locked.
func install(prog []byte) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	fprog := unix.SockFprog{Len: uint16(len(prog) / instructionSize), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// passwdEnv names a file to put in the place of /etc/passwd before the filter
// comes; the command has a mount namespace of its own then.
const passwdEnv = "SECCOMP_TEST_PASSWD"

func withPasswd(cmd *exec.Cmd, passwd string) *exec.Cmd {
	cmd.Env = append(cmd.Env, passwdEnv+"="+passwd)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

func overlayPasswd() error {
	passwd := os.Getenv(passwdEnv)
	if passwd == "" {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := unix.Mount(passwd, "/etc/passwd", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return os.Unsetenv(passwdEnv)
}

// confined gives a command that runs argv under the filter. execve is allowed on
// top of the list, since the filter is installed before it.
func confined(t testing.TB, allow []string, onViolation Action, argv ...string) *exec.Cmd {
	t.Helper()
	rules, err := Resolve(append([]string{"execve"}, allow...), nil)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := Filter{Rules: rules, OnViolation: onViolation}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, argv...)
	cmd.Env = append(os.Environ(), confineEnv+"="+hex.EncodeToString(prog), "LC_ALL=C.UTF-8")
	return cmd
}

// inetd listens on loopback and starts one confined command for each connection,
// with the connection as its input and output, as casemated does. It gives the address.
func inetd(t *testing.T, start func() *exec.Cmd) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File() // a blocking duplicate
			c.Close()
			if err != nil {
				return
			}
			cmd := start()
			cmd.Stdin, cmd.Stdout = f, f
			err = cmd.Start()
			f.Close()
			if err == nil {
				go func() { _ = cmd.Wait() }()
			}
		}
	}()
	return l.Addr().String()
}

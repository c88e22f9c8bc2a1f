package landlock

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	victimDir     = "CASEMATE_LANDLOCK_VICTIM" // where it tries things; set makes a process the victim
	victimRuleset = 3                          // descriptor of its ruleset, if it got one
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

// scene is what the parent prepared for a victim.
type scene struct {
	Abstract        string
	Parent          int
	Open, Closed    int // listening ports, allowed and not
	Bindable, Taken int // free ports, allowed and not
}

// victim restricts its thread, tries everything, and prints the errno of each attempt.
func victim(dir string) {
	runtime.LockOSThread()
	var s scene
	if err := json.Unmarshal([]byte(os.Getenv("SCENE")), &s); err != nil {
		panic(err)
	}
	if os.Getenv("RESTRICT") == "1" {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			panic(err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, victimRuleset, 0, 0); errno != 0 {
			panic(errno)
		}
	}
	results := map[string]syscall.Errno{}
	for _, a := range attempts {
		err := a.try(dir, s)
		var errno syscall.Errno
		if err != nil && !errors.As(err, &errno) {
			panic(fmt.Sprintf("%s: %v", a.name, err))
		}
		results[a.name] = errno
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		panic(err)
	}
}

// attempt is one thing tried; want is the errno under the ruleset. Without it
// each must succeed (or fail with free), or the test would prove nothing.
type attempt struct {
	name       string
	try        func(dir string, s scene) error
	want, free syscall.Errno
}

func open(flags int, names ...string) func(string, scene) error {
	return func(dir string, _ scene) error {
		fd, err := unix.Open(filepath.Join(append([]string{dir}, names...)...), flags|unix.O_CLOEXEC, 0o600)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

// in runs f with the path of name in the scene's directory.
func in(name string, f func(p string) error) func(string, scene) error {
	return func(dir string, _ scene) error { return f(filepath.Join(dir, name)) }
}

func move(from, to string) func(string, scene) error {
	return func(dir string, _ scene) error {
		from, to := filepath.Join(dir, from), filepath.Join(dir, to)
		if err := unix.Rename(from, to); err != nil {
			return err
		}
		return unix.Rename(to, from)
	}
}

func start(p string) error {
	pid, err := syscall.ForkExec(p, []string{p}, nil)
	if err != nil {
		return err
	}
	_, err = syscall.Wait4(pid, nil, 0, nil)
	return err
}

// made runs f to create p, and removes it again.
func made(f func(p string) error) func(string) error {
	return func(p string) error {
		if err := f(p); err != nil {
			return err
		}
		return os.Remove(p)
	}
}

func bindUnix(p string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: p})
}

// tcp makes a call on a fresh plain TCP socket.
func tcp(port func(scene) int, call func(int, unix.Sockaddr) error) func(string, scene) error {
	return func(_ string, s scene) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return call(fd, &unix.SockaddrInet4{Port: port(s), Addr: [4]byte{127, 0, 0, 1}})
	}
}

var attempts = []attempt{
	{name: "read file", try: open(unix.O_RDONLY, "read", "f")},
	{name: "list", try: open(unix.O_RDONLY|unix.O_DIRECTORY, "read")},
	{name: "write read-only file", try: open(unix.O_WRONLY, "read", "f"), want: unix.EACCES},
	{name: "truncate read-only file", try: in("read/f", func(p string) error { return unix.Truncate(p, 0) }), want: unix.EACCES},
	{name: "create in read-only", try: in("read/new", made(func(p string) error { return unix.Mkdir(p, 0o700) })), want: unix.EACCES},
	{name: "exec in read-only", try: in("read/true", start), want: unix.EACCES},
	{name: "exec", try: in("exec/true", start)},
	{name: "exec one file", try: in("single/true", start)},
	{name: "write executable", try: open(unix.O_WRONLY, "exec", "f"), want: unix.EACCES},
	{name: "read one file", try: open(unix.O_RDONLY, "single", "f")},
	{name: "beside one file", try: open(unix.O_RDONLY, "single", "g"), want: unix.EACCES},
	{name: "write one file", try: open(unix.O_RDWR|unix.O_TRUNC, "single", "w")},
	{name: "through a link", try: open(unix.O_RDONLY, "link", "f")},
	{name: "write", try: open(unix.O_RDWR|unix.O_TRUNC, "write", "f")},
	{name: "make file", try: in("write/n", made(func(p string) error { return unix.Mknod(p, unix.S_IFREG|0o600, 0) }))},
	{name: "make directory", try: in("write/n", made(func(p string) error { return unix.Mkdir(p, 0o700) }))},
	{name: "make fifo", try: in("write/n", made(func(p string) error { return unix.Mkfifo(p, 0o600) }))},
	{name: "make link", try: in("write/n", made(func(p string) error { return unix.Symlink("x", p) }))},
	{name: "make socket", try: in("write/n", made(bindUnix))},
	{name: "make device", try: in("write/n", made(func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) })), want: unix.EACCES},
	{name: "exec in writable", try: in("write/true", start), want: unix.EACCES},
	{name: "move within", try: move("write/f", "write/d/f")},
	{name: "move between", try: move("write/f", "write2/f")},
	{name: "move out", try: move("write/f", "other/f2"), want: unix.EACCES},
	{name: "read other", try: open(unix.O_RDONLY, "other", "f"), want: unix.EACCES},
	{name: "list other", try: open(unix.O_RDONLY|unix.O_DIRECTORY, "other"), want: unix.EACCES},
	{name: "open device", try: open(unix.O_RDWR|unix.O_TRUNC, "null")},
	{name: "ioctl device", try: in("null", ioctl), want: unix.EACCES, free: unix.ENOTTY},
	{name: "control device", try: in("control", ioctl), want: unix.ENOTTY, free: unix.ENOTTY},
	{name: "open terminal", try: open(unix.O_RDWR|unix.O_TRUNC, "dev", "pts", "0")},
	{name: "list terminals", try: open(unix.O_RDONLY|unix.O_DIRECTORY, "dev", "pts")},
	{name: "ioctl terminal", try: in("dev/pts/0", ioctl), want: unix.ENOTTY, free: unix.ENOTTY},
	{name: "make file among terminals", try: in("dev/n", made(func(p string) error { return unix.Mknod(p, unix.S_IFREG|0o600, 0) })), want: unix.EACCES},
	{name: "make device among terminals", try: in("dev/n", made(func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) })), want: unix.EACCES},
	{name: "connect", try: tcp(func(s scene) int { return s.Open }, unix.Connect)},
	{name: "connect elsewhere", try: tcp(func(s scene) int { return s.Closed }, unix.Connect), want: unix.EACCES},
	{name: "bind", try: tcp(func(s scene) int { return s.Bindable }, unix.Bind)},
	{name: "bind elsewhere", try: tcp(func(s scene) int { return s.Taken }, unix.Bind), want: unix.EACCES},
	{name: "signal parent", try: func(_ string, s scene) error { return unix.Kill(s.Parent, 0) }, want: unix.EPERM},
	{name: "abstract socket", try: abstract, want: unix.EPERM},
}

func ioctl(p string) error {
	fd, err := unix.Open(p, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.IoctlGetTermios(fd, unix.TCGETS)
	return err
}

func abstract(_ string, s scene) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: s.Abstract})
}

// runVictim starts the test binary again as a victim.
func runVictim(t *testing.T, dir string, s scene, ruleset int) map[string]syscall.Errno {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), victimDir+"="+dir, "SCENE="+string(text))
	if ruleset >= 0 {
		dup, err := unix.FcntlInt(uintptr(ruleset), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(dup), "ruleset")
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
		cmd.Env = append(cmd.Env, "RESTRICT=1")
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("victim: %v", err)
	}
	results := map[string]syscall.Errno{}
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

// listen opens a loopback port that stays open for the test.
func listen(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// free finds a port nobody uses.
func free(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

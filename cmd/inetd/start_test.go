package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
)

// fakeEnv tells the stand-in for casemated what to do.
const fakeEnv = "CASEMATE_TEST_FAKE"

// TestMain makes the test's own binary, under their names, inetd and a casemated that serves nobody.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "inetd":
		os.Exit(run(os.Args, os.Stdout, os.Stderr))
	case "casemated":
		os.Exit(fake())
	}
	os.Exit(m.Run())
}

// fake says something, as casemated does about its policy, and then that it serves, that it cannot,
// or nothing.
func fake() int {
	fmt.Fprintf(os.Stderr, "a warning\nargs %q\n", os.Args[1:])
	switch os.Getenv(fakeEnv) {
	case "fails":
		fmt.Fprintln(os.Stderr, "casemated: no such thing")
		return 1
	case "serves":
		c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		for _, text := range []string{"", "STATUS=READY=1 soon", "MAINPID=1\nREADY=1"} {
			if _, err := c.Write([]byte(text)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	time.Sleep(2 * time.Minute) // the test ends it
	return 0
}

// pair is a folder with both programs in it, and inetd's command line.
func pair(t *testing.T) (dir string, cmd func(does string, args ...string) *exec.Cmd) {
	t.Helper()
	need.Root(t, "inetd is root's")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = os.MkdirTemp("/var/tmp", "casemate-test-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, name := range []string{"inetd", "casemated"} {
		if err := os.WriteFile(filepath.Join(dir, name), self, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/inetd.conf", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, func(does string, args ...string) *exec.Cmd {
		c := exec.Command(dir+"/inetd", append([]string{"--control", dir + "/run/c.sock", "--log", dir + "/log/x", "-p" + dir + "/pid"}, append(args, dir+"/inetd.conf")...)...)
		c.Env = append(os.Environ(), fakeEnv+"="+does)
		return c
	}
}

func pidOf(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// left are the files that inetd leaves beside its policy.
func left(t *testing.T, dir string) (out []string) {
	t.Helper()
	all, err := filepath.Glob(dir + "/run/inetd-*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if !strings.HasSuffix(name, ".cm.hcl") {
			out = append(out, filepath.Base(name))
		}
	}
	return out
}

// TestBackground: inetd returns when casemated says that it serves, and not before; what
// casemated said is on the terminal, its pid in the file, and nothing else is left.
func TestBackground(t *testing.T) {
	dir, cmd := pair(t)
	for range 2 { // the second finds what the first has left
		out, err := cmd("serves", "-R4").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "a warning\n") || !strings.Contains(string(out), "/inetd.conf\" \"/etc/hosts.allow\" \"/etc/hosts.deny\"") {
			t.Fatalf("%v\n%s", err, out)
		}
		pid := pidOf(t, dir)
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil || exe != dir+"/casemated" {
			t.Errorf("the pid file says %d, which is %s (%v)", pid, exe, err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		if names := left(t, dir); len(names) != 1 || !strings.HasPrefix(names[0], "stderr-") {
			t.Errorf("%v is left", names)
		}
	}
}

// TestCannotStart: an error of casemated's is inetd's, with exit status 1, no pid file and
// nothing left.
func TestCannotStart(t *testing.T) {
	dir, cmd := pair(t)
	c := cmd("fails")
	out, err := c.CombinedOutput()
	if err == nil || c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "casemated: no such thing\ninetd: casemated has ended: exit status 1\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(dir + "/pid"); err == nil {
		t.Error("a pid file of nobody")
	}
	if names := left(t, dir); names != nil {
		t.Errorf("%v is left", names)
	}
	c = cmd("serves", "-p/nowhere/pid")
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "inetd: pid file: ") {
		t.Errorf("%v\n%s", err, out)
	}
	if names := left(t, dir); names != nil {
		t.Errorf("%v is left of what could not write its pid", names)
	}
}

// TestInterrupted: who gives up on a casemated that does not come has none.
func TestInterrupted(t *testing.T) {
	dir, cmd := pair(t)
	c := cmd("hangs")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	up := func() bool {
		names, _ := filepath.Glob(dir + "/run/inetd-*/stderr-*")
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), "a warning") {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(time.Minute); !up(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("casemated does not come")
		}
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || c.ProcessState.ExitCode() != 1 {
		t.Errorf("interrupted: %v", err)
	}
	if names := left(t, dir); names != nil {
		t.Errorf("%v is left", names)
	}
}

// TestForegroundIsCasemated: in the foreground inetd becomes casemated, under the pid of the file.
func TestForegroundIsCasemated(t *testing.T) {
	dir, cmd := pair(t)
	c := cmd("fails", "-d", "--log", "-")
	out, err := c.CombinedOutput()
	if err == nil || c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "casemated: no such thing") || strings.Contains(string(out), "inetd: ") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"yields           = true", "# " + dir + "/casemated --control " + dir + "/run/c.sock --log - -- " + dir + "/run/inetd-"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("-d shows no %q:\n%s", want, out)
		}
	}
	if pid := pidOf(t, dir); pid != c.Process.Pid {
		t.Errorf("the pid file says %d, want %d", pid, c.Process.Pid)
	}
}

// TestPlantedPidFile (an old xinetd dumped its state into /tmp, where a link had root overwrite any
// file): the pid file is written through no link that somebody else may have planted, nor
// into a folder that somebody else may write; what is there stays as it was.
func TestPlantedPidFile(t *testing.T) {
	dir, cmd := pair(t)
	const eve = 64904
	precious, folder := dir+"/precious", dir+"/folder"
	if err := errors.Join(os.WriteFile(precious, []byte("precious"), 0o600), os.Mkdir(folder, 0o755), os.Symlink(precious, folder+"/pid"), os.Lchown(folder+"/pid", eve, eve)); err != nil {
		t.Fatal(err)
	}
	for of, plant := range map[string]func() error{
		"root's folder, with eve's link": func() error { return nil },
		"eve's folder":                   func() error { return os.Chown(folder, eve, eve) },
		"everybody's folder, as /tmp":    func() error { return errors.Join(os.Chown(folder, 0, 0), os.Chmod(folder, 0o777|os.ModeSticky)) },
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		// In the foreground it is written before casemated is there, else when that serves, and has to end again.
		for does, args := range map[string][]string{"fails": {"-p" + folder + "/pid", "-f"}, "serves": {"-p" + folder + "/pid"}} {
			out, err := cmd(does, args...).CombinedOutput()
			if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "inetd: pid file: ") {
				t.Errorf("%s, %q: %v\n%s", of, args, err, out)
			}
			if text, err := os.ReadFile(precious); err != nil || string(text) != "precious" {
				t.Fatalf("%s, %q: the file that the link leads to holds %q (%v); inetd said\n%s", of, args, text, err, out)
			}
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inside is the first argument of this program where it is process 1 of a test's namespaces.
const inside = "inside"

// A test that hangs ends itself before (tests/root/rig), and one that does not even that after so long.
const limit = "-test.timeout=15m"

// private are the folders of the host that a test has to itself. Not that of the leased uids: there is one set of these for all, and
// the kernel counts the processes of each.
var private = []string{"/run/casemate", "/var/lib/casemate"}

// run runs one test, in namespaces of its own but for those of the host.
func (x test) run() result {
	args := []string{"-test.run=^" + x.name + "$", "-test.v", limit}
	cmd := exec.Command(x.binary, args...)
	if host[x.name] == "" {
		cmd = exec.Command("/proc/self/exe", append([]string{inside, x.binary}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
			Pdeathsig: syscall.SIGKILL}
	}
	cmd.Dir = x.dir
	began := time.Now()
	out, err := cmd.CombinedOutput()
	return result{x, time.Since(began), out, err}
}

// enter makes the namespaces what a test expects of a host, runs the command there, and reaps what loses its parent; it
// gives the exit status.
func enter(command []string) int {
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "lanes:", err)
		return 1
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "lanes:", err)
		return 1
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "lanes: wait:", err)
			return 1
		case pid == cmd.Process.Pid && status.Signaled():
			fmt.Fprintln(os.Stderr, "lanes: killed by", status.Signal())
			return 1
		case pid == cmd.Process.Pid:
			return status.ExitStatus() // and all that is left of it ends with this process
		}
	}
}

// furnish mounts a /proc of its own and empty private folders, and brings up lo.
func furnish() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range private {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("casemate-lanes", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}

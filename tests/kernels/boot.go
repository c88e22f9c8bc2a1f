package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// machine is one boot.
type machine struct {
	name                 string
	on                   *architecture
	kernel, initrd, root string        // root is the disk; what a machine writes to it is gone with the machine
	words                string        // for the kernel's command line: guest= names the program that takes the root over
	console, report      string        // files that keep what the serial lines said
	deadline             time.Duration // of the whole boot
	passed               *passed       // what has passed there before
	kvm                  bool          // run by the processor itself, in place of being emulated
}

// kvm tells whether this host's processor runs machines. Asked are the processor, for a kernel that makes them without its help runs
// one such as Debian's worse than an emulator does, and the kernel, which may refuse to.
func kvm() bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !slices.ContainsFunc(strings.Fields(string(text)), func(w string) bool { return w == "vmx" || w == "svm" }) {
		return false
	}
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	const create = 0xAE01 // KVM_CREATE_VM of linux/kvm.h
	vm, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), create, 0)
	if errno != 0 {
		return false
	}
	unix.Close(int(vm))
	return true
}

// accelerator is what runs the machine, for the report.
func (m *machine) accelerator() string {
	if m.kvm {
		return "KVM"
	}
	return "emulation"
}

// processor are the options for it. By KVM it is this host's, with real time and one core of two threads. Emulated there is one, whose time is
// two nanoseconds for each instruction, and idle time passes at once, so no time-out in there depends on how busy this host is: unless
// it waits for a disk, for which the time that passes is none.
func (m *machine) processor() (options []string, kernel string) {
	if m.kvm {
		return []string{"-accel", "kvm", "-cpu", "host", "-smp", "2,cores=1,threads=2"}, ""
	}
	sleep := "off"
	if m.on == arm64 {
		sleep = "on"
	}
	return []string{"-accel", "tcg", "-icount", "shift=1,sleep=" + sleep, "-cpu", m.on.emulated, "-smp", "1"}, "mitigations=off "
}

// boot starts the machine and reads its report until the last mark or the
// deadline; then the machine is ended. It has no network.
func (m *machine) boot(ctx context.Context) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, m.deadline)
	defer cancel()
	processor, words := m.processor()
	machine := slices.Clone(m.on.qemu[1:])
	machine[len(machine)-1] += m.root
	args := slices.Concat(machine, processor, []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.initrd,
		"-append", fmt.Sprintf("console=%s quiet panic=-1 %srdinit=/init report=%s %s", m.on.console, words, m.on.report, m.words)})
	cmd := exec.CommandContext(ctx, m.on.qemu[0], append(args, m.on.serials(m.console)...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	kept, err := os.Create(m.report)
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	r := &report{passed: m.passed}
	err = r.read(io.TeeReader(out, kept))
	expired := ctx.Err()
	cancel()
	_ = cmd.Wait()
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if errors.Is(expired, context.DeadlineExceeded) {
		r.faults = append(r.faults, fmt.Sprintf("the machine did not end within %s", m.deadline))
	}
	return r, err
}

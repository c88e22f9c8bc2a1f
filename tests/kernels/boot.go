package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// machine is one boot.
type machine struct {
	name            string
	on              *architecture
	kernel, initrd  string
	next            string        // the program that takes the moved root over
	console, report string        // files that keep what the serial lines said
	deadline        time.Duration // of the whole boot
}

// boot starts the machine and reads its report until the last mark or the
// deadline; then the machine is ended. Neither KVM nor any network is used. The guest's time is two nanoseconds for each instruction, and idle
// time passes at once, so no time-out in there depends on how busy this host is.
func (m *machine) boot(ctx context.Context) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, m.deadline)
	defer cancel()
	args := append(m.on.qemu[1:len(m.on.qemu):len(m.on.qemu)],
		"-accel", "tcg", "-icount", "shift=1,sleep=off", "-smp", "1", "-m", "3072",
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.initrd,
		"-append", fmt.Sprintf("console=%s quiet panic=-1 mitigations=off rdinit=/init report=%s guest=%s", m.on.console, m.on.report, m.next))
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
	r := new(report)
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

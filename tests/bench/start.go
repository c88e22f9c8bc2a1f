package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"casemate/policy/calls"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// batch is how many starts one turn makes.
const batch = 100

// starter runs the service's program batch times, one after the other, waiting
// for each to end.
type starter struct {
	name  string
	run   func() (time.Duration, error)
	close func()
}

// floor is the C loop of vfork, exec and wait: what the kernel asks for a
// process, with nothing around it.
func floor(ctx context.Context, b *bench) (*starter, error) {
	cmd := exec.CommandContext(ctx, b.vforkloop, strconv.Itoa(batch), b.answer)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", b.vforkloop, err)
	}
	lines := bufio.NewReader(out)
	return &starter{
		name: "vfork+exec",
		run: func() (time.Duration, error) {
			if _, err := in.Write([]byte{'g'}); err != nil {
				return 0, err
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				return 0, fmt.Errorf("read from the vfork loop: %w", err)
			}
			ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			return time.Duration(ns), err
		},
		close: func() {
			_ = in.Close()
			_ = cmd.Wait()
		},
	}, nil
}

// sandboxed starts the program through a zygote, as the broker does: one
// request, one reply, one wait for the child, by the same thread.
func sandboxed(name string, z *zygote.Zygote) (*starter, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	fds := []int{int(null.Fd())}
	id := uint64(0)
	return &starter{
		name: name,
		run: func() (time.Duration, error) {
			began := time.Now()
			for range batch {
				id++
				if err := once(z, &zygote.Request{ID: id, FDs: fds}); err != nil {
					return 0, err
				}
			}
			return time.Since(began), nil
		},
		close: func() {
			_ = null.Close()
			_ = z.Close()
			_, _ = wait(z.PID())
		},
	}, nil
}

// once makes one start and waits for its end.
func once(z *zygote.Zygote, r *zygote.Request) error {
	if err := z.Send(r); err != nil {
		return fmt.Errorf("send to the zygote: %w", err)
	}
	reply, err := z.Recv()
	for errors.Is(err, unix.EAGAIN) {
		poll := []unix.PollFd{{Fd: int32(z.FD()), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, 10_000); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		reply, err = z.Recv()
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the zygote is gone")
	}
	if err != nil {
		return err
	}
	if err := reply.Err(); err != nil {
		return err
	}
	status, err := wait(reply.PID)
	if err != nil {
		return err
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		return fmt.Errorf("the program ended with wait status %#x", uint32(status))
	}
	return nil
}

func wait(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

// everyLayer is the profile whose price is asked: what everyLayerHCL says.
func everyLayer() sandbox.Profile {
	return sandbox.Profile{
		Name:      "bench",
		Network:   sandbox.Network{Mode: "none"},
		Files:     sandbox.Files{Tmp: 1 << 20, Proc: true, Dev: []string{"full", "null", "random", "urandom", "zero"}},
		Syscalls:  sandbox.Syscalls{Allow: []string{"@files"}, OnViolation: "errno"},
		Resources: sandbox.Resources{sandbox.OpenFiles: 64},
	}
}

// nobody is Debian's, and its group nogroup.
const nobody = 65534

func (b *bench) command() sandbox.Command {
	return sandbox.Command{Service: "bench", Path: b.answer, Argv: []string{"answer"}, Dir: "/", UID: nobody, GID: nobody, Umask: 0o077}
}

// layers are what can be left out of a start, each by editing the profile, the
// zygote's plan, or both.
var layers = []struct {
	name    string
	profile func(*sandbox.Profile)
	plan    func(*zygote.Plan)
}{
	{name: "every layer"},
	{name: "no mount namespaces made ahead", plan: func(p *zygote.Plan) { p.Slots = 0 }},
	{name: "a new tmpfs for each", plan: func(p *zygote.Plan) { p.Keeps = false }},
	{name: "no private /tmp", profile: func(p *sandbox.Profile) { p.Files.Tmp = 0 }},
	{name: "no /proc", profile: func(p *sandbox.Profile) { p.Files.Proc = false }},
	{name: "no /tmp, no /proc", profile: func(p *sandbox.Profile) { p.Files.Tmp, p.Files.Proc = 0, false }},
	{name: "no pid namespace, no /proc", profile: func(p *sandbox.Profile) { p.Files.Proc = false },
		plan: func(p *zygote.Plan) { p.CloneFlags &^= unix.CLONE_NEWPID; p.Filter = nil }},
	{name: "no seccomp filter", plan: func(p *zygote.Plan) { p.Filter = nil }},
	{name: "no landlock", plan: func(p *zygote.Plan) { p.Landlock = -1 }},
	{name: "no network namespace", plan: func(p *zygote.Plan) { p.Namespaces &^= unix.CLONE_NEWNET }},
	{name: "with the server profile's filter, and so an ipc namespace for each", profile: func(p *sandbox.Profile) {
		p.Syscalls.Allow = []string{"@server"}
	}},
	{name: "with a seal (second filter)", profile: func(p *sandbox.Profile) { p.Syscalls.Seal = true }},
	{name: "with an init", profile: func(p *sandbox.Profile) { p.Init = true }},
	{name: "without speculative store bypass", profile: func(p *sandbox.Profile) {
		p.Processor.StoreBypass, p.BestEffort = "off", []string{"processor"}
	}},
	{name: "without speculation on indirect branches", profile: func(p *sandbox.Profile) {
		p.Processor.IndirectBranch, p.BestEffort = "off", []string{"processor"}
	}},
}

// compareStart measures a start against the floor, and each layer by leaving
// it out, all in turns.
func compareStart(ctx context.Context, b *bench) error {
	zygote.QuietChildren() // as casemated does
	var all []*starter
	defer func() {
		for _, s := range all {
			s.close()
		}
	}()
	f, err := floor(ctx, b)
	if err != nil {
		return err
	}
	all = append(all, f)
	for _, l := range layers {
		s, err := b.layer(l.name, l.profile, l.plan)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		all = append(all, s)
	}
	took := map[string][]float64{} // microseconds for each start, one value for each round
	for round := -1; round < b.rounds; round++ {
		for i := range all {
			s := all[(i+max(round, 0))%len(all)]
			if err := ctx.Err(); err != nil {
				return err
			}
			d, err := s.run()
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if round >= 0 {
				took[s.name] = append(took[s.name], float64(d.Nanoseconds())/1e3/batch)
			}
		}
	}
	b.reportStart(took)
	return nil
}

// layer prepares one variant and starts its zygote.
func (b *bench) layer(name string, profile func(*sandbox.Profile), plan func(*zygote.Plan)) (*starter, error) {
	p := everyLayer()
	if profile != nil {
		profile(&p)
	}
	named, err := calls.Resolve(&p.Syscalls)
	if err != nil {
		return nil, err
	}
	numbered, err := seccomp.Numbered(named)
	if err != nil {
		return nil, err
	}
	p.Syscalls.Filter, p.Syscalls.Rules = "own", filter.Encode(numbered)
	pl, err := sandbox.NewPlan(p, b.command())
	if err != nil {
		return nil, err
	}
	pl.Filter = launch.Compile(pl.Shape(sandbox.ABI()))
	box, err := sandbox.Prepare(pl, sandbox.Options{})
	if err != nil {
		return nil, err
	}
	defer box.Close() // the zygote keeps what it needs
	zp, err := box.Filled()
	if err != nil {
		return nil, err
	}
	if plan != nil {
		plan(&zp)
	}
	z, err := zygote.Spawn(&zp)
	if err != nil {
		return nil, err
	}
	return sandboxed(name, z)
}

func (b *bench) reportStart(took map[string][]float64) {
	base, full := took["vfork+exec"], took["every layer"]
	paired := func(v, of []float64, f func(a, b float64) float64) estimate {
		var r []float64
		for i := range v {
			r = append(r, f(v[i], of[i]))
		}
		return about(r)
	}
	against := func(v, of []float64) estimate { return paired(v, of, func(a, b float64) float64 { return a / b }) }
	apart := func(v, of []float64) float64 { return paired(v, of, func(a, b float64) float64 { return a - b }).Ratio }
	t := table{
		title: "Start: one program, one after the other",
		note: fmt.Sprintf("Medians of %d rounds of %d starts each, in turns. The floor is a C loop of vfork, execve and waitpid of the same static program; "+
			"casemate's way is request, clone, the last steps, execve, reply, wait. The interval of a ratio holds the true one in 95 of 100 runs.", len(full), batch),
		head: []string{"way", "µs", "ratio to the floor", "against every layer µs"},
	}
	t.add("vfork+exec", fmt.Sprintf("%.0f", median(base)), "1.00", "")
	for _, l := range layers {
		v := took[l.name]
		t.add(l.name, fmt.Sprintf("%.0f", median(v)), against(v, base), fmt.Sprintf("%+.0f", apart(v, full)))
	}
	t.print(b.out)
	r := result{Work: "a start in the full sandbox, one after the other", Unit: "µs", Ours: median(full), Floor: new(median(base))}
	b.results.add(r.to("vfork+exec in C", against(full, base), atMost(1.25)).briefly())
}

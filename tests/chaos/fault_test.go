package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// fault is one thing that is done to the broker and its processes.
type fault struct {
	name string
	// cost is how many requests each good client of the service that is hit may
	// lose by it; of every service, where none is named to begin. They began before it was over, or so long after it.
	cost  int
	after time.Duration
	// alone is what no two faults may do at once, "" = nothing.
	alone string
	do    func(w *world, f *fault, rnd *rand.Rand)
	// off is why the fault is not done.
	off string
}

var faults = slices.Concat(processes, policies, scarcities, operators)

// processes are killed and stopped.
var processes = []*fault{
	{name: "kill a zygote", cost: 2, after: slowStart, do: kills(zygotes, unix.SIGKILL)},
	{name: "kill a program", cost: 1, after: moment, do: kills(programs, unix.SIGKILL)},
	{name: "ask a program to end", cost: 1, after: moment, do: kills(programs, unix.SIGTERM)},
	{name: "kill a helper", do: kills(helpers, unix.SIGKILL)},
	{name: "stop a zygote", do: stops(zygotes)},
	{name: "stop a zygote for good", cost: 3, after: slowStart, do: kills(zygotes, unix.SIGSTOP)},
	{name: "stop a program", do: stops(programs)},
	{name: "stop a helper", do: stops(helpers)},
	{name: "kill the broker", cost: 1, after: moment, alone: "broker", do: killBroker},
	{name: "signals that mean nothing", do: func(w *world, f *fault, rnd *rand.Rand) {
		h := w.ledger.begin(f, "")
		for _, s := range []syscall.Signal{unix.SIGCHLD, unix.SIGPIPE, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT} {
			_ = w.broker.Signal(s)
		}
		w.ledger.end(h)
	}},
}

// policies are loaded, good ones and bad ones.
var policies = []*fault{
	{name: "HUPs, nothing changed", do: func(w *world, f *fault, rnd *rand.Rand) { w.hups(f, rnd, nil) }},
	{name: "HUPs, policies that change", alone: "policy", do: func(w *world, f *fault, rnd *rand.Rand) {
		w.hups(f, rnd, func() string { return w.site.text(rnd.IntN(variants)) })
	}},
	{name: "HUPs, policies that are bad", alone: "policy", do: func(w *world, f *fault, rnd *rand.Rand) {
		texts := w.site.bad()
		w.hups(f, rnd, func() string { return texts[rnd.IntN(len(texts))] })
	}},
	{name: "reloads by the control socket", alone: "policy", do: func(w *world, f *fault, rnd *rand.Rand) {
		h := w.ledger.begin(f, "")
		for range 3 {
			w.write(w.site.text(rnd.IntN(variants)))
			_, _ = w.broker.Request(control.Request{Verb: control.VerbReload})
		}
		w.ledger.end(h)
	}},
	{name: "reloads that narrow", alone: "policy", do: narrow},
}

// scarcities are of what the kernel gives.
var scarcities = []*fault{
	{name: "no descriptors", cost: 3, after: slowStart, alone: "descriptors", do: func(w *world, f *fault, rnd *rand.Rand) {
		var old unix.Rlimit
		if unix.Prlimit(w.broker.PID, unix.RLIMIT_NOFILE, nil, &old) != nil {
			return
		}
		h := w.ledger.begin(f, "")
		if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.broker.PID)); err == nil {
			_ = unix.Prlimit(w.broker.PID, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(fds) + rnd.IntN(8)), Max: old.Max}, nil)
		}
		pause(rnd, 1000)
		_ = unix.Prlimit(w.broker.PID, unix.RLIMIT_NOFILE, &old, nil)
		w.ledger.end(h)
	}},
	{name: "no pids", cost: 20, after: slowStart, alone: "pids", do: func(w *world, f *fault, rnd *rand.Rand) {
		if w.pids == "" {
			return
		}
		h := w.ledger.begin(f, "")
		rig.SetPids(w.t, w.pids, rnd.IntN(4))
		pause(rnd, 1000)
		rig.SetPids(w.t, w.pids, -1)
		w.ledger.end(h)
	}},
	{name: "a full disk", alone: "log", do: func(w *world, f *fault, rnd *rand.Rand) {
		h := w.ledger.begin(f, "")
		ballast := filepath.Join(w.logs, "ballast")
		if file, err := os.Create(ballast); err == nil {
			block := make([]byte, 1<<20)
			for err == nil {
				_, err = file.Write(block)
			}
			file.Close()
		}
		pause(rnd, 1500)
		_ = os.Remove(ballast)
		w.ledger.end(h)
	}},
	{name: "the log moved", alone: "log", do: func(w *world, f *fault, rnd *rand.Rand) {
		h := w.ledger.begin(f, "")
		w.moved++
		if err := os.Rename(w.broker.LogFile, fmt.Sprintf("%s.%d", w.broker.LogFile, w.moved)); err == nil {
			_ = w.broker.Signal(unix.SIGHUP)
		}
		w.ledger.end(h)
	}},
}

// builtins begins a fault that is one of every built-in.
func (w *world) builtins(f *fault) (end func()) {
	var all []*harm
	for _, x := range w.site.targets {
		if x.builtin {
			all = append(all, w.ledger.begin(f, x.name))
		}
	}
	return func() {
		for _, h := range all {
			w.ledger.end(h)
		}
	}
}

// hups sends a storm of HUPs, each with another policy where text gives one.
func (w *world) hups(f *fault, rnd *rand.Rand, text func() string) {
	h := w.ledger.begin(f, "")
	for range 1 + rnd.IntN(8) {
		if text != nil {
			w.write(text())
		}
		_ = w.broker.Signal(unix.SIGHUP)
		pause(rnd, 60)
	}
	w.ledger.end(h)
}

// write puts a policy where the broker finds it.
func (w *world) write(text string) {
	if err := w.broker.WritePolicy("storm.cm.hcl", text); err != nil {
		w.t.Error(err)
	}
}

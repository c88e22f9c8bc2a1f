package warden

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"casemate/listener"
	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/panics"
	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

// The descriptors that the broker is born with.
const (
	BrokerErrands = iota + 3
	BrokerTidings
	BrokerDoor
	BrokerLog
	BrokerLoadAvg
	BrokerNull
	BrokerSaid
	brokerEnd
)

// Brief is the first message to the broker.
type Brief struct {
	About
	// Passed are the keys of the sockets that a service manager passed on.
	Passed []string
	// Owner and Operators are Door's.
	Owner, Operators uint32
	// Reopens says that the log can be opened again.
	Reopens bool
	// Watch is how often a service manager wants to hear that all is well; 0 is never.
	Watch time.Duration
	Notes []Note
}

// Note is something for the log: of survivors of an earlier broker, how many were ended and left.
type Note struct {
	Msg, Text   string
	Ended, Left int
}

// About is what status and the first record show, and how records look.
type About struct {
	// PID is casemated's, and Started when it began.
	PID     int
	Started time.Time
	// Policy are the paths that it is read from.
	Policy []string
	// LogPath is where the log lies; "" is stderr.
	LogPath string
	// Journal prefixes each line with its priority (sd-daemon(3)).
	Journal bool
	Version string
}

// StartBroker starts the broker's process, which gets files from BrokerDoor on, beside what it speaks with root
// over. It blocks. before is the one that has ended, nil for none: its listeners stay open.
func (w *Warden) StartBroker(conf BrokerConfig, brief Brief, before *Broker, files ...int) (*Broker, error) {
	b := w.newBroker(conf)
	if before != nil {
		b.inherit(before)
	}
	box, err := w.brokerBox()
	if err != nil {
		return nil, err
	}
	uid, err := w.lease()
	if err != nil {
		return nil, err
	}
	pairs := [2][2]int{{-1, -1}, {-1, -1}}
	defer func() {
		if b.pid == 0 {
			unix.Close(pairs[0][0])
			unix.Close(pairs[1][0])
		}
	}()
	for i := range pairs {
		if pairs[i], err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
			return nil, os.NewSyscallError("socketpair", err)
		}
		defer unix.Close(pairs[i][1])
	}
	if err = Send(pairs[0][0], brief); err != nil {
		return nil, err
	}
	fds := append([]int{pairs[0][1], pairs[1][1]}, files...)
	if b.pid, err = w.launch(prepared{box}, uid, append(fds, 2)...); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	ended := make(chan error, 1)
	if err = b.speak(pairs[0][0], pairs[1][0], func() { conf.Ended(<-ended) }); err == nil {
		err = w.loop.Do(func() {
			w.bury(b.pid, func(e Exit) {
				b.wire.Ready(0) // of what runs it may have told last
				b.wire.Close()
				_ = unix.Shutdown(b.errand, unix.SHUT_RDWR) // whoever else it has given its end to
				ended <- exitError(e)
			})
		})
	}
	return b, err
}

// brokerBox makes the broker's sandbox once: the program that this process knows how to speak with follows itself, whatever has been
// installed in its place since.
func (w *Warden) brokerBox() (*sandbox.Sandbox, error) {
	if w.box != nil {
		return w.box, nil
	}
	plan, err := w.helperPlan(brokerProfile(int64(FileLimit())-program.FDCount), "casemate-worker", "broker")
	if err != nil {
		return nil, err
	}
	plan.Command.Stdio, plan.Command.Sockets, plan.Command.Listens, plan.Command.HostPIDs = sandbox.StdioFDs, brokerEnd-BrokerErrands, true, true
	plan.Command.OOMScore, plan.Command.Outputs = sandbox.AsCasemated, 1
	if err = w.fit(plan); err != nil {
		return nil, err
	}
	w.box, err = sandbox.Prepare(plan, sandbox.Options{})
	return w.box, err
}

func (w *Warden) newBroker(conf BrokerConfig) *Broker {
	b := &Broker{w: w, conf: conf, docs: make(map[string]*granted.Document), sites: make(map[uint64]*surveyed), cells: make(map[uint64]*lent),
		sockets: make(map[uint64]*listener.Socket), specs: make(map[string]map[listener.Spec]bool), left: make(map[string]*listener.Socket), roles: make(map[string]*Helper)}
	for name := range roles {
		b.roles[name] = w.Helper(name)
	}
	return b
}

// Serve does errands for a broker at the other ends of two SOCK_SEQPACKET sockets, until it has gone: for tests, whose
// broker is no process of its own.
func (w *Warden) Serve(conf BrokerConfig, errand, tidings int) (*Broker, error) {
	b := w.newBroker(conf)
	return b, b.speak(errand, tidings, func() { conf.Ended(nil) })
}

// speak begins to do errands and to tell tidings; gone is called when the broker sends no more errands.
func (b *Broker) speak(errand, tidings int, gone func()) (err error) {
	b.errand = errand
	derr := b.w.loop.Do(func() {
		b.wire, err = NewWire(b.w.loop, tidings, b.heard, func(error) { b.w.Kill(b.pid, unix.SIGKILL) })
	})
	if err = errors.Join(derr, err); err != nil {
		return err
	}
	panics.Go(b.serve, func(error) { gone() })
	return nil
}

// exitError says how a broker has ended that was not to; nil is status 0.
func exitError(e Exit) error {
	switch {
	case e.Status.Signaled():
		return fmt.Errorf("the broker was killed by %s", unix.SignalName(e.Status.Signal()))
	case e.Status.ExitStatus() != 0:
		return fmt.Errorf("the broker ended with status %d", e.Status.ExitStatus())
	}
	return nil
}

// inherit takes what the broker before has left: its listeners, and the sandboxes of helpers. Those of services go, and their zygotes.
func (b *Broker) inherit(before *Broker) {
	before.mu.Lock()
	defer before.mu.Unlock()
	b.resume, b.left, b.roles = cmp.Or(before.force, before.resume, before.docs[before.newest]), before.left, before.roles // the last: it was not to be loaded then
	for _, s := range before.sockets {
		if old := b.left[s.Spec.Key()]; old != nil { // as of a udp service, which has many
			listener.Close(old.FD)
		}
		b.left[s.Spec.Key()] = s
	}
	b.lent, b.again = before.lent, before.lent
	for _, c := range before.cells {
		_ = c.Close() // what sessions that end are still in stays behind
	}
	for _, s := range before.sites {
		s.Close()
	}
	unix.Close(before.errand)
	before.cells, before.sites, before.sockets, before.errand = nil, nil, nil, -1
}

// Served tells whether a policy was in force.
func (b *Broker) Served() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.force != nil
}

// Kill ends a broker that does not.
func (b *Broker) Kill() { _ = b.w.loop.Post(func() { b.w.Kill(b.pid, unix.SIGKILL) }) }

// Stop tells the broker to end, which none follows then.
func (b *Broker) Stop() { b.final.Store(true); b.Tell(TellStop) }

// Tell tells the broker to load its policy.
func (b *Broker) Tell(k TidingKind) { _ = b.w.loop.Post(func() { b.wire.Send(Tiding{Kind: k}) }) }

// LeaveOff buries the zygotes and helpers that a broker has left, which end with their sockets or are killed, and looks for programs
// that they had started and it did not know. It is called on the loop, and reports how many programs of sessions there are.
func (w *Warden) LeaveOff() (sessions int) {
	for pid, c := range w.known {
		if c.timer.Owner == nil {
			panics.Go(func() error { _, err := w.endChild(pid, graceTime); return err }, func(error) {})
		} else {
			sessions++
		}
	}
	w.Sweep()
	return sessions
}

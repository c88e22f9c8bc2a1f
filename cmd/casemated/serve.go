package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"casemate/listener"
	"casemate/listener/host"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
	"casemate/sandbox/panics"
	"casemate/sandbox/seccomp/program"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// serve has the broker serve until a signal stops it.
func serve(o *options) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root to bind low ports, make namespaces and change users: run it with sudo, or try `casemate check` and `casemate explain`, which need nothing")
	}
	if err := program.Withhold(); err != nil {
		return sandbox.OnKernel(err)
	}
	caps, err := warden.ProvePrivileges()
	if err != nil {
		return err
	}
	if err := o.begin(); err != nil {
		return err
	}
	// A channel each: however many HUPs come, they are one reload more, and none
	// takes the place of a TERM.
	hup, term := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	// PIPE only so that a closed log does not end casemated; being caught, not
	// ignored, it is back at its default in every program started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	zygote.QuietChildren()
	r, err := newRoot(o, caps)
	if err != nil {
		return err
	}
	defer r.door.Close()
	panics.Go(func() error { return r.keep(hup, term) }, func(err error) { r.err = err; _ = r.loop.Post(r.loop.End) })
	return errors.Join(r.loop.Run(), r.err)
}

// root is casemated's own process.
type root struct {
	o      *options
	loop   *loop.Loop
	blocks *host.Blocks
	warden *warden.Warden
	door   *warden.Door
	brief  warden.Brief
	files  [3]*os.File // from warden.BrokerLoadAvg on
	err    error
	served atomic.Bool // a policy has been in force
}

// newRoot takes the control socket, so that two of them cannot run on one, and what is left of others.
func newRoot(o *options, caps []string) (*root, error) {
	r := &root{o: o}
	listener.Undertake = zygote.Undertake
	var strange []error
	o.Inherited, strange = listener.Inherit()
	for _, err := range strange {
		r.note("socket passed by the service manager is not used", err.Error())
	}
	r.note("capabilities", strings.Join(caps, " "))
	if err := sandbox.ClaimCgroups(); err != nil {
		r.note("control groups", err.Error())
	}
	var err error
	for i, path := range []string{"/proc/loadavg", "/dev/null"} {
		if r.files[i], err = os.OpenFile(path, []int{os.O_RDONLY, os.O_WRONLY}[i], 0); err != nil {
			return nil, err
		}
	}
	if r.files[2], err = hostpath.Within(o.Past, func() (*os.File, error) { return hostpath.Keep(filepath.Join(o.Past, ".bans"), unix.O_RDWR) }); err != nil {
		r.note("bans will end with the broker", err.Error())
		r.files[2], _ = os.Open(os.DevNull) // nothing to read, and no way to write
	}
	if r.loop, err = loop.New(); err != nil {
		return nil, err
	}
	if r.door, err = warden.OpenDoor(o.control, o.operators); err != nil {
		return nil, err
	}
	// After the control socket: a second one on it must not look after the first one's sessions.
	r.blocks = host.NewBlocks(host.DefaultLeaseDir)
	ended, left, err := r.blocks.Open()
	if err != nil {
		r.door.Close()
		return nil, fmt.Errorf("lease uids: %w", err)
	}
	if ended+left > 0 {
		r.brief.Notes = append(r.brief.Notes, warden.Note{Msg: "survivors of an earlier broker", Ended: ended, Left: left})
	}
	o.Warn = func(topic, msg string, err error) { r.say(slog.LevelWarn, msg, err) }
	panics.SpareThreads()
	r.warden = warden.New(o.Config, r.loop, r.blocks)
	r.brief.About, r.brief.Owner, r.brief.Operators, r.brief.Reopens = o.About, r.door.Owner, r.door.Operators, o.openLog != nil
	usec, _ := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 48) // 0 is nobody
	r.brief.Watch = time.Duration(usec) * time.Microsecond
	r.brief.Passed = slices.Sorted(maps.Keys(o.Inherited))
	return r, nil
}

// note has the broker log something.
func (r *root) note(msg, text string) {
	r.brief.Notes = append(r.brief.Notes, warden.Note{Msg: msg, Text: text})
}

// say writes what the broker cannot log.
func (r *root) say(level slog.Level, msg string, err error) {
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Log(context.Background(), level, msg, "error", err.Error())
}

// stopTime is how long a broker may take to end: more than it gives its sessions and its workers.
const stopTime = 12 * time.Second

// A broker that has ended is followed by another one: at once, or after pause where it has not lived for so long.
const pause = time.Second

// keep keeps a broker running, and has it do what signals ask for.
func (r *root) keep(hup, term <-chan os.Signal) error {
	var before *warden.Broker
	for {
		ended, began := make(chan error, 1), time.Now()
		conf := warden.BrokerConfig{OpenLog: r.o.openLog, Tell: notify, Ended: func(err error) { ended <- err },
			Ready: func() { notify("READY=1"); r.served.Store(true) }}
		b, err := r.start(conf, before)
		if err != nil && !r.served.Load() {
			return err
		}
		if err != nil {
			r.say(slog.LevelError, "no broker", err)
			select {
			case <-term:
				return err
			case <-time.After(pause):
				continue
			}
		}
		stopping, err := r.obey(b, hup, term, ended)
		left := 0
		_ = r.loop.Do(func() { left = r.warden.LeaveOff() })
		_, _ = r.warden.Past() // until when it ran
		switch {
		case stopping && err == nil && left == 0:
			return r.blocks.Settle()
		case stopping:
			return err // what is left may live on, or ends with this process
		case !r.served.Load() && !b.Served():
			return errBroker
		}
		r.say(slog.LevelError, "the broker has ended, another one follows", err)
		r.brief.Notes = []warden.Note{{Msg: "the broker before has ended", Text: fmt.Sprint(err)}}
		time.Sleep(max(pause-time.Since(began), 0))
		before = b
	}
}

// start starts a broker. The log is its alone.
func (r *root) start(conf warden.BrokerConfig, before *warden.Broker) (b *warden.Broker, err error) {
	if r.o.log == nil {
		if r.o.log, err = r.o.openLog(); err != nil {
			return nil, err
		}
	}
	if r.o.openLog != nil {
		defer func() { r.o.log.Close(); r.o.log = nil }()
	}
	return r.warden.StartBroker(conf, r.brief, before, r.door.FD, int(r.o.log.Fd()), int(r.files[0].Fd()), int(r.files[1].Fd()), int(r.files[2].Fd()))
}

// errBroker is of a broker that could not begin, and has said why.
var errBroker = errors.New("")

// obey has the broker do what signals ask for, until it has ended.
func (r *root) obey(b *warden.Broker, hup, term <-chan os.Signal, ended <-chan error) (stopping bool, err error) {
	var late <-chan time.Time
	for {
		select {
		case <-late:
			b.Kill()
		case <-hup:
			notify(warden.Reloading())
			b.Tell(warden.TellReload)
		case <-term:
			stopping = true
			notify("STOPPING=1")
			b.Stop()
			late = time.After(stopTime)
		case err := <-ended:
			return stopping, err
		}
	}
}

// notify tells the service manager, if there is one, or still: cmd/inetd waits for the first READY.
func notify(state string) { _ = warden.Notify(os.Getenv("NOTIFY_SOCKET"), state) }

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"casemate/listener"
	"casemate/listener/broker"
	"casemate/sandbox"
	"casemate/sandbox/panics"
	"casemate/sandbox/seccomp/program"
	"casemate/sandbox/zygote"
)

// serve runs the broker until a signal stops it.
func serve(o *options) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root to bind low ports, make namespaces and change users: run it with sudo, or try `casemate check` and `casemate explain`, which need nothing")
	}
	if err := program.Withhold(); err != nil {
		return sandbox.OnKernel(err)
	}
	caps, err := broker.ProvePrivileges()
	if err != nil {
		return err
	}
	if err := o.openLog(); err != nil {
		return err
	}
	// A channel each: however many HUPs come, they are one reload more, and none
	// takes the place of a TERM.
	hup, term := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	// PIPE only so that a closed log does not end the broker; being caught, not
	// ignored, it is back at its default in every program started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	zygote.QuietChildren()
	o.Tell = func(state string) { _ = broker.Notify(os.Getenv("NOTIFY_SOCKET"), state) } // READY=1 tells of an error
	var strange []error
	o.Inherited, strange = listener.Inherit()
	b, err := broker.New(o.Config)
	if err != nil {
		return err
	}
	for _, err := range strange {
		b.Log("socket passed by the service manager is not used", err.Error())
	}
	b.Log("capabilities", strings.Join(caps, " "))
	if err := sandbox.ClaimCgroups(); err != nil {
		b.Log("control groups", err.Error())
	}
	first := make(chan error, 1)
	panics.Go(func() error { return start(b) }, func(err error) {
		first <- err
		if err != nil {
			b.Stop() // without a first policy there is nothing to run for
		}
		handle(b, hup, reload)
	})
	panics.Go(func() error { handle(b, term, stop); return nil }, b.Bug)
	panics.Go(func() error { return watched(b) }, b.Bug)
	if err := b.Run(); err != nil {
		return err
	}
	select {
	case err := <-first:
		return err // a first load that failed is what has ended it
	default:
		return nil // stopped while it was loading: nothing of that is in force
	}
}

// start loads the first policy.
func start(b *broker.Broker) error {
	_, diags, err := b.Load()
	for _, d := range diags {
		fmt.Fprint(os.Stderr, d.Text)
	}
	if err == nil {
		notify(b, "READY=1")
	}
	return err
}

// handle obeys signals; a bug in one's handling is no reason to miss the next.
func handle(b *broker.Broker, signals <-chan os.Signal, obey func(*broker.Broker)) {
	for range signals {
		if err := panics.Try(func() error { obey(b); return nil }); err != nil {
			b.Bug(err)
		}
	}
}

// watched tells a service manager that wants to hear it (WatchdogSec=) that the loop turns, twice as often as asked.
func watched(b *broker.Broker) error {
	usec, _ := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 48) // 0 is nobody
	for usec > 0 && b.Turn() == nil {
		notify(b, "WATCHDOG=1")
		time.Sleep(time.Duration(usec) * time.Microsecond / 2)
	}
	return nil
}

// reload is what HUP asks for.
func reload(b *broker.Broker) {
	notify(b, broker.Reloading())
	// The outcome is in the log and in `casemate status`.
	_, _, _ = b.Load()
	notify(b, "READY=1")
}

// stop is what TERM and INT ask for. It never waits for a load: what a load in
// progress has made ends with this process, or is cleared by the next one.
func stop(b *broker.Broker) {
	notify(b, "STOPPING=1")
	b.Stop()
}

// notify tells the service manager, if there is one, or still: cmd/inetd waits for the first READY.
func notify(b *broker.Broker, state string) {
	if err := broker.Notify(os.Getenv("NOTIFY_SOCKET"), state); err != nil && !errors.Is(err, syscall.ENOENT) {
		b.Log("notify", err.Error())
	}
}

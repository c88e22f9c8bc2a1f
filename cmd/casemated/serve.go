package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"casemate/listener/broker"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/panics"
	"casemate/sandbox/zygote"
)

// errNotRoot is all that somebody without root needs to know.
var errNotRoot = errors.New("needs root to bind low ports, make namespaces and change users: run it with sudo, or try `casemate check` and `casemate explain`, which need nothing")

// serve runs the broker until a signal stops it.
func serve(o *options) error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	caps, err := broker.ProvePrivileges()
	if err != nil {
		return err
	}
	if err := o.openLog(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	// PIPE only so that a closed log does not end the broker; being caught, not
	// ignored, it is back at its default in every program started.
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPIPE)
	zygote.QuietChildren()
	b, err := broker.New(o.Config)
	if err != nil {
		return err
	}
	b.Log("capabilities", strings.Join(caps, " "))
	if err := sandbox.ClaimCgroups(); err != nil {
		b.Log("control groups", err.Error())
	}
	first := make(chan error, 1)
	panics.Go(func() error { return start(b) }, func(err error) {
		if err != nil {
			b.Stop() // without a first policy there is nothing to run for
		}
		first <- err
		handle(b, signals)
	})
	if err := b.Run(); err != nil {
		return err
	}
	return <-first // a first load that failed is what has ended it
}

// start loads the first policy.
func start(b *broker.Broker) error {
	_, diags, err := b.Load()
	printDiagnostics(diags)
	if err == nil {
		notify(b, "READY=1")
	}
	return err
}

// handle waits for signals; a bug in one's handling is no reason to miss the next.
func handle(b *broker.Broker, signals <-chan os.Signal) {
	for s := range signals {
		if err := panics.Try(func() error { obey(b, s); return nil }); err != nil {
			b.Bug(err)
		}
	}
}

// obey does what a signal asks for.
func obey(b *broker.Broker, s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		notify(b, broker.Reloading())
		// The outcome is in the log and in `casemate status`.
		_, _, _ = b.Load()
		notify(b, "READY=1")
	case syscall.SIGTERM, syscall.SIGINT:
		notify(b, "STOPPING=1")
		b.Stop()
	}
}

// notify tells the service manager, if there is one.
func notify(b *broker.Broker, state string) {
	if err := broker.Notify(os.Getenv("NOTIFY_SOCKET"), state); err != nil {
		b.Log("notify", err.Error())
	}
}

// printDiagnostics shows what is wrong with the first policy to whoever starts
// casemated by hand.
func printDiagnostics(diags []policy.Diagnostic) {
	for _, d := range diags {
		fmt.Fprintf(os.Stderr, "%s:%d:%d: %s: %s\n", d.File, d.Line, d.Column, d.Severity, d.Summary)
		if d.Snippet != "" {
			fmt.Fprintln(os.Stderr, d.Snippet)
		}
		if d.Detail != "" {
			fmt.Fprintln(os.Stderr, "  "+d.Detail)
		}
	}
}

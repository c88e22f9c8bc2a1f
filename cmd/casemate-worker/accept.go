package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"casemate/listener"
	"casemate/listener/broker"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/listener/warden/far"
	"casemate/listener/warden/hands"
	"casemate/sandbox/panics"
)

// The broker's live heap is a few megabytes, and a collection of it costs less than the
// memory it would save up for.
const (
	brokerGC     = 50
	brokerMemory = 256 << 20
)

// runBroker serves until root tells it to stop.
func runBroker(context.Context, []string) error {
	debug.SetGCPercent(brokerGC)
	debug.SetMemoryLimit(brokerMemory)
	var brief warden.Brief
	if _, err := warden.Receive(warden.BrokerErrands, make([]byte, warden.MaxErrand+1), &brief); err != nil {
		return fmt.Errorf("brief: %w", err)
	}
	var b *broker.Broker
	var root *far.Hands
	var failed error
	reload := make(chan struct{}, 1)
	conf := broker.Config{About: brief.About, Passed: brief.Passed, Log: os.NewFile(warden.BrokerLog, "log"),
		Door:    &warden.Door{FD: warden.BrokerDoor, Owner: brief.Owner, Operators: brief.Operators},
		LoadAvg: os.NewFile(warden.BrokerLoadAvg, "loadavg"), Null: os.NewFile(warden.BrokerNull, "null"), Said: os.NewFile(warden.BrokerSaid, "the file of bans"),
	}
	conf.Hands = func(l *loop.Loop, _ func(string, string, error)) hands.Hands {
		root, failed = far.New(l, warden.BrokerErrands, warden.BrokerTidings, func(k warden.TidingKind) {
			switch k {
			case warden.TellStop:
				b.Stop()
			case warden.TellReload:
				select {
				case reload <- struct{}{}:
				default: // one is due anyway
				}
			}
		}, func(error) { os.Exit(1) }) // its programs are root's, and so is the control socket
		return root
	}
	conf.Tell = func(state string) { root.Tell(state) }
	if brief.Reopens {
		conf.OpenLog = func() (*os.File, error) {
			fd, err := root.OpenLog()
			if err != nil {
				return nil, err
			}
			return os.NewFile(uintptr(fd), brief.LogPath), nil
		}
	}
	b, err := broker.New(conf)
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	listener.Undertake = root.Undertake
	for _, n := range brief.Notes {
		b.Note(n)
	}
	first := make(chan error, 1)
	panics.Go(func() error { return start(b, root) }, func(err error) {
		first <- err
		if err != nil {
			b.Stop() // without a first policy there is nothing to run for
		}
		for range reload {
			if err := panics.Try(func() error { _, _, _ = b.Load(); return nil }); err != nil { // the outcome is in the log and in casemate status
				b.Bug(err)
			}
			root.Tell("READY=1")
		}
	})
	panics.Go(func() error { // twice as often as asked, by way of root
		for brief.Watch > 0 && b.Turn() == nil {
			root.Tell("WATCHDOG=1")
			time.Sleep(brief.Watch / 2)
		}
		return nil
	}, b.Bug)
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
func start(b *broker.Broker, hands *far.Hands) error {
	_, diags, err := b.Load()
	for _, d := range diags {
		fmt.Fprint(os.Stderr, d.Text)
	}
	if err == nil {
		hands.Ready()
	}
	return err
}

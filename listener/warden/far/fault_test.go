package far

import (
	"casemate/listener"
	"casemate/listener/warden"
	"casemate/sandbox"
	"casemate/sandbox/panics"
	"casemate/sandbox/rootfs"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFaults: an error means on the other side what it means here.
func TestFaults(t *testing.T) {
	if warden.NewFault(nil) != nil || asError(nil) != nil {
		t.Error("no error is one")
	}
	for _, err := range []error{
		errors.New("plain"), fmt.Errorf("bind: %w", unix.EADDRINUSE), fmt.Errorf("x: %w", warden.ErrForged), fmt.Errorf("x: %w", listener.ErrLive),
		fmt.Errorf("x: %w", &listener.SettingError{Err: unix.EPERM}), fmt.Errorf("x: %w", &sandbox.ProgramError{Err: unix.ENOENT}),
		fmt.Errorf("x: %w", &rootfs.EntryError{Kind: rootfs.Exec, Path: "/x", Err: unix.ENOENT}), panics.Try(func() error { panic("boom") }),
	} {
		got := asError(warden.NewFault(err))
		if got.Error() != err.Error() {
			t.Errorf("%q, want %q", got, err)
		}
		for what, is := range map[string]func(error) bool{
			"EADDRINUSE": func(e error) bool { return errors.Is(e, unix.EADDRINUSE) }, "EPERM": func(e error) bool { return errors.Is(e, unix.EPERM) },
			"forged": func(e error) bool { return errors.Is(e, warden.ErrForged) }, "live": func(e error) bool { return errors.Is(e, listener.ErrLive) },
			"setting": func(e error) bool { return errors.As(e, new(*listener.SettingError)) }, "program": func(e error) bool { return errors.As(e, new(*sandbox.ProgramError)) },
			"entry": func(e error) bool {
				at, ok := errors.AsType[*rootfs.EntryError](e)
				return ok && at.Kind == rootfs.Exec && at.Path == "/x"
			}, "bug": func(e error) bool { return errors.As(e, new(*panics.Error)) },
		} {
			if is(got) != is(err) {
				t.Errorf("%v: %s is %v there, and %v here", err, what, is(got), is(err))
			}
		}
	}
}

// TestExitsOnTheirWay: what a program has used is told as it is.
func TestExitsOnTheirWay(t *testing.T) {
	e := warden.Exit{PID: 7, Status: 9, Usage: unix.Rusage{Utime: unix.Timeval{Sec: 3, Usec: 5}, Stime: unix.Timeval{Usec: 11}, Maxrss: 13}}
	sent, err := warden.DecodeTiding(e.Tiding(4).Encode())
	if err != nil || sent.N[0] != 4 || exit(sent, 7) != e {
		t.Errorf("%+v, %v, want %+v", exit(sent, 7), err, e)
	}
}

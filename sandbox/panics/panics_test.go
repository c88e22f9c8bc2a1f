package panics

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
)

// after runs f and returns what done was told.
func after(f func() error) error {
	told := make(chan error)
	Go(f, func(err error) { told <- err })
	return <-told
}

func TestPanicIsAnError(t *testing.T) {
	var none []int
	err := after(func() error { none[3]++; return nil })
	var p *Error
	if !errors.As(err, &p) || !bytes.Contains(p.Stack, []byte("TestPanicIsAnError")) {
		t.Errorf("%v, its stack does not lead here", err)
	}
	plain := errors.New("plain")
	if err := after(func() error { return plain }); err != plain {
		t.Error(err)
	}
	if err := after(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := after(func() error { runtime.Goexit(); return nil }); err != errEnded {
		t.Error(err)
	}
}

// TestPanicOfDone: even what was to tell about a panic may have one.
func TestPanicOfDone(t *testing.T) {
	told := make(chan error, 1)
	Go(func() error { panic("one") }, func(err error) { told <- err; panic("two") })
	if err := <-told; err == nil {
		t.Error("no error")
	}
	if err := after(func() error { return nil }); err != nil {
		t.Error(err)
	}
}

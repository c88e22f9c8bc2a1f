// Package panics is the one place that starts goroutines in what casemated
// links: a panic at the root of any goroutine would end the whole broker, so
// here it becomes an error of the work that was done. It knows nothing of that
// work; what a failure means is for the caller to say.
package panics

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// Error is a panic that was caught.
type Error struct {
	Value any
	Stack []byte // of the goroutine, down to where it panicked
}

// Error names the panic, without the stack.
func (e *Error) Error() string { return fmt.Sprintf("bug: %v", e.Value) }

// Try runs f; a panic is its error, an *Error.
func Try(f func() error) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = &Error{Value: what, Stack: debug.Stack()}
		}
	}()
	return f()
}

// ErrLate is of work that is not waited for any more.
var ErrLate = errors.New("not done in time: something of the host does not answer")

// Within runs f and waits so long at most. With ErrLate f goes on, on a goroutine of its own.
func Within(d time.Duration, f func() error) error {
	done := make(chan error, 1)
	Go(f, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		return ErrLate
	}
}

// errEnded is the error of work that has called runtime.Goexit.
var errEnded = errors.New("it has ended its goroutine")

// Go runs f on a goroutine of its own, and there done with its error. done is
// called whatever f does: it is where waiting ends and places are given back.
func Go(f func() error, done func(error)) {
	go func() {
		err := errEnded
		defer func() {
			if p := Try(func() error { done(err); return nil }); p != nil {
				// It was to tell; only stderr is left, which is the service manager's.
				fmt.Fprintf(os.Stderr, "casemated: %v, after: %v\n%s\n", p, err, p.(*Error).Stack)
			}
		}()
		err = Try(f)
	}()
}

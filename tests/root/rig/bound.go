package rig

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// perTest is what one test may take where the whole run has an end (go test
// -timeout): six times the longest on a quiet machine.
const perTest = 4 * time.Minute

// lastWords is how long before the end of a test binary one of its tests is given up that has all of its time.
const lastWords = 10 * time.Second

// bound ends a test that hangs, and not the run with it: it prints what every
// goroutine waits for and kills what the test has started, whose sockets and
// pipes then say so to whoever waits for them.
func bound(t testing.TB) {
	t.Helper()
	d, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return // a benchmark
	}
	end, ends := d.Deadline()
	if !ends {
		return
	}
	limit := perTest
	if os.Getenv(insideEnv) != "" { // the test has said how long it takes
		limit = time.Until(end) - lastWords
	}
	hangs := time.AfterFunc(limit, func() {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "%s hangs:\n%s\n", t.Name(), stacks[:runtime.Stack(stacks, true)])
		t.Errorf("%s hangs after %s: what it started is killed", t.Name(), limit)
		killBelow(os.Getpid())
	})
	t.Cleanup(func() { hangs.Stop() })
}

// killBelow kills the descendants of a process, each before its own: one that has
// lost its parent is nobody's descendant.
func killBelow(pid int) {
	below, err := Children(pid)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	for _, p := range below {
		_ = syscall.Kill(p.PID, syscall.SIGSTOP) // it starts no more while its own are looked for
		killBelow(p.PID)
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
}

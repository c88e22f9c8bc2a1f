package broker

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type sourceFunc func(uint32)

func (f sourceFunc) ready(events uint32) { f(events) }

type expireFunc func()

func (f expireFunc) expire(*timer) { f() }

func startLoop(t *testing.T) *loop {
	t.Helper()
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- l.run() }()
	t.Cleanup(func() {
		l.post(l.end)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := l.do(func() {}); err != errStopped {
			t.Errorf("do after the end: %v", err)
		}
	})
	return l
}

func TestLoopRunsWhatItIsTold(t *testing.T) {
	l := startLoop(t)
	n := 0
	for range 100 {
		if err := l.do(func() { n++ }); err != nil {
			t.Fatal(err)
		}
	}
	if n != 100 {
		t.Errorf("%d of 100", n)
	}
}

func TestLoopTimers(t *testing.T) {
	l := startLoop(t)
	fired := make(chan int64, 1)
	var x timer
	var armed int64
	l.do(func() {
		armed = l.clock()
		x.owner = expireFunc(func() { fired <- l.now })
		l.after(&x, 20*time.Millisecond)
	})
	if now := <-fired; now-armed < int64(20*time.Millisecond)-int64(time.Millisecond) {
		t.Errorf("fired after %v", time.Duration(now-armed))
	}
}

// TestLoopSurvivesPanics: a bug in one handler costs that event alone.
func TestLoopSurvivesPanics(t *testing.T) {
	l := startLoop(t)
	said := make(chan error, 1)
	l.do(func() { l.failed = func(err error) { said <- err } })
	if err := l.do(func() { panic("boom") }); err != errBug {
		t.Errorf("do of a panic: %v", err)
	}
	if err := <-said; !strings.Contains(err.Error(), "boom") {
		t.Error(err)
	}
	alive := false
	l.do(func() { alive = true })
	if !alive {
		t.Error("the loop is dead")
	}
}

// TestLoopIgnoresStaleEvents: an event of a closed descriptor must not reach
// whoever got its number next.
func TestLoopIgnoresStaleEvents(t *testing.T) {
	l := startLoop(t)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	got := 0
	l.do(func() {
		l.add(pipe[0], unix.EPOLLIN, sourceFunc(func(uint32) { got++ }))
		stale := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pipe[0]), Pad: int32(l.seq)}
		l.dispatch(&stale)
		l.del(pipe[0])
		l.dispatch(&stale)
		l.add(pipe[0], unix.EPOLLIN, sourceFunc(func(uint32) { t.Error("reached the next owner") }))
		l.dispatch(&stale)
		l.del(pipe[0])
	})
	if got != 1 {
		t.Errorf("%d events, want the first alone", got)
	}
}

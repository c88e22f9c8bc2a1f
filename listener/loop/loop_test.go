package loop

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type sourceFunc func(uint32)

func (f sourceFunc) Ready(events uint32) { f(events) }

type expireFunc func()

func (f expireFunc) Expire(*Timer) { f() }

func startLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Post(l.End)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := l.Do(func() {}); err != ErrStopped {
			t.Errorf("do after the end: %v", err)
		}
	})
	return l
}

func TestLoopRunsWhatItIsTold(t *testing.T) {
	l := startLoop(t)
	n := 0
	for range 100 {
		if err := l.Do(func() { n++ }); err != nil {
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
	var x Timer
	var armed int64
	l.Do(func() {
		armed = l.clock()
		x.Owner = expireFunc(func() { fired <- l.now })
		l.After(&x, 20*time.Millisecond)
	})
	if now := <-fired; now-armed < int64(20*time.Millisecond)-int64(time.Millisecond) {
		t.Errorf("fired after %v", time.Duration(now-armed))
	}
}

// TestLoopSurvivesPanics: a bug in one handler costs that event alone.
func TestLoopSurvivesPanics(t *testing.T) {
	l := startLoop(t)
	said := make(chan error, 1)
	l.Do(func() { l.Failed = func(err error) { said <- err } })
	if err := l.Do(func() { panic("boom") }); err != ErrBug {
		t.Errorf("do of a panic: %v", err)
	}
	if err := <-said; !strings.Contains(err.Error(), "boom") {
		t.Error(err)
	}
	alive := false
	l.Do(func() { alive = true })
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
	l.Do(func() {
		l.Add(pipe[0], unix.EPOLLIN, sourceFunc(func(uint32) { got++ }))
		stale := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pipe[0]), Pad: int32(l.seq)}
		l.dispatch(&stale)
		l.Del(pipe[0])
		l.dispatch(&stale)
		l.Add(pipe[0], unix.EPOLLIN, sourceFunc(func(uint32) { t.Error("reached the next owner") }))
		l.dispatch(&stale)
		l.Del(pipe[0])
	})
	if got != 1 {
		t.Errorf("%d events, want the first alone", got)
	}
}

// TestPanicOfTheLoopItself: a turn that cannot work is tried again, slowly.
func TestPanicOfTheLoopItself(t *testing.T) {
	l := startLoop(t)
	said := make(chan error, 100)
	clock := l.clock
	l.Do(func() {
		l.Failed = func(err error) { said <- err }
		n := 0
		l.clock = func() int64 {
			if n++; n <= 3 {
				panic("boom")
			}
			return clock()
		}
	})
	l.Post(func() {})
	if err := l.Do(func() {}); err != nil {
		t.Error(err)
	}
	if len(said) != 3 {
		t.Errorf("%d panics told, want 3", len(said))
	}
}

package parole

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestLayout: the program writes where the structures have their fields.
func TestLayout(t *testing.T) {
	var h Thread
	for name, is := range map[string][2]uintptr{
		"signals": {unsafe.Offsetof(h.Signals), atSignals}, "process": {unsafe.Offsetof(h.Process), atProcess}, "counted": {unsafe.Offsetof(h.Counted), atCounted},
		"pending": {unsafe.Offsetof(h.Pending), atPending}, "call": {unsafe.Offsetof(h.Call), atCall}, "result": {unsafe.Offsetof(h.Result), atResult},
		"args": {unsafe.Offsetof(h.Args), atArgs}, "all": {unsafe.Sizeof(h), threadSize}, "key": {unsafe.Sizeof(Key{}), 72}, "shape": {unsafe.Sizeof(Shape{}), 56},
	} {
		if is[0] != is[1] {
			t.Errorf("%s: at %d, the program takes it to be at %d", name, is[0], is[1])
		}
	}
}

// TestSignals: no program gets one that it handles, but Go's.
func TestSignals(t *testing.T) {
	urg, winch := Bit(unix.SIGURG), Bit(unix.SIGWINCH)
	for _, c := range []struct{ handled, want uint64 }{
		{0, urg | winch}, {urg, winch}, {winch, urg}, {urg | winch, 0},
		{Bit(unix.SIGCHLD) | Bit(unix.SIGTERM), urg | winch}, {0xfffffffd7fc1feff, urg},
	} {
		if got := Signals(c.handled); got != c.want {
			t.Errorf("of a program that handles %#x: %#x, want %#x", c.handled, got, c.want)
		}
	}
}

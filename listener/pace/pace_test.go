package pace

import (
	"fmt"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/inbound"
	"casemate/listener/journal"
)

// wire is a connection as its client and its program use it, second by second.
type wire struct {
	talk   inbound.Talk
	unread int
	second int
}

func (w *wire) send(n int)  { w.talk.In += uint64(n); w.talk.Heard, w.talk.Quiet = 0, 0 }
func (w *wire) write(n int) { w.talk.Out += uint64(n); w.talk.Quiet = 0 }

// take has the client take up to n bytes; what it leaves has found its window closed for this second.
func (w *wire) take(n int) {
	if w.talk.Taken += min(uint64(n), w.talk.Due()); w.talk.Due() > 0 {
		w.talk.Stalled += time.Second
	}
}

// run plays a connection under a limit, and tells how it ended and when, in seconds; "" after an hour.
func run(l limit.Spec, idle time.Duration, each func(w *wire)) (why string, at int) {
	w, started := new(wire), int64(12345)
	p := Of(&l, idle, started)
	due := p.First()
	for ; w.second < 3600; w.second++ {
		each(w)
		for now := time.Duration(w.second) * time.Second; due > 0 && due <= now; {
			var next time.Duration
			if why, next = p.Look(started+int64(now), w.talk, func() int { return w.unread }); why != "" {
				return why, w.second
			}
			due = 0
			if next > 0 {
				due = now + next
			}
		}
		w.talk.Heard += time.Second
		w.talk.Quiet += time.Second
	}
	return "", w.second
}

func TestSlowClients(t *testing.T) {
	const rate = 100
	every := func(w *wire, n int, do func()) {
		if w.second%n == 0 {
			do()
		}
	}
	for _, tt := range []struct {
		name string
		each func(w *wire)
		want string
		by   int // the latest second at which it may be found
	}{
		{"slowloris", func(w *wire) { every(w, 10, func() { w.send(1) }) }, journal.Slow, 60},
		{"slowloris that begins with much", func(w *wire) {
			every(w, 3600, func() { w.send(5000) })
			every(w, 10, func() { w.send(1) })
		}, journal.Slow, 60},
		{"a very slow one", func(w *wire) { every(w, 100, func() { w.send(1) }) }, journal.Slow, 300},
		{"just too slow", func(w *wire) { w.send(rate - 2) }, journal.Slow, 60},
		{"just fast enough", func(w *wire) { w.send(rate) }, "", 0},
		{"one that was fast for a while", func(w *wire) {
			if w.second < 600 {
				w.send(10 * rate)
			} else {
				w.send(1)
			}
		}, journal.Slow, 680},
		{"slowloris after a greeting", func(w *wire) {
			every(w, 3600, func() { w.write(100) })
			w.take(1000)
			every(w, 5, func() { w.send(1) })
		}, journal.Slow, 70},
		{"who never reads", func(w *wire) { every(w, 3600, func() { w.write(1 << 20) }); w.take(0) }, journal.Slow, 50},
		{"who never reads little", func(w *wire) { every(w, 3600, func() { w.write(10) }); w.take(0) }, journal.Slow, 50},
		{"who reads slowly", func(w *wire) { every(w, 3600, func() { w.write(1 << 20) }); w.take(rate / 2) }, journal.Slow, 50},
		{"who reads slowly what is little at a time", func(w *wire) { w.write(rate/2 + 300 - int(w.talk.Due())); w.take(rate / 2) }, journal.Slow, 50},
		{"who reads fast enough", func(w *wire) { every(w, 3600, func() { w.write(1 << 20) }); w.take(rate) }, "", 0},
		{"who sends and does not read", func(w *wire) { every(w, 3600, func() { w.write(1 << 20) }); w.take(0); w.send(rate) }, "", 0},
		{"a program that computes", func(w *wire) {
			w.take(1000)
			switch w.second % 1200 {
			case 3:
				w.send(30)
			case 1100:
				w.write(30)
			}
		}, "", 0},
		{"a program that does not answer", func(w *wire) { every(w, 3600, func() { w.send(30) }) }, "", 0},
		{"a program that does not read", func(w *wire) {
			if w.second%60 == 1 {
				w.send(1)
				w.unread++
			}
		}, "", 0},
		{"a program that says little", func(w *wire) { w.write(1); w.take(1) }, "", 0},
		{"a program that says little, over a long way", func(w *wire) {
			w.write(1)
			w.talk.Taken = w.talk.Out - min(w.talk.Out, 2)
		}, "", 0},
		{"a dialogue", func(w *wire) {
			w.take(1000)
			every(w, 7, func() { w.send(1); w.write(1) })
		}, "", 0},
		{"nobody says anything", func(*wire) {}, "", 0},
	} {
		why, at := run(limit.Spec{MinRate: rate}, 0, tt.each)
		if why != tt.want || why != "" && (at > tt.by || at < int(Window/time.Second)) {
			t.Errorf("%s: %q after %d s, want %q by %d", tt.name, why, at, tt.want, tt.by)
		}
	}
}

func TestFirstByte(t *testing.T) {
	for _, rate := range []int{0, 100} {
		for _, first := range []time.Duration{3 * time.Second, 15 * time.Second, 3 * time.Minute} {
			l, s := limit.Spec{FirstByte: first, MinRate: rate}, int(first/time.Second)
			for _, tt := range []struct {
				name string
				each func(*wire)
				want string
			}{
				{"silent", func(*wire) {}, journal.Silent},
				{"late", func(w *wire) {
					if w.second == s+1 {
						w.send(1)
					}
				}, journal.Silent},
				{"in time", func(w *wire) {
					if w.second == s-1 {
						w.send(1)
					}
				}, ""},
				{"has closed", func(w *wire) { w.talk.Closed = w.second > 1 }, ""},
			} {
				if why, at := run(l, 0, tt.each); why != tt.want || why != "" && at != s {
					t.Errorf("%v, %s: %q after %d s", l, tt.name, why, at)
				}
			}
		}
	}
}

// TestIdle: who says nothing for too long is ended, whichever other limits there are, and not who talks or is talked to.
func TestIdle(t *testing.T) {
	for _, l := range []limit.Spec{{}, {MinRate: 1}, {FirstByte: time.Minute}, {MinRate: 1, FirstByte: 25 * time.Second}} {
		for _, tt := range []struct {
			name string
			each func(*wire)
			want string
			at   int
		}{
			{"silent", func(*wire) {}, journal.Idle, 20},
			{"silent after a while", func(w *wire) {
				if w.second <= 100 && w.second%9 == 0 {
					w.send(1)
					w.write(1)
					w.take(1)
				}
			}, journal.Idle, 119},
			{"talked to", func(w *wire) {
				w.take(9)
				if w.second == 1 {
					w.send(1)
				} else if w.second%19 == 0 {
					w.write(1)
				}
			}, "", 3600},
		} {
			if why, at := run(l, 20*time.Second, tt.each); why != tt.want || at != tt.at {
				t.Errorf("%v, %s: %q after %d s, want %q after %d", l, tt.name, why, at, tt.want, tt.at)
			}
		}
	}
}

// TestNothingAsked: a limit without the two has nobody looked at.
func TestNothingAsked(t *testing.T) {
	if w := Of(&limit.Spec{Session: time.Minute, Concurrent: 3}, 0, 0); w != nil {
		t.Error(w)
	}
}

// TestSlowAtAnyTime: where the seconds of a slow client lie against the looks is no way out.
func TestSlowAtAnyTime(t *testing.T) {
	for gap := 1; gap < 40; gap++ {
		for shift := range gap {
			t.Run(fmt.Sprint(gap, "/", shift), func(t *testing.T) {
				why, at := run(limit.Spec{MinRate: 100}, 0, func(w *wire) {
					if w.second%gap == shift {
						w.send(1)
					}
				})
				if most := 2*gap + 60; why != journal.Slow || at > most {
					t.Errorf("%q after %d s", why, at)
				}
			})
		}
	}
}

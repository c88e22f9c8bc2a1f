package warden

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"casemate/listener"
	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// Tidings are what the broker and root tell each other as it happens, over a SOCK_SEQPACKET socket
// of its own: a few numbers each, little endian, which nobody waits for.
type TidingKind byte

// What they tell, with the numbers that follow.
const (
	TellTake   TidingKind = iota + 1 // token, pid, 1 for an answer in any case, and what the next broker has to know of it: is that a child without a record, and watch it
	TellKill                         // pid, signal
	TellBury                         // pid
	TellEnd                          // pid
	TellSweep                        //
	TellAdopt                        // token, pid: one that the broker before was watching
	TellReady                        // the first policy is in force
	TellTaken                        // token, 1 or 0: the answer to TellAdopt, and to TellTake where it is 0
	TellExit                         // token, status, user ns, system ns, most KiB
	TellReload                       // load the policy
	TellStop                         // end
)

// The sizes of a tiding, and of the text that may follow.
const (
	TidingSize = 1 + 5*8
	MaxText    = 2048
)

// Tiding is one.
type Tiding struct {
	Kind TidingKind
	N    [5]int64
	Text []byte // of TellTake
}

// Encode makes the message.
func (t Tiding) Encode() []byte {
	b := append(make([]byte, 0, TidingSize), byte(t.Kind))
	for _, n := range t.N {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return append(b, t.Text...)
}

// DecodeTiding takes it apart.
func DecodeTiding(b []byte) (t Tiding, err error) {
	if len(b) < TidingSize || len(b) > TidingSize+MaxText || b[0] == 0 || TidingKind(b[0]) > TellStop || len(b) > TidingSize && TidingKind(b[0]) != TellTake {
		return t, fmt.Errorf("malformed tiding of %d bytes", len(b))
	}
	t.Kind = TidingKind(b[0])
	for i := range t.N {
		t.N[i] = int64(binary.LittleEndian.Uint64(b[1+8*i:]))
	}
	if len(b) > TidingSize {
		t.Text = bytes.Clone(b[TidingSize:])
	}
	return t, nil
}

// Tiding is an Exit on its way, of the child of that token.
func (e Exit) Tiding(token int64) Tiding {
	return Tiding{Kind: TellExit, N: [5]int64{token, int64(e.Status), e.Usage.Utime.Nano(), e.Usage.Stime.Nano(), e.Usage.Maxrss}}
}

// Wire carries tidings on a loop. What the other end does not take at once waits its turn.
type Wire struct {
	loop   *loop.Loop
	fd     int
	heard  func(Tiding)
	ended  func(error) // once
	unsent [][]byte
	waits  bool
}

const (
	// maxTidings is how many are taken in one turn of the loop.
	maxTidings = 64
	// maxUnsent is how many wait for room: more than programs end while a broker is stopped, about 20 MiB.
	maxUnsent = 1 << 18
)

// NewWire has the loop carry tidings over fd, which is the wire's from here on.
func NewWire(l *loop.Loop, fd int, heard func(Tiding), ended func(error)) (*Wire, error) {
	w := &Wire{loop: l, fd: fd, heard: heard, ended: ended}
	return w, l.Add(fd, unix.EPOLLIN, w)
}

// Send sends a tiding, or keeps it until there is room.
func (w *Wire) Send(t Tiding) {
	if len(w.unsent) >= maxUnsent {
		w.end(errors.New("the other end does not listen"))
	}
	if w.fd >= 0 {
		w.unsent = append(w.unsent, t.Encode())
		w.flush()
	}
}

func (w *Wire) flush() {
	for len(w.unsent) > 0 {
		err := unix.Sendto(w.fd, w.unsent[0], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS) {
			w.want(true)
			return
		}
		if err != nil {
			w.end(err)
			return
		}
		w.unsent = w.unsent[1:]
	}
	w.unsent = nil
	w.want(false)
}

func (w *Wire) want(room bool) {
	if w.waits != room {
		w.waits = room
		_ = w.loop.Mod(w.fd, unix.EPOLLIN|map[bool]uint32{true: unix.EPOLLOUT}[room])
	}
}

// Ready takes what has come, and sends what waited for room.
func (w *Wire) Ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		w.flush()
	}
	var b [TidingSize + MaxText + 1]byte
	for range maxTidings {
		if w.fd < 0 {
			return
		}
		n, err := listener.Recv(w.fd, b[:])
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		var t Tiding
		if err == nil && n == 0 {
			err = errors.New("it ended")
		} else if err == nil {
			t, err = DecodeTiding(b[:min(n, len(b))])
		}
		if err != nil {
			w.end(err)
			return
		}
		w.heard(t)
	}
}

func (w *Wire) end(err error) {
	if w.fd >= 0 {
		w.Close()
		w.ended(err)
	}
}

// Close ends it without a word.
func (w *Wire) Close() {
	if w.fd >= 0 {
		w.loop.Del(w.fd)
		unix.Close(w.fd)
		w.fd, w.unsent = -1, nil
	}
}

package inbound

import (
	"time"

	"golang.org/x/sys/unix"
)

// Talk is what the kernel tells about a tcp connection (tcp(7), TCP_INFO).
type Talk struct {
	// In and Out are the bytes that the client sent and that were written to it.
	// A connection that is over on both sides counts the client's end as a byte.
	In, Out uint64
	// Taken are those of Out that the client's host has acknowledged.
	Taken uint64
	// Closed tells that the client has ended its side, or is gone.
	Closed bool
	// Quiet is for how long no byte went either way, Heard for how long none came.
	Quiet, Heard time.Duration
	// Stalled is for how long in all the client's window was closed to bytes that waited.
	Stalled time.Duration
}

// Due is how many bytes written to the client have not been acknowledged.
func (t *Talk) Due() uint64 { return t.Out - min(t.Taken, t.Out) }

// Overhear tells about the connection, reading none of its bytes; ok is false for
// a socket of another family.
func Overhear(fd int) (t Talk, ok bool) {
	i, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
	if err != nil {
		return t, false
	}
	t.In, t.Out = i.Bytes_received, i.Bytes_sent-i.Bytes_retrans+uint64(i.Notsent_bytes)
	switch i.State {
	case unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_CLOSING, unix.BPF_TCP_LAST_ACK:
		if i.Notsent_bytes > 0 {
			t.Out-- // our FIN, the last of what waits
		}
	}
	t.Taken, t.Stalled = i.Bytes_acked, time.Duration(i.Rwnd_limited)*time.Microsecond
	t.Heard = time.Duration(i.Last_data_recv) * time.Millisecond
	t.Quiet = min(t.Heard, time.Duration(i.Last_data_sent)*time.Millisecond)
	switch i.State {
	case unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		t.In-- // the FIN
		t.Closed = true
	case unix.BPF_TCP_CLOSE:
		t.Closed = true
	}
	return t, true
}

// Patience is how long the kernel keeps what was written to a tcp client that takes none of it, also after
// the socket is closed (tcp(7), TCP_USER_TIMEOUT).
func Patience(fd int, d time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())) // never fails for tcp
}

// Discard has the kernel throw up to most bytes away that wait in a tcp socket:
// it is given no place to put them. At the client's end it returns 0, and when
// nothing waits unix.EAGAIN; it never waits.
func Discard(fd, most int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(most), unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

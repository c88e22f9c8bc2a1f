package inbound

import "golang.org/x/sys/unix"

// Talk is what the kernel tells about a tcp connection (tcp(7), TCP_INFO).
type Talk struct {
	// In and Out are the bytes that the client sent and that were written to it.
	// A connection that is over on both sides counts the client's end as a byte.
	In, Out uint64
	// Closed tells that the client has ended its side, or is gone.
	Closed bool
	// Quiet is for how many milliseconds no byte went either way.
	Quiet uint32
}

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
	t.Quiet = min(i.Last_data_recv, i.Last_data_sent)
	switch i.State {
	case unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		t.In-- // the FIN
		t.Closed = true
	case unix.BPF_TCP_CLOSE:
		t.Closed = true
	}
	return t, true
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

package warden

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Notify tells a service manager about the broker's state: "READY=1" and the
// like (sd_notify(3)). socket is $NOTIFY_SOCKET; "" tells nobody.
func Notify(socket, state string) error {
	if socket == "" {
		return nil
	}
	if strings.HasPrefix(socket, "@") {
		socket = "\x00" + socket[1:]
	} else if !strings.HasPrefix(socket, "/") {
		return fmt.Errorf("notify %q: not a unix socket", socket)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte(state), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: socket}); err != nil {
		return fmt.Errorf("notify %s: %w", socket, err)
	}
	return nil
}

// Reloading is the message that begins a reload: systemd wants the time with it.
func Reloading() string {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // of a clock that there is, it does not fail
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", ts.Nano()/1000)
}

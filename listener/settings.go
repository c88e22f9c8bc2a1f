package listener

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Settings are the options of a socket that a policy sets, by their place in the table
// settings: freebind, transparent, mark, tos, priority, send and receive buffer (bytes) and
// which of the two keep their size (1 and 2), nodelay, keepalive with its idle time, interval
// (seconds) and count. One that is 0 stays as the kernel has it, and so does one that the
// socket's network has not.
type Settings [13]uint32

// Priority is the place of the one that accepted connections do not take over.
const Priority = 4

// settings is what each is to the kernel, for IPv4 and IPv6: where one changes another, it
// stands before it. name is the policy's.
var settings = [len(Settings{})]struct {
	name   string
	v4, v6 option
}{
	{"freebind", option{unix.SOL_IP, unix.IP_FREEBIND}, option{unix.SOL_IPV6, unix.IPV6_FREEBIND}},
	{"transparent", option{unix.SOL_IP, unix.IP_TRANSPARENT}, option{unix.SOL_IPV6, unix.IPV6_TRANSPARENT}},
	{"mark", option{unix.SOL_SOCKET, unix.SO_MARK}, option{unix.SOL_SOCKET, unix.SO_MARK}},
	{"tos", option{unix.SOL_IP, unix.IP_TOS}, option{unix.SOL_IPV6, unix.IPV6_TCLASS}},
	{"priority", option{unix.SOL_SOCKET, unix.SO_PRIORITY}, option{unix.SOL_SOCKET, unix.SO_PRIORITY}},
	{"send_buffer", option{unix.SOL_SOCKET, unix.SO_SNDBUF}, option{unix.SOL_SOCKET, unix.SO_SNDBUF}},
	{"receive_buffer", option{unix.SOL_SOCKET, unix.SO_RCVBUF}, option{unix.SOL_SOCKET, unix.SO_RCVBUF}},
	{"buffers", option{unix.SOL_SOCKET, unix.SO_BUF_LOCK}, option{unix.SOL_SOCKET, unix.SO_BUF_LOCK}}, // Linux 5.14
	{"nodelay", option{unix.SOL_TCP, unix.TCP_NODELAY}, option{unix.SOL_TCP, unix.TCP_NODELAY}},
	{"keepalive", option{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, option{unix.SOL_SOCKET, unix.SO_KEEPALIVE}},
	{"keepalive", option{unix.SOL_TCP, unix.TCP_KEEPIDLE}, option{unix.SOL_TCP, unix.TCP_KEEPIDLE}},
	{"keepalive", option{unix.SOL_TCP, unix.TCP_KEEPINTVL}, option{unix.SOL_TCP, unix.TCP_KEEPINTVL}},
	{"keepalive", option{unix.SOL_TCP, unix.TCP_KEEPCNT}, option{unix.SOL_TCP, unix.TCP_KEEPCNT}},
}

// SettingError is a setting that a socket could not be given; the policy's name for it comes first.
type SettingError struct{ Err error }

// Error is its text.
func (e *SettingError) Error() string { return e.Err.Error() }

func (e *SettingError) Unwrap() error { return e.Err }

// adjust gives the socket its settings, and back what it had before for what is set no more.
func (s *Socket) adjust() error {
	if s.plain == nil && s.Spec.Settings == (Settings{}) {
		return nil
	}
	var of [len(settings)]option
	for i, row := range settings {
		if of[i] = row.v4; strings.HasSuffix(s.Spec.Network, "6") {
			of[i] = row.v6
		}
		if i == len(s.plain) { // all of them before any is set
			s.plain = append(s.plain, getOption(s.FD, of[i]))
		}
	}
	for i, n := range s.Spec.Settings {
		value := s.plain[i]
		if value != "" && n != 0 {
			value = of[i].reads(n)
		}
		err := of[i].put(s.FD, value)
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: it takes a capability that casemated does not keep: have systemd open the socket with it, and pass it on", err)
		}
		if err != nil {
			return &SettingError{fmt.Errorf("%s: %d on %s: %w", settings[i].name, n, s.Spec.Key(), err)}
		}
	}
	return nil
}

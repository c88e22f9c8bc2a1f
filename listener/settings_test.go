package listener

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSettings: a socket has what is set, from opening or a later Reconfigure on, gives it
// back after a program had it, and is as a fresh one when nothing is set any more.
func TestSettings(t *testing.T) {
	all := Settings{1, 0, 0, 40, 4, 16 << 10, 32 << 10, 3, 1, 1, 90, 22, 4}
	if unix.Geteuid() == 0 {
		all[1], all[2] = 1, 7
	}
	for _, spec := range waitSpecs(t) {
		if strings.HasPrefix(spec.Path, "/") {
			continue // the abstract ones do
		}
		plain, with := spec, spec
		with.Settings = all
		set := func(s *Socket) (n int) {
			for i, row := range settings {
				o := row.v4
				if strings.HasSuffix(spec.Network, "6") {
					o = row.v6
				}
				if all[i] != 0 && getOption(s.FD, o) == o.reads(all[i]) {
					n++
				}
			}
			return n
		}
		want := map[string]int{"tcp": 11, "udp": 7, "uni": 5}[spec.Network[:3]] // priority and keepalive are of every socket
		if unix.Geteuid() == 0 {
			want += map[bool]int{true: 1, false: 2}[spec.Unix()] // mark, transparent
		}
		for _, from := range []Spec{plain, with} {
			s, err := Open(from)
			if err != nil {
				t.Fatal(err)
			}
			fresh := make([]string, len(options))
			for i, o := range options {
				fresh[i] = getOption(s.FD, o)
			}
			before := set(s)
			if err := s.Reconfigure(with); err != nil {
				t.Fatal(err)
			}
			if n := set(s); n != want || from == with && before != want {
				t.Errorf("%s: %d of %d are set, %d before", spec.Key(), n, want, before)
			}
			_ = unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
			_ = unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_PRIORITY, 1)
			if err := s.Restore(); err != nil || set(s) != want {
				t.Errorf("%s: restored %d of %d (%v)", spec.Key(), set(s), want, err)
			}
			if err := s.Reconfigure(plain); err != nil {
				t.Fatal(err)
			}
			for i, o := range options {
				keep := o.level == unix.SOL_TCP && (o.name == unix.TCP_KEEPIDLE || o.name == unix.TCP_KEEPINTVL || o.name == unix.TCP_KEEPCNT)
				if got := getOption(s.FD, o); from == plain && got != fresh[i] {
					t.Errorf("%s: option %d of level %d is %q, and was %q before anything was set", spec.Key(), o.name, o.level, got, fresh[i])
				} else if from == with && !keep && strings.HasPrefix(spec.Network, "tcp") && o.name == unix.SO_KEEPALIVE && o.level == unix.SOL_SOCKET && got != o.reads(0) {
					t.Errorf("%s: keepalive is %q", spec.Key(), got)
				}
			}
			s.Close()
		}
	}
}

// TestSettingRefused: a setting that the kernel takes and does not keep is an error, and
// the socket stays as it was.
func TestSettingRefused(t *testing.T) {
	s, err := Open(inet("tcp4", loop4, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	to := s.Spec
	to.Settings = Settings{3: 40, 6: 1 << 30}
	var bad *SettingError
	if err := s.Reconfigure(to); !errors.As(err, &bad) || !strings.HasPrefix(bad.Error(), "receive_buffer: ") {
		t.Errorf("a buffer of 1 GiB: %v", err)
	}
	if tos, _ := unix.GetsockoptInt(s.FD, unix.SOL_IP, unix.IP_TOS); tos != 0 || s.Spec.Settings != (Settings{}) {
		t.Errorf("tos %d, settings %v", tos, s.Spec.Settings)
	}
	if _, err := Open(Spec{Endpoint: s.Spec.Endpoint, Settings: to.Settings}); !errors.As(err, &bad) {
		t.Errorf("opened with it: %v", err)
	}
}

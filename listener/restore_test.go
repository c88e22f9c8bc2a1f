package listener

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"casemate/listener/endpoint"

	"golang.org/x/sys/unix"
)

// waitSpecs are one wait socket of each family.
func waitSpecs(t *testing.T) []Spec {
	dir := t.TempDir()
	specs := []Spec{inet("tcp4", loop4, 0), inet("tcp6", loop6, 0), inet("udp4", loop4, 0), inet("udp6", loop6, 0),
		inet("udp4", netip.IPv4Unspecified(), 0), inet("udp6", netip.IPv6Unspecified(), 0)}
	for _, network := range []string{"unix", "unixgram", "unixpacket"} {
		specs = append(specs, Spec{Endpoint: endpoint.Endpoint{Network: network, Path: dir + "/" + network}, Mode: 0o620, UID: KeepID, GID: KeepID},
			Spec{Endpoint: endpoint.Endpoint{Network: network, Path: fmt.Sprintf("@casemate-restore-%d-%s", unix.Getpid(), network)}, UID: KeepID, GID: KeepID})
	}
	for i := range specs {
		specs[i].Wait = true
	}
	return specs
}

// TestRestoreOptions leaves every option on every socket that takes it: it is
// as before afterwards, or the socket is given up.
func TestRestoreOptions(t *testing.T) {
	values := []string{}
	for _, n := range []uint32{1, 0, 2, 7, 30000} {
		values = append(values, string(binary.NativeEndian.AppendUint32(nil, n)))
	}
	values = append(values, string(append(binary.NativeEndian.AppendUint32(nil, 1), make([]byte, 4)...)),
		string(append(make([]byte, 8), 16, 39, 0, 0, 0, 0, 0, 0)), "reno")
	changed := map[option]bool{}
	specs := waitSpecs(t)
	for _, spec := range specs[:4] { // a type of service brings a priority along, which is not the one that was
		spec.Settings[Priority] = 5
		specs = append(specs, spec)
	}
	for _, spec := range specs {
		for _, o := range options {
			s, err := Open(spec)
			if err != nil {
				t.Fatal(err)
			}
			was := getOption(s.FD, o)
			for _, v := range values {
				if unix.SetsockoptString(s.FD, o.level, o.name, v) == nil && getOption(s.FD, o) != was {
					break
				}
			}
			if getOption(s.FD, o) != was {
				changed[o] = true
				before := slices.Clone(s.options)
				if err := s.Restore(); err == nil {
					for i := range options {
						if got := getOption(s.FD, options[i]); got != before[i] {
							t.Errorf("%s: after %v: option %v is %q, was %q", spec.Key(), o, options[i], got, before[i])
						}
					}
				} else if slices.Contains(shipped, o) {
					t.Errorf("%s: option %v is not restored: %v", spec.Key(), o, err)
				}
			}
			s.Close()
		}
	}
	for _, o := range shipped {
		if !changed[o] {
			t.Errorf("option %v was not changed on any socket", o)
		}
	}
}

// shipped are options that shipped profiles let a wait program set.
var shipped = []option{
	{unix.SOL_SOCKET, unix.SO_SNDBUF}, {unix.SOL_SOCKET, unix.SO_RCVBUF}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	{unix.SOL_SOCKET, unix.SO_OOBINLINE}, {unix.SOL_SOCKET, unix.SO_PRIORITY}, {unix.SOL_SOCKET, unix.SO_LINGER},
	{unix.SOL_SOCKET, unix.SO_RCVLOWAT}, {unix.SOL_SOCKET, unix.SO_RCVTIMEO}, {unix.SOL_SOCKET, unix.SO_SNDTIMEO},
	{unix.SOL_SOCKET, unix.SO_PASSCRED}, {unix.SOL_SOCKET, unix.SO_BROADCAST},
	{unix.SOL_TCP, unix.TCP_NODELAY}, {unix.SOL_TCP, unix.TCP_CORK}, {unix.SOL_TCP, unix.TCP_KEEPIDLE}, {unix.SOL_TCP, unix.TCP_KEEPINTVL},
	{unix.SOL_TCP, unix.TCP_KEEPCNT}, {unix.SOL_TCP, unix.TCP_QUICKACK}, {unix.SOL_TCP, unix.TCP_USER_TIMEOUT}, {unix.SOL_TCP, unix.TCP_DEFER_ACCEPT},
	{unix.SOL_IP, unix.IP_TOS}, {unix.SOL_IP, unix.IP_PKTINFO}, {unix.SOL_IP, unix.IP_MTU_DISCOVER}, {unix.SOL_IP, unix.IP_RECVERR},
	{unix.SOL_IPV6, unix.IPV6_TCLASS}, {unix.SOL_IPV6, unix.IPV6_RECVPKTINFO}, {unix.SOL_IPV6, unix.IPV6_RECVERR},
}

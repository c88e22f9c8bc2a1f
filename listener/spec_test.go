package listener

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestExpand(t *testing.T) {
	tests := []struct {
		network     string
		addr        string
		first, last uint16
		want        []string
	}{
		{"tcp", "", 79, 79, []string{"tcp4/0.0.0.0:79", "tcp6/[::]:79"}},
		{"udp", "", 7, 8, []string{"udp4/0.0.0.0:7", "udp6/[::]:7", "udp4/0.0.0.0:8", "udp6/[::]:8"}},
		{"tcp4", "", 79, 79, []string{"tcp4/0.0.0.0:79"}},
		{"tcp6", "", 79, 79, []string{"tcp6/[::]:79"}},
		{"tcp", "192.0.2.1", 79, 79, []string{"tcp4/192.0.2.1:79"}},
		{"tcp", "::ffff:192.0.2.1", 79, 79, []string{"tcp4/192.0.2.1:79"}},
		{"tcp", "2001:db8::1", 79, 79, []string{"tcp6/[2001:db8::1]:79"}},
		{"udp6", "fe80::1%eth0", 7, 7, []string{"udp6/[fe80::1%eth0]:7"}},
		{"tcp", "::1", 65535, 65535, []string{"tcp6/[::1]:65535"}},
		{"tcp4", "::1", 79, 79, nil},
		{"udp6", "127.0.0.1", 79, 79, nil},
		{"sctp", "", 79, 79, nil},
		{"tcp", "", 80, 79, nil},
	}
	for _, tt := range tests {
		var addr netip.Addr
		if tt.addr != "" {
			addr = netip.MustParseAddr(tt.addr)
		}
		var got []string
		for _, s := range Expand(tt.network, addr, tt.first, tt.last) {
			got = append(got, s.Key())
			if s.UID != KeepID || s.GID != KeepID {
				t.Errorf("Expand(%s): ids %d/%d, want KeepID", tt.network, s.UID, s.GID)
			}
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Expand(%q, %q, %d, %d) = %v, want %v", tt.network, tt.addr, tt.first, tt.last, got, tt.want)
		}
	}
}

func TestKeyLeavesOutWhatReconfigureChanges(t *testing.T) {
	a := Spec{Network: "unix", Path: "/run/x.sock", Mode: 0o600, UID: 1, Backlog: 5}
	b := Spec{Network: "unix", Path: "/run/x.sock", Mode: 0o666, UID: 2, Wait: true}
	if a.Key() != b.Key() || a.Key() != "unix//run/x.sock" {
		t.Errorf("keys %q and %q", a.Key(), b.Key())
	}
}

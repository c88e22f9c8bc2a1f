package endpoint

import (
	"net/netip"
	"strings"
	"testing"
)

// TestValid: what root is asked to open is something that the kernel can be asked for, in one spelling.
func TestValid(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, e := range []Endpoint{
		{Network: "tcp4", Addr: at("0.0.0.0:79")}, {Network: "udp6", Addr: at("[::]:7")}, {Network: "tcp6", Addr: at("[fe80::1%eth0]:7")},
		{Network: "tcp4", Addr: at("127.0.0.1:65535"), Interface: "lo"}, {Network: "unix", Path: "/run/x"}, {Network: "unixgram", Path: "@x"}, {Network: "vsock", Path: "3:7"},
	} {
		if !e.Valid() {
			t.Errorf("%+v is none", e)
		}
	}
	for _, e := range []Endpoint{
		{}, {Network: "tcp", Addr: at("0.0.0.0:79")}, {Network: "tcp4"}, {Network: "tcp4", Addr: at("0.0.0.0:0")}, {Network: "tcp4", Addr: at("[::]:79")}, {Network: "tcp6", Addr: at("0.0.0.0:79")},
		{Network: "tcp6", Addr: at("[::ffff:1.2.3.4]:79")}, {Network: "udp4", Addr: at("224.0.0.1:7")}, {Network: "tcp6", Addr: at("[fe80::1]:7")}, {Network: "tcp6", Addr: at("[fe80::1%2]:7")},
		{Network: "tcp6", Addr: at("[2001:db8::1%eth0]:7")}, {Network: "tcp4", Addr: at("0.0.0.0:79"), Path: "/run/x"}, {Network: "tcp4", Addr: at("0.0.0.0:79"), Interface: "sixteen-letters-"},
		{Network: "tcp4", Addr: at("0.0.0.0:79"), Interface: "a\nb"}, {Network: "unix"}, {Network: "unix", Path: "x"}, {Network: "unix", Path: "/"}, {Network: "unix", Path: "/run/../x"},
		{Network: "unix", Path: "@"}, {Network: "unix", Path: "/a\x00b"}, {Network: "unix", Path: "/" + strings.Repeat("x", MaxPath)}, {Network: "unix", Path: "/run/x", Addr: at("0.0.0.0:79")},
		{Network: "unix", Path: "/run/x", Interface: "lo"}, {Network: "vsock", Path: "07"}, {Network: "vsock", Path: "7", Interface: "lo"}, {Network: "raw", Path: "/run/x"},
	} {
		if e.Valid() {
			t.Errorf("%+v can be opened", e)
		}
	}
}

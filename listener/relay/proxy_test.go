package relay

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

// TestHeader holds the headers to the bytes of the specification.
func TestHeader(t *testing.T) {
	const sig = "0d0a0d0a000d0a515549540a"
	for _, c := range []struct{ client, server, v1, v2 string }{
		{"192.0.2.7:56324", "198.51.100.1:443", "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
			sig + "21" + "11" + "000c" + "c0000207" + "c6336401" + "dc04" + "01bb"},
		{"[2001:db8::7]:1", "[2001:db8:0:1::]:65535", "PROXY TCP6 2001:db8::7 2001:db8:0:1:: 1 65535\r\n",
			sig + "21" + "21" + "0024" + "20010db8000000000000000000000007" + "20010db8000000010000000000000000" + "0001" + "ffff"},
		// IPv4 on a socket of both families, and a link-local client
		{"[::ffff:192.0.2.7]:80", "[::ffff:192.0.2.1]:81", "PROXY TCP4 192.0.2.7 192.0.2.1 80 81\r\n",
			sig + "21" + "11" + "000c" + "c0000207" + "c0000201" + "0050" + "0051"},
		{"[fe80::1%eth0]:80", "[fe80::2]:81", "PROXY TCP6 fe80::1 fe80::2 80 81\r\n",
			sig + "21" + "21" + "0024" + "fe800000000000000000000000000001" + "fe800000000000000000000000000002" + "0050" + "0051"},
		// the longest line there is
		{"[1111:1111:1111:1111:1111:1111:1111:1111]:65535", "[2222:2222:2222:2222:2222:2222:2222:2222]:65535",
			"PROXY TCP6 1111:1111:1111:1111:1111:1111:1111:1111 2222:2222:2222:2222:2222:2222:2222:2222 65535 65535\r\n",
			sig + "21" + "21" + "0024" + "11111111111111111111111111111111" + "22222222222222222222222222222222" + "ffff" + "ffff"},
		// nobody: a unix socket, and what is no pair
		{"", "", "PROXY UNKNOWN\r\n", sig + "20" + "00" + "0000"},
		{"192.0.2.7:1", "[2001:db8::1]:2", "PROXY UNKNOWN\r\n", sig + "20" + "00" + "0000"},
	} {
		var client, server netip.AddrPort
		if c.client != "" {
			client, server = netip.MustParseAddrPort(c.client), netip.MustParseAddrPort(c.server)
		}
		if got, err := Header("v1", client, server); err != nil || string(got) != c.v1 || len(got) > 107 {
			t.Errorf("%s: v1 is %q, want %q (%v)", c.client, got, c.v1, err)
		}
		if got, err := Header("v2", client, server); err != nil || hex.EncodeToString(got) != c.v2 {
			t.Errorf("%s: v2 is %x, want %s (%v)", c.client, got, c.v2, err)
		}
	}
	if got, err := Header("v3", netip.AddrPort{}, netip.AddrPort{}); err == nil {
		t.Errorf("v3 is %q", got)
	}
}

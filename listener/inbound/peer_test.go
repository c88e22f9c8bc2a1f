package inbound

import (
	"net/netip"
	"testing"
)

func TestPeerText(t *testing.T) {
	for want, p := range map[string]Peer{"": {}, "uid=0": {Unix: true}, "cid=0": {VM: true}, "cid=4294967294": {VM: true, CID: 4294967294}, "192.0.2.1:7": {Addr: netip.MustParseAddrPort("192.0.2.1:7")}} {
		if p.String() != want {
			t.Errorf("%+v is %q, want %q", p, p, want)
		}
	}
}

package builtin

import (
	"net/netip"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/inbound"
)

// TestDatagramsEarnNoPenalty: whatever a datagram does, and however often limits refuse it, its source is shut out for nothing: who
// connects from there is admitted. A stream that timed out is the offence that it is.
func TestDatagramsEarnNoPenalty(t *testing.T) {
	c := config("echo")
	c.Limit = limit.Spec{Responses: limit.Rate{Events: 5, Per: time.Second}, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}, Penalty: limit.Penalty{On: limit.Classes, First: time.Minute, Max: time.Hour}}
	g, err := newGate(c)
	if err != nil {
		t.Fatal(err)
	}
	who := client{peer: inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:7000")}, local: netip.MustParseAddrPort("192.0.2.1:7"), network: "udp"}
	refused := 0
	for range 1000 {
		if g.datagram(&who, time.Now()).refused != "" {
			refused++
		}
	}
	if refused < 900 {
		t.Fatalf("%d datagrams were refused", refused)
	}
	v := g.admit(&who)
	if v.refused != "" {
		t.Fatalf("refused: %s", v.refused)
	}
	g.release(&who, &v, string(limit.Timeout))
	if v := g.admit(&who); v.refused != "penalty" {
		t.Errorf("after a timeout: %q", v.refused)
	}
}

package builtin

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/tests/logline"
)

// TestRefusalOfManyExempt: however many a limit exempts, a refusal is one line of the log, of which its worker takes 4096 bytes.
func TestRefusalOfManyExempt(t *testing.T) {
	c := config("daytime")
	for i := range 1024 {
		c.Limit.Exempt = append(c.Limit.Exempt, netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/48", i+1)))
	}
	var text []byte
	r := newRecords(func(r journal.Record) { text = append(text, logline.Of(r)...) }, c)
	r.decision(&client{peer: inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.1:5000")}, network: "tcp"}, &verdict{refused: "source-rate"}, false, time.Now())
	r.flush()
	for line := range bytes.Lines(text) {
		if len(line) > 4096 {
			t.Errorf("a line of %d bytes: %.300s...", len(line), line)
		}
	}
	if !bytes.Contains(text, []byte(`"limit":{`)) {
		t.Errorf("no limit in %s", text)
	}
}

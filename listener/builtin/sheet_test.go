package builtin

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"casemate/acl"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/tests/logline"
)

// TestSheets: what is filled in is byte for byte what the journal makes of the record, and in its order.
func TestSheets(t *testing.T) {
	c := config("daytime")
	c.Service, c.Digest, c.Origins = "day-time_1", "sha256:18446744073709551615", []string{"1.2.3.4 \"5.6.7.8:9\" <&>\u2028\x01.cm.hcl:56789:1.234"}
	c.ACL = &acl.List{Name: "1.2.3.4", Rules: []acl.Rule{{Name: "56789", Verdict: acl.Allow}, {Verdict: acl.Allow}}}
	var got, want strings.Builder
	r := newRecords(func(r journal.Record) { got.Write(logline.Of(r)) }, c)
	rng := rand.New(rand.NewPCG(1, 2))
	addrs := []string{"127.0.0.1", "255.255.255.255", "1.2.3.4", "::1", "2001:db8::9", "fe80::1"}
	some := func() netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(addrs[rng.IntN(len(addrs))]), uint16(rng.Uint32()))
	}
	for range 2000 {
		at := time.Unix(rng.Int64N(4e9), rng.Int64N(1e9)).In([]*time.Location{time.UTC, time.FixedZone("x", 5400)}[rng.IntN(2)])
		d := &journal.Decision{At: at, ID: rng.Uint64() >> rng.IntN(64), Service: c.Service, Client: inbound.Peer{Addr: some()}, Network: "tcp", Local: some(), ACL: c.ACL.Name, Digest: c.Digest}
		rule := rng.IntN(4) - 2
		d.Rule, d.RuleName = journal.Origins(c.Origins).Text(rule), []string{"", "", "56789", ""}[rule+2]
		e := &journal.Session{At: at, ID: d.ID, Service: c.Service, Client: d.Client, Reason: journal.Exit, Took: time.Duration(rng.Int64() >> rng.IntN(63)), In: rng.Uint64() >> rng.IntN(64), Out: rng.Uint64() >> rng.IntN(64), Heard: true, Digest: c.Digest}
		want.Write(logline.Of(d))
		want.Write(logline.Of(e))
		if !r.decided(d, rule) || !r.ordinary(e) {
			t.Fatal("there is no sheet")
		}
	}
	r.flush()
	if got.String() != want.String() {
		g, w := strings.Split(got.String(), "\n"), strings.Split(want.String(), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Fatalf("line %d of %d and %d:\n%s\nwant\n%s", i, len(g), len(w), g[i], w[i])
			}
		}
		t.Fatalf("%d lines, want %d", len(g), len(w))
	}
}

// TestNoSheet: what is not ordinary is made by the journal, behind what waits.
func TestNoSheet(t *testing.T) {
	var log safeBuffer
	r := newRecords(log.put, config("daytime"))
	peer := inbound.Peer{Addr: netip.MustParseAddrPort("127.0.0.1:7")}
	fine := journal.Session{ID: 1, Client: peer, Reason: journal.Exit, Heard: true}
	for i, change := range []func(*journal.Session){
		func(s *journal.Session) { s.Reason = journal.Timeout },
		func(s *journal.Session) { s.Detail = "x" },
		func(s *journal.Session) { s.Heard = false },
		func(s *journal.Session) { s.Client = inbound.Peer{Unix: true} },
	} {
		first, other := fine, fine
		change(&other)
		first.ID, other.ID = uint64(2*i+1), uint64(2*i+2)
		r.session(&first)
		r.session(&other)
	}
	all := log.records(t, "session")
	for i, m := range all {
		if m["id"] != float64(i+1) {
			t.Errorf("record %d is %v", i, m)
		}
	}
	if len(all) != 8 {
		t.Errorf("%d records", len(all))
	}
}

// TestLinesWaitForAMoment: a line is handed over soon, by itself if no other comes, and with others at once where they are many.
func TestLinesWaitForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handed []int
		r := newRecords(func(r journal.Record) {
			if l, ok := r.(journal.Lines); ok && !strings.HasPrefix(string(l), `{"counts"`) {
				handed = append(handed, strings.Count(string(l), "\n"))
			}
		}, config("daytime"))
		one := journal.Session{Client: inbound.Peer{Addr: netip.MustParseAddrPort("127.0.0.1:7")}, Reason: journal.Exit, Heard: true}
		for range 3 {
			e := one
			r.session(&e)
		}
		synctest.Wait()
		so := func() []int {
			r.mu.Lock() // log is called with it
			defer r.mu.Unlock()
			return handed
		}
		if len(so()) != 0 {
			t.Fatal("nothing waits")
		}
		time.Sleep(gatherFor)
		synctest.Wait()
		if h := so(); len(h) != 1 || h[0] != 3 {
			t.Fatalf("handed over %v, want 3 lines", h)
		}
		for range 200 {
			e := one
			r.session(&e)
		}
		if h := so(); len(h) < 2 || h[1] < 10 || h[1] > 200 {
			t.Errorf("handed over %v", h)
		}
		time.Sleep(2 * time.Second) // its timers are over
	})
}

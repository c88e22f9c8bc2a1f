package decide

import (
	"net/netip"
	"testing"
	"time"

	"casemate/acl"
)

// berlin has the two changes of 2026, as the compiler writes them.
var berlin = &acl.Zone{Name: "Europe/Berlin", Offset: 3600, Changes: []acl.Change{{1774746000, 7200}, {1792890000, 3600}}}

func decideAt(t *testing.T, l *acl.List, at time.Time) Decision {
	t.Helper()
	m, err := Compile(l)
	if err != nil {
		t.Fatal(err)
	}
	return m.Decide(Client{Addr: netip.MustParseAddr("192.0.2.1"), At: at})
}

func TestDuring(t *testing.T) {
	span := func(from, to int) []acl.Rule {
		return []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{acl.Any}, During: []acl.Span{{from, to}}}}
	}
	const sun = 6 * 1440
	for _, c := range []struct {
		name  string
		zone  *acl.Zone
		rules []acl.Rule
		at    string
		want  acl.Verdict
	}{
		{"monday's first minute", nil, span(0, 1), "2026-11-23T00:00:00Z", acl.Allow},
		{"its end is not in it", nil, span(0, 1), "2026-11-23T00:01:00Z", acl.Deny},
		{"sunday's last minute", nil, span(acl.Week-1, acl.Week), "2026-11-22T23:59:59Z", acl.Allow},
		{"the written offset is of no matter", nil, span(0, 60), "2026-11-23T01:30:00+01:00", acl.Allow},
		{"winter in Berlin", berlin, span(480, 1080), "2026-11-23T07:00:00Z", acl.Allow},
		{"an hour too early in winter", berlin, span(480, 1080), "2026-11-23T06:59:59Z", acl.Deny},
		{"summer in Berlin", berlin, span(480, 1080), "2026-07-20T06:00:00Z", acl.Allow},
		{"an hour too late in summer", berlin, span(480, 1080), "2026-07-20T16:00:00Z", acl.Deny},
		{"before the first change", berlin, span(480, 1080), "2026-01-05T07:00:00Z", acl.Allow},
		// 2026-03-29: 02:00 to 03:00 is not.
		{"before the gap", berlin, span(sun+119, sun+120), "2026-03-29T00:59:59Z", acl.Allow},
		{"in the gap nothing is", berlin, span(sun+120, sun+180), "2026-03-29T01:00:00Z", acl.Deny},
		{"it goes on behind the gap", berlin, span(sun+150, sun+210), "2026-03-29T01:00:00Z", acl.Allow},
		// 2026-10-25: 02:00 to 03:00 is twice.
		{"the first time of the overlap", berlin, span(sun+120, sun+180), "2026-10-25T00:30:00Z", acl.Allow},
		{"the second time of the overlap", berlin, span(sun+120, sun+180), "2026-10-25T01:30:00Z", acl.Allow},
		{"behind the overlap", berlin, span(sun+120, sun+180), "2026-10-25T02:00:00Z", acl.Deny},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if d := decideAt(t, &acl.List{Default: acl.Deny, Zone: c.zone, Rules: c.rules}, at); d.Verdict != c.want {
			t.Errorf("%s: %s at %s, want %s", c.name, d.Verdict, c.at, c.want)
		}
	}
}

// Who does not say when a client comes gets no allow rule's favour, and no way past a
// deny rule.
func TestDuringUnknownTime(t *testing.T) {
	always := []acl.Span{{0, acl.Week}}
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-5, 0)} {
		allow := &acl.List{Default: acl.Deny, Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{acl.Any}, During: always}}}
		if d := decideAt(t, allow, at); d.Verdict != acl.Deny || d.Rule != RuleDefault {
			t.Errorf("an allow rule matches at an unknown time: %+v", d)
		}
		deny := &acl.List{Default: acl.Allow, Rules: []acl.Rule{{Verdict: acl.Deny, From: []acl.Pattern{acl.Any}, During: always}}}
		if d := decideAt(t, deny, at); d.Verdict != acl.Deny || d.Rule != 0 {
			t.Errorf("a deny rule does not match at an unknown time: %+v", d)
		}
	}
}

// TestDuringAdmitsNotAll: what a program with wait = true could not hold is not taken for
// a list that admits everybody.
func TestDuringAdmitsNotAll(t *testing.T) {
	l := &acl.List{Default: acl.Deny, Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{acl.Any}, During: []acl.Span{{0, acl.Week}}}}}
	if l.AllowsAll() {
		t.Error("a list with hours admits everybody")
	}
}

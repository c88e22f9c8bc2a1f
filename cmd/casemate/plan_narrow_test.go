package main

import (
	"net/netip"
	"testing"
	"time"

	"casemate/acl"
	"casemate/policy"
	"casemate/policy/control"
)

// TestNarrowed: plan counts the sessions that a load would end, by what is known of their clients.
func TestNarrowed(t *testing.T) {
	to := &policy.Policy{
		OnNarrow: policy.NarrowEnd,
		ACLs: []acl.List{{Name: "new", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"192.0.2.0/24", "uid=7"}, To: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}},
			{Verdict: acl.Allow, From: []acl.Pattern{".example.org"}}, {Verdict: acl.Allow, From: []acl.Pattern{"uid=8"}}}, Default: acl.Deny},
			{Name: "strict", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"192.0.2.1", "uid=8"}}}, Default: acl.Deny}},
		Services: []policy.Service{{Name: "named", ACL: "new"}, {Name: "none"}, {Name: "plain", ACL: "strict"}, {Name: "waits", Wait: true}},
	}
	for _, tt := range []struct {
		s    control.SessionStatus
		want int
	}{
		{control.SessionStatus{Service: "plain", Client: "192.0.2.1:4711"}, 0},
		{control.SessionStatus{Service: "plain", Client: "192.0.2.2:4711"}, 1},
		{control.SessionStatus{Service: "plain", Client: "uid=8"}, 0},
		{control.SessionStatus{Service: "plain", Client: "uid=9"}, 1},
		{control.SessionStatus{Service: "none", Client: "192.0.2.1:4711"}, 1},
		{control.SessionStatus{Service: "gone", Client: "192.0.2.1:4711"}, 1},
		{control.SessionStatus{Service: "gone"}, 0}, // nobody in particular
		{control.SessionStatus{Service: "waits", Client: "192.0.2.9:4711"}, 0},
		{control.SessionStatus{Service: "named", Client: "192.0.2.9:4711", Local: "198.51.100.1:79"}, 0},
		{control.SessionStatus{Service: "named", Client: "192.0.2.9:4711", Local: "198.51.100.2:79"}, 0}, // a name, which nobody has asked, may admit it
		{control.SessionStatus{Service: "named", Client: "192.0.2.9:4711", Local: "198.51.100.2:79", Name: "a.example.net"}, 1},
		{control.SessionStatus{Service: "named", Client: "203.0.113.1:1", Name: "a.example.org"}, 0},
	} {
		if got := narrowed([]control.SessionStatus{tt.s}, to, time.Now()); got.Disallowed != tt.want || !got.Ends {
			t.Errorf("%+v: %+v, want %d", tt.s, got, tt.want)
		}
	}
}

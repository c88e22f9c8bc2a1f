package policy

import (
	"net/netip"
	"strings"
	"testing"

	"casemate/acl"
)

func TestExplain(t *testing.T) {
	p := sample()
	p.Services[1].ACL = "office"
	doc, err := NewDocument(p, Origins{"acls.office.rules.0": "f:1:1", "acls.office.rules.1": "f:2:1", "acls.office.default": "default",
		"services.finger": "f:9:1", "acls.named.rules.0": "f:5:1"})
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddr("10.1.2.3")
	for _, tt := range []struct {
		name    string
		acl     string
		q       Query
		want    acl.Verdict
		rule    int
		origin  string
		reason  string
		pending bool
	}{
		{"deny rule", "office", Query{Client: netip.MustParseAddr("192.0.2.66"), Local: local}, acl.Deny, 0, "f:1:1", "192.0.2.66", false},
		{"mapped", "office", Query{Client: netip.MustParseAddr("::ffff:192.0.2.66"), Local: local}, acl.Deny, 0, "f:1:1", "192.0.2.66", false},
		{"allow rule", "office", Query{Client: netip.MustParseAddr("192.0.2.1"), Local: local}, acl.Allow, 1, "f:2:1", "192.0.2.0/24", false},
		{"default", "office", Query{Client: netip.MustParseAddr("198.51.100.1"), Local: local}, acl.Deny, -1, "default", "default is deny", false},
		{"other local", "office", Query{Client: netip.MustParseAddr("192.0.2.1"), Local: netip.MustParseAddr("172.16.0.1")}, acl.Deny, -1, "default", "", false},
		{"no acl", "", Query{Client: netip.MustParseAddr("192.0.2.1")}, acl.Deny, -2, "f:9:1", "no acl", false},
		{"needs name", "named", Query{Client: netip.MustParseAddr("192.0.2.1")}, acl.Deny, 0, "f:5:1", "host name", true},
		{"named", "named", Query{Client: netip.MustParseAddr("192.0.2.1"), Name: "www.example.org"}, acl.Allow, 0, "f:5:1", ".example.org", false},
		{"paranoid", "named", Query{Client: netip.MustParseAddr("192.0.2.1"), Name: "paranoid"}, acl.Deny, -1, "", "default is deny", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.Services[1].ACL = tt.acl
			tt.q.Service = "finger"
			e, err := Explain(doc, tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if e.Decision != tt.want || e.Rule != tt.rule || e.NeedsName != tt.pending || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("got %s rule %d (needs name %v): %s", e.Decision, e.Rule, e.NeedsName, e.Reason)
			}
			if tt.origin != "" && e.Origin != tt.origin {
				t.Errorf("origin %q, want %q", e.Origin, tt.origin)
			}
			if len(e.Layers) == 0 || e.Digest != doc.Digest || e.Limit == nil || e.User != "nobody" {
				t.Errorf("incomplete: %+v", e)
			}
		})
	}
	for name, q := range map[string]Query{
		`did you mean "finger"`: {Service: "figner", Client: local},
		"no address":            {Service: "finger"},
		"name":                  {Service: "finger", Client: local, Name: "a b"},
	} {
		if _, err := Explain(doc, q); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %s, got %v", name, err)
		}
	}
}

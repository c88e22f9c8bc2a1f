package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"casemate/acl"
	"casemate/acl/shield"
	"casemate/policy"
)

// TestBansLeaveTheScreenWhole: where the kernel's filter is all that holds clients to the rules, bans that it has no room for beside them take
// none of them out of it. Where the rules are asked again, as at the control, they may.
func TestBansLeaveTheScreenWhole(t *testing.T) {
	list := &acl.List{Name: "few", Default: acl.Deny}
	for i := range 900 {
		list.Rules = append(list.Rules, acl.Rule{Verdict: acl.Allow, From: []acl.Pattern{acl.Pattern(fmt.Sprintf("10.%d.%d.0/28", i/250, i%250))}})
	}
	rules, err := shield.Whole(list)
	if err != nil {
		t.Fatal(err)
	}
	var many []netip.Prefix
	for i := range 1024 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i / 250), byte(i % 250), 3}), 32))
	}
	equal := func(a, b shield.Ranges) bool { return slices.Equal(a.IPv4, b.IPv4) && slices.Equal(a.IPv6, b.IPv6) }
	for _, wait := range []bool{true, false} {
		s := &shielding{svc: &service{spec: &policy.Service{Refuse: policy.RefuseSilent, Wait: wait}}, rules: rules}
		if few := s.with(many[:2]); equal(few, rules) || !few.Refuses(many[0].Addr()) {
			t.Errorf("wait %v: two bans are not in the filter", wait)
		}
		if got := s.with(many); equal(got, rules) != wait || got.Fits() != wait {
			t.Errorf("wait %v: with %d bans the filter has %d ranges of the rules' %d, and they fit: %v", wait, len(many), len(got.IPv4), len(rules.IPv4), got.Fits())
		}
	}
}

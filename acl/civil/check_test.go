package civil

import (
	"testing"

	"casemate/acl"
)

// TestForged: what no table and no window comes to is refused; what they come to is not.
func TestForged(t *testing.T) {
	for _, spans := range [][]acl.Span{{{-1, 5}}, {{5, 5}}, {{0, acl.Week + 1}}, {{0, 10}, {9, 20}}, {{20, 30}, {0, 10}}} {
		if CheckSpans(spans) == nil {
			t.Errorf("%v passes", spans)
		}
	}
	for _, z := range []acl.Zone{{Offset: 1 << 40}, {Offset: -1 << 63}, {Changes: []acl.Change{{5, 0}, {4, 0}}}, {Changes: []acl.Change{{5, 100000}}}} {
		if CheckZone(&z) == nil {
			t.Errorf("%v passes", z)
		}
	}
	for _, name := range Names() {
		if z, _ := Zone(name); CheckZone(z) != nil {
			t.Errorf("%s: %v", name, CheckZone(z))
		}
	}
}

package root

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// TestDescriptorsAbove1024 (xinetd's audit; rlinetd 0.9, Ubuntu #1057645: select(2) beyond
// FD_SETSIZE overran a table): a service of more than a thousand ports has its listeners, and its
// clients, at descriptors above 1023, in the broker; each port is served.
func TestDescriptorsAbove1024(t *testing.T) {
	rig.Root(t)
	if !alone(t) { // where that many ports are free
		return
	}
	const first, last = 20000, 21099
	ranges := fmt.Sprintf(`"tcp4://127.0.0.1:%d-%d", "tcp4://127.0.0.1:%d-%d"]`, first, first+499, first+500, last)
	b := rig.Serve(t, head+strings.Replace(service("many", "RANGES", []string{rig.Compile(t, "testdata/rogue.c"), "count"}, "profile = profile.line"), `"RANGES"]`, ranges, 1))
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", acceptor(t, b)))
	if err != nil {
		t.Fatal(err)
	}
	highest := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			highest = max(highest, n)
		}
	}
	if highest < 1024+50 {
		t.Fatalf("the highest of %d descriptors is %d: nothing is tried", len(entries), highest)
	}
	for _, port := range []int{first, first + 500, last - 75, last - 1, last} {
		exchange(t, strconv.Itoa(port), "12345", "5 bytes\n")
	}
	s, err := b.Service("many")
	if err != nil || s.Admitted != 5 {
		t.Errorf("%+v (%v)", s, err)
	}
}

package root

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestDescriptorsPerService: an idle service costs its listener, its tree, its program
// and its Landlock ruleset, and nothing more. Above as many services as keep a zygote
// ready, so that none has one.
func TestDescriptorsPerService(t *testing.T) {
	const few, many, each = 70, 110, 4
	held := func(services int) int {
		t.Helper()
		var text strings.Builder
		text.WriteString(head)
		for i := range services {
			text.WriteString(service(fmt.Sprintf("s%d", i), "tcp4://127.0.0.1:"+rig.Port(t), []string{"/bin/cat"}, "profile = profile.line"))
		}
		b := rig.Serve(t, text.String())
		defer b.Stop()
		// A look may meet a connection to its control socket that is just ending, or a zygote of the load.
		least, same := math.MaxInt, 0
		if err := rig.Until(30*time.Second, func() error {
			now := len(descriptors(t, b))
			if same++; now < least {
				least, same = now, 0
			}
			if same < 50 {
				return fmt.Errorf("%d descriptors after %d, for %d looks", now, least, same)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return least
	}
	low := held(few)
	high := held(many)
	if got := float64(high-low) / (many - few); got > each {
		t.Errorf("an idle service holds %.1f descriptors, want at most %d: %d with %d services, %d with %d", got, each, low, few, high, many)
	}
}

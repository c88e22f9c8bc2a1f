package escape

import (
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// TestMissingLayer: on a kernel without Landlock nothing is served that asks for
// it, unless its profile allows the loss by name (attempt 74).
func TestMissingLayer(t *testing.T) {
	bin := rig.Root(t)
	victim, hide := compileVictim(t), rig.Compile(t, "testdata/hide.c")
	for _, c := range []struct{ name, extra string }{
		{"asked for", ""},
		{"another layer is best effort", "\n  best_effort = [\"cgroup\"]"},
		{"best effort", "\n  best_effort = [\"landlock\"]"},
	} {
		port := rig.Port(t)
		b, err := rig.Start(rig.Options{Bin: bin, Under: []string{hide}, Files: map[string]string{
			"test.cm.hcl": policyHead + serviceText("victim", port, victim, "  base = profile.server\n  init = false"+c.extra),
		}})
		if !strings.Contains(c.extra, "landlock") {
			if err == nil {
				b.Stop()
				t.Errorf("%s: served without Landlock", c.name)
			} else if !strings.Contains(strings.ToLower(err.Error()), "landlock") {
				t.Errorf("%s: the error does not name the layer: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s, err := b.Service("victim"); err != nil || !strings.Contains(strings.Join(s.Losses, " "), "landlock") {
			t.Errorf("%s: status %+v (%v) does not show the loss", c.name, s, err)
		}
		if o := inside(t, port, "open-read /etc/shadow"); !denied(unseen, o) {
			t.Errorf("%s: %s: the other layers are off as well", c.name, o)
		}
		b.Stop()
	}
}

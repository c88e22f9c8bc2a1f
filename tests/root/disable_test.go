package root

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestDisable: a disabled service does not listen, status says so, and a reload that
// disables one closes its socket and leaves its sessions.
func TestDisable(t *testing.T) {
	b, port := obedient(t, "limit \"it\" {\n  session = \"60s\"\n}\n")
	served(t, "127.0.0.1", port)
	stays, err := dialFrom("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service("it")
		if err == nil && s.Live != 1 {
			err = fmt.Errorf("%d sessions, want 1", s.Live)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	on := readPolicy(t, b)
	off := strings.Replace(on, "limit = limit.it", "limit = limit.it\n  disable = true", 1)
	if err := b.WritePolicy("test.cm.hcl", off); err != nil {
		t.Fatal(err)
	}
	reload(t, b, "")
	if _, err := dialFrom("127.0.0.1", port); err == nil {
		t.Error("somebody listens for a disabled service")
	}
	st, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(st.Disabled, []string{"it"}) || len(st.Services) != 0 || len(st.Sessions) != 1 {
		t.Errorf("status has disabled %q, %d services and %d sessions, want it, 0 and 1", st.Disabled, len(st.Services), len(st.Sessions))
	}
	if _, err := stays.Write([]byte("please\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	if n, err := stays.Read(answer); string(answer[:n]) != "served please\n" {
		t.Errorf("the session from before got %q (%v), want to be served", answer[:n], err)
	}

	if err := b.WritePolicy("test.cm.hcl", on); err != nil {
		t.Fatal(err)
	}
	reload(t, b, "")
	servedWithin(t, 30*time.Second, "127.0.0.1", port)
}

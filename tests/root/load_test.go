package root

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestMaxLoad: while the host's load is where a limit sheds, clients are refused by that
// reason, and served again when it has fallen, without anybody's help.
func TestMaxLoad(t *testing.T) {
	bin := rig.Root(t)
	program := rig.Compile(t, "testdata/manners.c")
	port, other := rig.Port(t), rig.Port(t)
	file := filepath.Join(t.TempDir(), "loadavg")
	load := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { // in place: it is mounted
			t.Fatal(err)
		}
	}
	load("3.99 9.00 9.00 1/100 1000\n")
	b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": head + "limit \"it\" {\n  max_load = \"4.0\"\n}\n" +
		service("it", "tcp://127.0.0.1:"+port, []string{program, "serve"}, "profile = profile.strict", "limit = limit.it") +
		service("other", "tcp://127.0.0.1:"+other, []string{program, "serve"}, "profile = profile.strict")},
		Under: []string{"unshare", "-m", "sh", "-c", "mount --bind " + file + " /proc/loadavg && exec \"$@\"", "sh"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	served(t, "127.0.0.1", port)

	load("4.00 0.00 0.00 1/100 1000\n")
	if err := rig.Until(30*time.Second, func() error { // it is read once a second
		if _, err := order("127.0.0.1", port, "please"); err != nil {
			return nil
		}
		return os.ErrDeadlineExceeded
	}); err != nil {
		t.Fatalf("served at a load of 4: %v", err)
	}
	refused(t, "127.0.0.1", port)
	served(t, "127.0.0.1", other)
	if n := refusedBy(t, b, "it", "load"); n < 2 {
		t.Errorf("status counts %d refusals by load, want 2 or more", n)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "decision", "service", "it", "verdict", "deny", "reason", "load"); err != nil {
		t.Error(err)
	}
	load("0.50 9.00 9.00 1/100 1000\n")
	servedWithin(t, 30*time.Second, "127.0.0.1", port)

	load("nonsense\n") // what cannot be read is not taken for idle
	if err := rig.Until(30*time.Second, func() error {
		if _, err := order("127.0.0.1", port, "please"); err != nil {
			return nil
		}
		return os.ErrDeadlineExceeded
	}); err != nil {
		t.Errorf("served at a load that is not known: %v", err)
	}
}

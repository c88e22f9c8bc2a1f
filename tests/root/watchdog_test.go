package root

import (
	"net"
	"path/filepath"
	"testing"

	"casemate/tests/root/rig"
)

// TestWatchdog: a service manager that wants to hear so is told again and again that the loop turns.
func TestWatchdog(t *testing.T) {
	rig.Root(t)
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "100000")
	rig.Serve(t, head+service("echo", "tcp4://127.0.0.1:"+rig.Port(t), []string{"/bin/cat"}, "profile = profile.line"))
	for range 3 {
		listenedAt(t, manager, "WATCHDOG=1")
	}
}

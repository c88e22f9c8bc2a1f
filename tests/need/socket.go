package need

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// timeWait is how the kernel writes the state of a connection that is over and keeps nothing (tcp_states.h).
const timeWait = "06"

// ServerEnd tells whether the kernel has the other end of a client's connection over IPv4, in the network
// namespace of the process, and how many bytes lie in its queue of what is to be sent.
func ServerEnd(t testing.TB, client net.Conn) (there bool, queued int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	in := func(a net.Addr) string {
		at := a.(*net.TCPAddr).AddrPort()
		ip := at.Addr().Unmap().As4()
		return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), at.Port())
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 4 && f[1] == in(client.RemoteAddr()) && f[2] == in(client.LocalAddr()) && f[3] != timeWait {
			_, _ = fmt.Sscanf(f[4], "%x:", &queued)
			return true, queued
		}
	}
	return false, 0
}

package need

import (
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// The ports of Port: below the range that the kernel gives to clients, which come
// and go on a busy host, and spread over the test processes that run side by side.
const firstPort, lastPort = 10000, 31999

var (
	portLock sync.Mutex
	nextPort = firstPort + os.Getpid()%1500*10
)

// Port returns a loopback port that is free for tcp and udp, and that this process
// has not been given before, unless it went through all of them.
func Port(t testing.TB) string {
	t.Helper()
	portLock.Lock()
	defer portLock.Unlock()
	for range lastPort - firstPort {
		if nextPort++; nextPort > lastPort {
			nextPort = firstPort
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(nextPort))
		l, err := net.Listen("tcp4", addr)
		if err != nil {
			continue
		}
		_ = l.Close()
		u, err := net.ListenPacket("udp4", addr)
		if err != nil {
			continue
		}
		_ = u.Close()
		return strconv.Itoa(nextPort)
	}
	t.Fatalf("no free loopback port from %d to %d", firstPort, lastPort)
	return ""
}

package broker

import (
	"fmt"
	"net"
	"testing"

	"casemate/listener/address"
)

// TestBuiltinWithOneBusyPort: the free ports of a built-in are served while
// another one is busy; once that is free, one worker has them all.
func TestBuiltinWithOneBusyPort(t *testing.T) {
	g, free := newRig(t), freePort(t)
	other, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	busy := uint16(other.Addr().(*net.TCPAddr).Port)
	s := svc("echo", "tcp", free)
	s.Command, s.Builtin, s.Wait, s.Retry, s.Stdio = nil, "echo", true, true, "listen_fds"
	s.Listen = append(s.Listen, address.Listen{Network: "tcp", Addr: loopback, Port: busy, LastPort: busy})
	g.fakes["echo"] = &fakeCell{argv: []string{"/bin/sleep", "1000"}}
	g.load(s)
	held := func(n int) func() bool {
		return func() (ok bool) {
			g.do(func() {
				for _, s := range g.sessions {
					ok = len(s.held) == n && s.mercy == mercyNone
				}
			})
			return ok
		}
	}
	dial(t, free)
	eventually(t, held(1))
	for _, l := range g.status1("echo").Listeners {
		want := map[string]string{fmt.Sprintf("tcp4/127.0.0.1:%d", free): "waiting", fmt.Sprintf("tcp4/127.0.0.1:%d", busy): "retrying"}
		if l.State != want[l.Key] {
			t.Errorf("%+v, want %q", l, want[l.Key])
		}
	}
	other.Close()
	g.expect(`"session"`, `"reason":"killed"`)
	eventually(t, held(2)) // the first client is still in the backlog
}

package broker

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"casemate/listener/address"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// TestDisplacedWhileHeld: a load that needs an address which a wait program holds fails and
// changes nothing; when the program has ended, both ways work.
func TestDisplacedWhileHeld(t *testing.T) {
	g, port := newRig(t), freePort(t)
	wild := svc("wait", "tcp4", port, "/bin/sleep", "1000")
	wild.Listen[0].Addr, wild.Wait = netip.Addr{}, true
	g.load(wild)
	digest := g.doc.Digest
	dial(t, port)
	eventually(t, func() bool {
		return g.status1("wait").Listeners[0].State == "waiting" && g.status1("wait").Admitted == 1
	})
	narrow := wild
	narrow.Listen = []address.Listen{{Network: "tcp4", Addr: loopback, Port: port, LastPort: port}}
	g.setPolicy(narrow)
	if got, _, err := g.Load(); err == nil || got != digest || !strings.Contains(err.Error(), "program of wait (pid ") {
		t.Errorf("%s, %v", got, err)
	}
	if st := g.status1("wait"); st.Listeners[0].State != "waiting" || st.Live != 1 {
		t.Errorf("%+v", st)
	}
	end := func() {
		g.running(1, func(s *session) { s.signal(unix.SIGKILL) })
		g.expect(`"session"`, `"service":"wait"`, "SIGKILL")
	}
	end()
	dial(t, port) // served by the socket that was held
	eventually(t, func() bool { return g.status1("wait").Admitted == 2 })
	end()
	eventually(t, func() bool { _, _, err := g.Load(); return err == nil })
	if st := g.status1("wait"); st.Live > 1 || st.Listeners[0].Key != "tcp4/127.0.0.1:"+fmt.Sprint(port) {
		t.Errorf("%+v", st)
	}
}

// TestStopBeforeTheZygote: a wait program that waits for its zygote when the broker stops is not
// started: its socket is closed by then.
func TestStopBeforeTheZygote(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("wait", "tcp", port, "/bin/sleep", "1000")
	s.Wait = true
	g.load(s)
	g.do(func() { g.gen.services[0].run.drop() })
	fake := g.fakes["wait"]
	fake.mu.Lock() // its zygote comes up after the stop
	dial(t, port)
	eventually(t, func() (waits bool) { g.do(func() { waits = len(g.gen.services[0].run.waiting) == 1 }); return waits })
	g.Stop()
	g.do(func() {})
	fake.mu.Unlock()
	g.expect(`"session"`, `"reason":"start-failed"`, "busy")
	g.expect(`"msg":"stopped"`)
}

// TestStopWaitsBesideARefusal: under on_stop = "leave" a client that is refused while the broker
// is still about to end what it has does not end it: it waits for a wait program's end.
func TestStopWaitsBesideARefusal(t *testing.T) {
	g, port, next := newRig(t), freePort(t), freePort(t)
	held := svc("wait", "tcp", port, "/bin/sh", "-c", "trap 'sleep 1; exit 7' TERM; while :; do sleep 0.01; done")
	held.Wait = true
	p := testPolicy(svc("slow", "tcp", next, "/bin/cat"), held)
	p.OnStop = policy.StopLeave
	g.loadPolicy(p)
	dial(t, port)
	eventually(t, func() (trapped bool) {
		g.do(func() {
			for pid := range g.sessions {
				status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
				_, caught, _ := strings.Cut(string(status), "SigCgt:\t")
				mask, _ := strconv.ParseUint(strings.TrimSpace(caught[:min(16, len(caught))]), 16, 64)
				trapped = mask&(1<<(unix.SIGTERM-1)) != 0
			}
		})
		return trapped
	})
	g.do(func() { g.gen.service("slow").run.drop() })
	fake := g.fakes["slow"]
	fake.mu.Lock() // its zygote comes up after the stop
	dial(t, next)
	eventually(t, func() (waits bool) {
		g.do(func() { waits = len(g.gen.service("slow").run.waiting) == 1 })
		return waits
	})
	g.Stop()
	g.do(func() {})
	fake.mu.Unlock()
	g.expect(`"session"`, `"service":"wait"`, `"exit":7`)
}

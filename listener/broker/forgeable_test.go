package broker

import (
	"testing"
	"time"

	"casemate/acl/limit"
)

// TestDatagramsEarnNoPenalty: a program that dies of what a datagram said costs the datagram's source nothing, which may be forged: it is
// asked again at once, as often as it crashes. The same program behind tcp has its penalty after the first time.
func TestDatagramsEarnNoPenalty(t *testing.T) {
	g, port, stream := newRig(t), freePort(t), freePort(t)
	crash := []string{"/bin/sh", "-c", "dd bs=64 count=1 status=none >/dev/null; kill -SEGV $$"}
	udp, tcp := svc("udp", "udp", port, crash...), svc("tcp", "tcp", stream, crash...)
	udp.Limit, tcp.Limit = "patient", "patient"
	g.load(tcp, udp)
	c := udpClient(t, "127.0.0.1", port)
	for n := uint64(1); n <= 3; n++ {
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(30 * time.Second); g.status1("udp").EndedBy["crash"] < n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("datagram %d: %+v", n, g.status1("udp"))
			}
		}
	}
	if st := g.status1("udp"); st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	if _, err := dial(t, stream).Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	g.expect(`"service":"tcp"`, `"reason":"`+string(limit.Crash)+`"`)
	if !refusedAt(t, stream) {
		t.Error("a stream's crash has no penalty")
	}
	g.expect(`"reason":"penalty"`)
}

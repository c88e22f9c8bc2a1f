package root

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// queueing is a service of one place, and who holds it.
func queueing(t *testing.T, queue string) (b *rig.Broker, port string, holder *net.TCPConn) {
	t.Helper()
	b, port = obedient(t, "limit \"it\" {\n  concurrent = 1\n  "+queue+"\n  session = \"1h\"\n  per_source {\n    concurrent = 2\n  }\n}\n")
	holder = joins(t, "127.0.0.1", port)
	waiting(t, b, 1, 0)
	session(t, b, "it") // whose start is over: it outlives its broker
	return b, port, holder
}

// joins is a client that is served or waits. Who is refused at once may see that from connect
// already: see refused.
func joins(t *testing.T, source, port string) *net.TCPConn {
	t.Helper()
	c, err := dialFrom(source, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// waiting polls until so many sessions are live and so many connections in the queue.
func waiting(t *testing.T, b *rig.Broker, live, queued int) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service("it")
		if err == nil && (s.Live != live || s.Queued != queued) {
			err = fmt.Errorf("%d live and %d queued, want %d and %d", s.Live, s.Queued, live, queued)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// finishes has a client that waited, or holds a place, served to its end.
func finishes(t *testing.T, c *net.TCPConn, who string) {
	t.Helper()
	if _, err := c.Write([]byte("please\n")); err != nil {
		t.Errorf("%s: %v", who, err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "served please\n" {
		t.Errorf("%s got %q (%v), want to be served", who, got, err)
	}
}

// turnedAway is who waits, and is refused.
func turnedAway(t *testing.T, c *net.TCPConn, who string) {
	t.Helper()
	if got, err := io.ReadAll(c); err == nil || len(got) > 0 || strings.Contains(err.Error(), "timeout") {
		t.Errorf("%s got %q (%v), want to be refused", who, got, err)
	}
}

// TestQueueInTurn: who finds no place waits for one, in turn; one source has no more of the
// queue than it may have of the places, and what is beyond the queue is refused.
func TestQueueInTurn(t *testing.T) {
	b, port, holder := queueing(t, "queue = \"5m\"\n  queue_length = 4")
	var queue []*net.TCPConn
	for i, source := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.2"} {
		queue = append(queue, joins(t, source, port))
		waiting(t, b, 1, i+1)
	}
	refused(t, "127.0.0.2", port) // the third of one source
	queue = append(queue, joins(t, "127.0.0.4", port))
	waiting(t, b, 1, 4)
	refused(t, "127.0.0.5", port) // one more than the queue holds
	if n := refusedBy(t, b, "it", "concurrency"); n != 2 {
		t.Errorf("status counts %d refusals by concurrency, want 2", n)
	}
	finishes(t, holder, "the holder")
	for i, c := range queue {
		waiting(t, b, 1, len(queue)-1-i)
		finishes(t, c, fmt.Sprintf("number %d of the queue", i))
	}
	waiting(t, b, 0, 0)
	records, err := b.Await(5, 30*time.Second, "msg", "decision", "service", "it", "verdict", "allow")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range records {
		order = append(order, r.Str("client"))
	}
	if want := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.4"}; !slices.Equal(order, want) {
		t.Errorf("served in the order %v, want %v", order, want)
	}
}

// TestQueueEnds: who waits for too long is refused, who goes is out of the queue, and
// neither takes a place.
func TestQueueEnds(t *testing.T) {
	b, port, _ := queueing(t, "queue = \"300ms\"")
	refused(t, "127.0.0.2", port) // waits for too long
	if n := refusedBy(t, b, "it", "queue"); n != 1 {
		t.Errorf("status counts %d refusals by queue, want 1", n)
	}

	b, port, holder := queueing(t, "queue = \"5m\"\n  queue_length = 4")
	gone, stays := joins(t, "127.0.0.2", port), joins(t, "127.0.0.3", port)
	waiting(t, b, 1, 2)
	if err := gone.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	gone.Close()
	waiting(t, b, 1, 1)
	if n := refusedBy(t, b, "it", "gone"); n != 1 {
		t.Errorf("status counts %d who went, want 1", n)
	}
	holder.Close()
	finishes(t, stays, "who stayed")
	waiting(t, b, 0, 0)
}

// TestQueueReload: who waits over a reload is asked for by the new rules, keeps his turn, and
// is refused when the service is not served any more, or casemated stops.
func TestQueueReload(t *testing.T) {
	b, port, holder := queueing(t, "queue = \"5m\"\n  queue_length = 4")
	denied, kept, last := joins(t, "127.0.0.2", port), joins(t, "127.0.0.3", port), joins(t, "127.0.0.4", port)
	waiting(t, b, 1, 3)
	text := readPolicy(t, b)
	reloads(t, b, strings.Replace(text, "allow {", "deny { from = [\"127.0.0.2\"] }\n  allow {", 1))
	waiting(t, b, 1, 2)
	turnedAway(t, denied, "who is denied now")
	finishes(t, holder, "the holder")
	finishes(t, kept, "who was first then")
	waiting(t, b, 1, 0)

	next := joins(t, "127.0.0.3", port)
	waiting(t, b, 1, 1)
	reloads(t, b, strings.Replace(text, "limit = limit.it", "limit = limit.it\n  disable = true", 1))
	turnedAway(t, next, "who waited for a service that is not there")
	finishes(t, last, "the session from before")

	reloads(t, b, text)
	holder = joins(t, "127.0.0.1", port)
	waiting(t, b, 1, 0)
	next = joins(t, "127.0.0.3", port)
	waiting(t, b, 1, 1)
	go b.Stop()
	turnedAway(t, next, "who waited at the stop")
}

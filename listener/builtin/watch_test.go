package builtin

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/journal"
	"casemate/tests/need"
)

// ended waits for the record of a session that ended so.
func (r *running) ended(reason string) map[string]any {
	r.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		all := r.log.records(r.t, "session")
		if i := slices.IndexFunc(all, func(m map[string]any) bool { return m["reason"] == reason }); i >= 0 {
			return all[i]
		}
	}
	r.t.Fatalf("no session ended by %s: %v", reason, r.log.records(r.t, "session"))
	return nil
}

// TestFirstByte: the client of a built-in that says nothing is ended in time and is shut out; one that has spoken stays.
func TestFirstByte(t *testing.T) {
	c := config("echo")
	c.Limit = limit.Spec{Name: "l", FirstByte: 2 * time.Second, MinRate: 100, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64},
		Penalty: limit.Penalty{On: []limit.Class{limit.Slow}, First: time.Minute, Max: time.Minute}}
	r := start(t, c)
	speaks, silent := r.dial(), r.dial()
	talk(t, speaks)
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the silent client read %d bytes, %v", n, err)
	}
	m := r.ended(journal.Silent)
	if l, _ := m["limits"].([]any); len(l) != 1 || m["bytes_in"] != 0.0 || m["bytes_out"] != 0.0 {
		t.Errorf("%v", m)
	}
	late, err := net.Dial("tcp", r.tcp)
	if err == nil {
		defer late.Close()
		_, err = late.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("admitted in spite of its penalty: %v", err)
	}
	talk(t, speaks)
	speaks.Close()
	if m := r.ended(journal.Exit); m["bytes_in"] != 10.0 || m["bytes_out"] != 10.0 {
		t.Errorf("%v", m)
	}
}

// talk has an echo say hello.
func talk(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
}

// TestIdleClient: the client of a built-in that has said something is ended when nobody does any more.
func TestIdleClient(t *testing.T) {
	c := config("echo")
	c.Idle = 2 * time.Second
	r := start(t, c)
	client := r.dial()
	for range 15 {
		talk(t, client)
		time.Sleep(200 * time.Millisecond)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the idle client read %d bytes, %v", n, err)
	}
	m := r.ended(journal.Idle)
	l, _ := json.Marshal(m["limits"])
	if string(l) != `[{"count":1,"limit":"idle","of":"service.echo","value":2000000000}]` || m["bytes_in"] != 75.0 || m["bytes_out"] != 75.0 {
		t.Errorf("%v", m)
	}
}

// TestOutstayedLeavesNothing: what was written to a client who never reads is gone from the kernel soon after the
// session's time is over.
func TestOutstayedLeavesNothing(t *testing.T) {
	c := config("chargen")
	c.Limit = limit.Spec{Name: "l", Session: time.Second}
	r := start(t, c)
	client := r.dial()
	defer client.Close()
	r.ended(journal.Timeout)
	began := time.Now()
	for there := true; there; time.Sleep(20 * time.Millisecond) {
		if there, _ = need.ServerEnd(t, client); time.Since(began) > 10*time.Second {
			t.Fatal("its socket is still there")
		}
	}
}

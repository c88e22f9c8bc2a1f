package escape

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// say sends bytes to the control socket and returns what came back.
func say(t *testing.T, b *rig.Broker, text []byte) string {
	t.Helper()
	c, err := net.Dial("unix", b.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = c.Write(text) // it may have hung up on us before the end
	_ = c.(*net.UnixConn).CloseWrite()
	answer, _ := io.ReadAll(io.LimitReader(c, 1<<20))
	return string(answer)
}

// TestControlGarbage: what is no request is refused with a word, and the broker
// goes on; who holds connections without a request loses them (attempt 73).
func TestControlGarbage(t *testing.T) {
	s := newSite(t)
	b := s.broker
	if fi, err := os.Stat(b.Control); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v (%v), want mode 0600", fi.Mode(), err)
	}
	_ = inside(t, s.port, "identity")
	before := descriptors(t, b.PID)
	random := make([]byte, 4096)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for name, text := range map[string][]byte{
		"random":         random,
		"NULs":           make([]byte, 100),
		"half a request": []byte(`{"format_version":1,"verb":"sta`),
		"two requests":   []byte(`{"format_version":1,"verb":"status"}` + "\n" + `{"format_version":1,"verb":"reload"}` + "\n"),
		"two in a line":  []byte(`{"format_version":1,"verb":"status"}{"format_version":1,"verb":"reload"}` + "\n"),
		"unknown verb":   []byte(`{"format_version":1,"verb":"exec"}` + "\n"),
		"unknown field":  []byte(`{"format_version":1,"verb":"status","command":"sh"}` + "\n"),
		"other version":  []byte(`{"format_version":2,"verb":"status"}` + "\n"),
		"wrong type":     []byte(`{"format_version":1,"verb":["status"]}` + "\n"),
		"no client":      []byte(`{"format_version":1,"verb":"document","service":"victim","client":"\u0000"}` + "\n"),
		"deep":           append(bytes.Repeat([]byte("["), 16000), '\n'),
		"long":           bytes.Repeat([]byte("x"), 1<<20),
		"long value":     append(append([]byte(`{"format_version":1,"verb":"`), bytes.Repeat([]byte("x"), 64<<10)...), "\"}\n"...),
	} {
		if got := say(t, b, text); !strings.Contains(got, `"ok":false`) && name != "long" && name != "long value" || strings.Contains(got, `"ok":true`) {
			t.Errorf("%s: answered %.200q, want a refusal", name, got)
		}
	}
	if got := say(t, b, nil); strings.Contains(got, `"ok":true`) {
		t.Errorf("nothing: answered %q", got)
	}
	held := make([]net.Conn, 0, 64)
	for range cap(held) { // far more than it serves at once
		if c, err := net.Dial("unix", b.Control); err == nil {
			held = append(held, c)
			defer c.Close()
		}
	}
	if o := inside(t, s.port, "identity"); o.result != "ok" {
		t.Errorf("beside %d silent control connections: %s", len(held), o)
	}
	if n := descriptors(t, b.PID); n > before+20 {
		t.Errorf("the broker holds %d descriptors, before %d", n, before)
	}
	began := time.Now()
	if err := rig.Until(30*time.Second, func() error { _, err := b.Status(); return err }); err != nil {
		t.Errorf("silent control connections keep others out: %v", err)
	}
	t.Logf("a request was answered again after %s", time.Since(began))
	if err := rig.Until(30*time.Second, func() error {
		if n := descriptors(t, b.PID); n > before+1 {
			return fmt.Errorf("the broker holds %d descriptors", n)
		}
		return nil
	}); err != nil {
		t.Errorf("%v, before %d", err, before)
	}
}

package builtin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener"
	"casemate/listener/endpoint"
	"casemate/listener/journal"
	"casemate/tests/logline"

	"golang.org/x/sys/unix"
)

// safeBuffer collects records.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) put(r journal.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(logline.Of(r))
}

// records are the records of one message so far.
func (s *safeBuffer) records(t *testing.T, msg string) []map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(s.b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		if m["msg"] == msg {
			all = append(all, m)
		}
	}
	return all
}

var anyone = &acl.List{Name: "anyone", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"any"}}}, Default: acl.Deny}

func config(name string) *Config {
	return &Config{Service: name, Builtin: name, ACL: anyone, Limit: limit.Spec{PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}}, Linger: time.Hour, Digest: "sha256:0"}
}

// running is a worker's service on loopback, tcp and udp.
type running struct {
	t        *testing.T
	tcp, udp string
	log      safeBuffer
	stop     context.CancelFunc
	leaving  chan struct{}
	done     chan error
	more     []*os.File // sockets behind its own
	said     io.ReaderAt
	shun     <-chan os.Signal
}

func start(t *testing.T, c *Config) *running {
	t.Helper()
	return startOn(t, c, "127.0.0.1:0")
}

func startOn(t *testing.T, c *Config, addr string) *running {
	t.Helper()
	return startWith(t, c, addr, "tcp", "udp")
}

func startWith(t *testing.T, c *Config, addr string, protos ...string) *running {
	t.Helper()
	r := &running{t: t, leaving: make(chan struct{}), done: make(chan error, 1)}
	r.serve(c, addr, protos...)
	return r
}

func (r *running) serve(c *Config, addr string, protos ...string) {
	t := r.t
	t.Helper()
	where := netip.MustParseAddrPort(addr)
	family := "6"
	if where.Addr().Is4() {
		family = "4"
	}
	var files []*os.File
	for _, proto := range protos {
		// As the broker opens them for a wait service.
		s, err := listener.Open(listener.Spec{Endpoint: endpoint.Endpoint{Network: proto + family, Addr: where}, Wait: true})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, os.NewFile(uintptr(s.FD), proto))
		at, err := listener.LocalAddr(s.FD)
		if err != nil {
			t.Fatal(err)
		}
		if proto == "tcp" {
			r.tcp = at.String()
		} else {
			r.udp = at.String()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	files = append(files, r.more...)
	go func() {
		r.done <- Serve(ctx, Orders{Leaving: r.leaving, Said: r.said, Shun: r.shun}, c, files, r.log.put)
	}()
	t.Cleanup(r.end)
}

// end stops the service and checks that it ends well; a second call does nothing.
func (r *running) end() {
	r.stop()
	select {
	case err, open := <-r.done:
		if open && err != nil {
			r.t.Error(err)
		}
		if open {
			close(r.done)
		}
	case <-time.After(30 * time.Second):
		r.t.Error("the service does not end")
	}
}

func (r *running) dial() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.tcp)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// refused checks that a tcp client gets a reset, which may come before connect(2)
// is back.
func (r *running) refused() {
	r.t.Helper()
	c, err := net.Dial("tcp", r.tcp)
	var got []byte
	if err == nil {
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			r.t.Fatal(err)
		}
		got, err = io.ReadAll(c)
	}
	if !errors.Is(err, unix.ECONNRESET) || len(got) != 0 {
		r.t.Errorf("%q, %v, want a reset", got, err)
	}
}

// ask sends one datagram and returns the answer, or false after wait.
func (r *running) ask(from string, req []byte, wait time.Duration) ([]byte, bool) {
	r.t.Helper()
	local, err := net.ResolveUDPAddr("udp", from)
	if err != nil {
		r.t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", r.udp)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := net.DialUDP("udp", local, to)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(req); err != nil {
		r.t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		r.t.Fatal(err)
	}
	buf := make([]byte, maxDatagram)
	n, err := c.Read(buf)
	return buf[:n], err == nil
}

func TestStreamEchoHalfClose(t *testing.T) {
	r := start(t, config("echo"))
	c := r.dial()
	data := bytes.Repeat([]byte("casemate\x00\r\n"), 50_000)
	go func() {
		_, _ = c.Write(data)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("echoed %d of %d bytes, %v", len(got), len(data), err)
	}
	eventually(t, "the session's record", func() bool { return len(r.log.records(t, "session")) == 1 })
	d, s := r.log.records(t, "decision")[0], r.log.records(t, "session")[0]
	if d["id"] != s["id"] || d["verdict"] != "allow" || d["reason"] != nil || d["network"] != "tcp" || d["rule"] != "rule 0" ||
		d["service"] != "echo" || d["acl"] != "anyone" || d["digest"] != "sha256:0" || d["client"] != "127.0.0.1" || s["reason"] != "exit" {
		t.Errorf("records %v and %v", d, s)
	}
}

func TestStreamDiscard(t *testing.T) {
	r := start(t, config("discard"))
	c := r.dial()
	if _, err := c.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || len(got) != 0 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestStreamChargen(t *testing.T) {
	r := start(t, config("chargen"))
	c := r.dial()
	if _, err := c.Write([]byte("ignored")); err != nil {
		t.Fatal(err)
	}
	_ = c.CloseWrite()
	got := make([]byte, 2*len(pattern)+100)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(got), "\r\n")
	for i, line := range lines[:len(lines)-1] {
		if len(line) != 72 || line[0] != byte(' '+i%95) || line[71] != byte(' '+(i+71)%95) {
			t.Fatalf("line %d: %q", i, line)
		}
	}
	c.Close()
	eventually(t, "the session's end", func() bool { return len(r.log.records(t, "session")) == 1 })
}

func TestStreamDaytimeAndTime(t *testing.T) {
	for _, name := range []string{"daytime", "time"} {
		r := start(t, config(name))
		c := r.dial()
		// What the client sends must not reset the answer away.
		if _, err := c.Write([]byte("what time is it?")); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !plausible(name, got) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func plausible(name string, got []byte) bool {
	if name == "daytime" {
		at, err := time.ParseInLocation(daytimeLayout, string(got), time.Local)
		return err == nil && len(got) == 26 && time.Since(at) < time.Minute && time.Since(at) > -time.Minute
	}
	now := seconds1900(time.Now())
	return len(got) == 4 && now-uint32(got[0])<<24-uint32(got[1])<<16-uint32(got[2])<<8-uint32(got[3]) < 60
}

func TestUnixStream(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Serve(ctx, Orders{}, config("echo"), []*os.File{f}, func(journal.Record) {}) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "hi" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDenied(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		reason string
		rule   string
	}{
		{"no acl", func(c *Config) { c.ACL = nil }, "acl", "none"},
		{"default", func(c *Config) { c.ACL = &acl.List{Name: "l", Default: acl.Deny} }, "acl", "default"},
		{"rule with its place", func(c *Config) {
			c.ACL = &acl.List{Name: "l", Rules: []acl.Rule{{Verdict: acl.Deny, From: []acl.Pattern{"127.0.0.0/8"}}}, Default: acl.Allow}
			c.Origins = []string{"a.cm.hcl:3:5"}
		}, "acl", "a.cm.hcl:3:5"},
		{"a name cannot be known here", func(c *Config) {
			c.ACL = &acl.List{Name: "l", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"known"}}}, Default: acl.Deny}
		}, "acl", "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config("echo")
			tt.change(c)
			r := start(t, c)
			r.refused()
			if got, ok := r.ask("127.0.0.1:0", []byte("x"), 100*time.Millisecond); ok {
				t.Errorf("udp: %q", got)
			}
			eventually(t, "two records", func() bool { return len(r.log.records(t, "decision")) == 2 })
			for _, d := range r.log.records(t, "decision") {
				if d["verdict"] != "deny" || d["reason"] != tt.reason || d["rule"] != tt.rule {
					t.Errorf("record %v", d)
				}
			}
		})
	}
}

func TestConcurrencyLimitRecovers(t *testing.T) {
	c := config("echo")
	c.Limit = limit.Spec{Concurrent: 1}
	r := start(t, c)
	first := r.dial()
	ping(t, first)
	r.refused()
	first.Close()
	eventually(t, "the first session's end", func() bool { return len(r.log.records(t, "session")) == 1 })
	ping(t, r.dial())
	if d := r.log.records(t, "decision"); d[1]["reason"] != "concurrency" {
		t.Errorf("record %v", d[1])
	}
}

func ping(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestSessionLimitEndsAndPenalises(t *testing.T) {
	c := config("echo")
	c.Limit = limit.Spec{Session: 50 * time.Millisecond,
		Penalty: limit.Penalty{On: []limit.Class{limit.Timeout}, First: time.Hour, Max: time.Hour}}
	r := start(t, c)
	if got, err := io.ReadAll(r.dial()); len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	eventually(t, "the session's end", func() bool { return len(r.log.records(t, "session")) == 1 })
	if s := r.log.records(t, "session")[0]; s["reason"] != "timeout" {
		t.Errorf("record %v", s)
	}
	r.refused()
}

func TestStopEndsSessions(t *testing.T) {
	r := start(t, config("echo"))
	c := r.dial()
	ping(t, c)
	r.end()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}
	if s := r.log.records(t, "session"); len(s) != 1 || s[0]["reason"] != "killed" {
		t.Errorf("records %v", s)
	}
}

func TestIdleEnd(t *testing.T) {
	c := config("time")
	c.Linger = 0 // counts as a second
	r := start(t, c)
	if got, err := io.ReadAll(r.dial()); err != nil || len(got) != 4 {
		t.Errorf("%q, %v", got, err)
	}
	select {
	case err := <-r.done:
		if err != nil {
			t.Error(err)
		}
		close(r.done)
	case <-time.After(30 * time.Second):
		t.Error("an idle worker does not end")
	}
}

// Descriptors and goroutines stay bounded over many served, refused and broken
// connections (CVE-2001-0309, CVE-2003-0211 were leaks of each kind).
func TestNothingLeaks(t *testing.T) {
	c := config("chargen")
	c.Limit = limit.Spec{Concurrent: 4}
	r := start(t, c)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	round := func() {
		for range 100 {
			if c, err := net.Dial("tcp", r.tcp); err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		}
		eventually(t, "sessions, and all over", func() bool {
			r.log.mu.Lock()
			defer r.log.mu.Unlock()
			text := r.log.b.String()
			served := strings.Count(text, `"verdict":"allow"`)
			return served > 0 && served == strings.Count(text, `"msg":"session"`) // at first it may not have begun
		})
	}
	round()
	fds, routines := count(), runtime.NumGoroutine()
	for range 10 {
		round()
	}
	for end := time.Now().Add(patience); count() > fds+2 || runtime.NumGoroutine() > routines+2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d descriptors, before %d; %d goroutines, before %d\n%s", count(), fds, runtime.NumGoroutine(), routines, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// TestLeaving: the sockets are given up at once, and who is there is served to the end.
func TestLeaving(t *testing.T) {
	r := start(t, config("echo"))
	c := r.dial()
	say := func(text string) {
		t.Helper()
		buf := make([]byte, len(text))
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
			t.Fatalf("%q, %v", buf, err)
		}
	}
	say("before")
	close(r.leaving)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		late, err := net.Dial("tcp", r.tcp)
		if errors.Is(err, unix.ECONNREFUSED) {
			break
		}
		if err == nil {
			late.Close()
		}
		if time.Now().After(end) {
			t.Fatal("it still listens")
		}
	}
	say("after")
	select {
	case err := <-r.done:
		t.Fatalf("it ended with a client: %v", err)
	default:
	}
	c.Close()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	close(r.done)
}

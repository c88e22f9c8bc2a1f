package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"casemate/listener/journal"
	"casemate/tests/logline"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := []struct {
		writes []string
		want   []string
	}{
		{[]string{"one\ntwo\n"}, []string{"one", "two"}},
		{[]string{"o", "n", "e\n", "two"}, []string{"one", "two"}},
		{[]string{"dos\r\n", "\n", "\r\n"}, []string{"dos", "", ""}},
		{[]string{long + "\n"}, []string{long}},
		{[]string{long + "y\n"}, []string{long, "y"}},
		{[]string{long[:10], long + "\n"}, []string{long, long[:10]}},
		{[]string{long + long}, []string{long, long}},
		{[]string{""}, nil},
	}
	for _, tt := range tests {
		var l lines
		var got []string
		emit := func(line []byte) { got = append(got, string(line)) }
		for _, w := range tt.writes {
			l.add([]byte(w), emit)
		}
		l.flush(emit)
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%.40q: %.80q, want %.80q", tt.writes, got, tt.want)
		}
	}
}

// However the bytes come in, the same ones come out, in bounded lines.
func FuzzLines(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\nthree"), 3)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		step = max(step&0x3fff, 1)
		var l lines
		var got []byte
		emit := func(line []byte) {
			if len(line) > maxLine {
				t.Fatalf("a line of %d bytes", len(line))
			}
			got = append(got, line...)
		}
		for rest := data; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			l.add(rest[:min(step, len(rest))], emit)
			if len(l.rest) >= maxLine {
				t.Fatalf("%d bytes are held", len(l.rest))
			}
		}
		l.flush(emit)
		strip := func(b []byte) string { return strings.NewReplacer("\r", "", "\n", "").Replace(string(b)) }
		if strip(got) != strip(data) {
			t.Fatalf("%q came out as %q", data, got)
		}
	})
}

func auditMessage(kind uint16, text string) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(16+len(text)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	return append(append(m, make([]byte, 10)...), text...)
}

const seccompKill = `audit(1700000000.123:45): auid=4294967295 uid=65534 gid=65534 ses=4294967295 pid=29134 comm="x" ` +
	`exe="/usr/bin/x" sig=31 arch=c000003e syscall=62 compat=0 ip=0x7f code=0x80000000`

func TestParseAudit(t *testing.T) {
	tests := []struct {
		name string
		m    []byte
		want violation
		ok   bool
	}{
		{"kill", auditMessage(auditSeccomp, seccompKill), violation{29134, 62, 0xc000003e}, true},
		{"with a final NUL", auditMessage(auditSeccomp, seccompKill+"\x00"), violation{29134, 62, 0xc000003e}, true},
		{"another type", auditMessage(1300, seccompKill), violation{}, false},
		{"only logged", auditMessage(auditSeccomp, strings.Replace(seccompKill, "sig=31", "sig=0", 1)), violation{}, false},
		{"a field twice", auditMessage(auditSeccomp, strings.Replace(seccompKill, `comm="x"`, "pid=1", 1)), violation{}, false},
		{"no pid", auditMessage(auditSeccomp, strings.Replace(seccompKill, "pid=29134", "", 1)), violation{}, false},
		{"pid 0", auditMessage(auditSeccomp, strings.Replace(seccompKill, "pid=29134", "pid=0", 1)), violation{}, false},
		{"no header", []byte("audit"), violation{}, false},
		{"empty", nil, violation{}, false},
	}
	for _, tt := range tests {
		if got, ok := parseAudit(tt.m); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
}

func FuzzParseAudit(f *testing.F) {
	f.Add(auditMessage(auditSeccomp, seccompKill))
	f.Fuzz(func(t *testing.T, m []byte) {
		v, ok := parseAudit(m)
		if ok && (v.pid == 0 || int32(v.pid) < 0) || !ok && v != (violation{}) {
			t.Fatalf("%+v, %v", v, ok)
		}
	})
}

// desk is a ledger with a clock.
type desk struct {
	*ledger
	out bytes.Buffer
	now time.Time
}

func newDesk() *desk {
	d := &desk{now: time.Now()}
	d.ledger = newLedger(func(r journal.Record) { d.out.Write(logline.Of(r)) })
	return d
}

func (d *desk) after(t time.Duration) time.Time {
	d.now = d.now.Add(t)
	return d.now
}

// take returns the records since the last take, as "service id text" or "msg service count".
func (d *desk) take(t *testing.T) []string {
	t.Helper()
	var got []string
	for line := range strings.Lines(d.out.String()) {
		var r struct {
			Time, Level, Msg, Service, Text string
			ID, Count                       uint64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if r.Msg == "stderr" {
			got = append(got, fmt.Sprintf("%s %d %s", r.Service, r.ID, r.Text))
		} else {
			got = append(got, fmt.Sprintf("%s %s %d", r.Msg, r.Service, r.Count))
		}
	}
	d.out.Reset()
	return got
}

func (d *desk) want(t *testing.T, want ...string) {
	t.Helper()
	if got := d.take(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

func TestLedgerPatience(t *testing.T) {
	d := newDesk()
	w := d.begin("finger", 7, false, d.now)
	d.write(w, []byte("hello\nbeg"), d.now)
	d.write(w, []byte("un"), d.now)
	d.want(t, "finger 7 hello")
	if !d.tick(d.now) {
		t.Error("a tick must follow while a line is begun")
	}
	d.want(t)
	if d.tick(d.after(partialAge)) {
		t.Error("a tick follows for nothing")
	}
	d.want(t, "finger 7 begun")
	d.write(w, []byte("rest"), d.now)
	d.ended(w, d.now)
	d.want(t, "finger 7 rest")
	if d.tick(d.after(leftOutEvery)) || len(d.sources) != 0 || len(d.begun) != 0 {
		t.Errorf("an idle ledger holds %d sources and %d lines", len(d.sources), len(d.begun))
	}
}

func TestLedgerFinishWritesTheRest(t *testing.T) {
	d := newDesk()
	w := d.begin("a", 1, false, d.now)
	d.write(w, []byte(strings.Repeat("x\n", lineRate.Burst+3)+"begun"), d.now)
	d.take(t)
	d.finish(d.now)
	d.want(t, "stderr-suppressed a 4")
}

func TestLedgerRate(t *testing.T) {
	d := newDesk()
	w := d.begin("loud", 7, false, d.now)
	for range lineRate.Burst + 50 {
		d.write(w, []byte("x\n"), d.now)
	}
	if got := len(d.take(t)); got != lineRate.Burst {
		t.Errorf("%d lines of one session, want %d", got, lineRate.Burst)
	}
	// The neighbour is not affected.
	n := d.begin("loud", 8, false, d.now)
	d.write(n, []byte("y\n"), d.now)
	d.want(t, "loud 8 y")
	if !d.tick(d.now) {
		t.Error("a tick must follow while lines are to be counted")
	}
	d.tick(d.after(leftOutEvery))
	d.want(t, "stderr-suppressed loud 50")
	// And it recovers.
	d.write(w, []byte("z\n"), d.now)
	d.want(t, "loud 7 z")
}

// Many sessions, one after the other, have no more than the service has.
func TestLedgerServiceRate(t *testing.T) {
	d := newDesk()
	for id := range uint64(3000) {
		w := d.begin("forks", id, false, d.now)
		d.write(w, []byte("x\n"), d.now)
		d.ended(w, d.now)
	}
	if got := len(d.take(t)); got != serviceRate.Burst {
		t.Errorf("%d lines of one service, want %d", got, serviceRate.Burst)
	}
}

// What a builtin writes passes as it is where it is a record of its own service.
// Everything else is text, quoted and under the service's name.
func TestLedgerTakesRecordsOfABuiltin(t *testing.T) {
	own := string(logline.Of(&journal.Suppressed{What: journal.Refusals, Service: "echo", Count: 7}))
	for _, tt := range []struct {
		name, line string
		records    bool
		own        bool
	}{
		{"its own", own, true, true},
		{"a program's", own, false, false},
		{"another's", strings.Replace(own, "echo", "finger", 1), true, false},
		{"in two names", strings.Replace(own, `"count"`, `"service":"finger","count"`, 1), true, false},
		{"in two names, the own one last", strings.Replace(own, `"count"`, `"service":"echo","count"`, 1), true, false},
		{"last words", "panic: boom\n", true, false},
		{"no object", "7\n", true, false},
	} {
		d := newDesk()
		d.write(d.begin("echo", 7, tt.records, d.now), []byte(tt.line), d.now)
		if got := d.out.String(); (got == tt.line) != tt.own || !tt.own && !strings.Contains(got, `"msg":"stderr","format_version":1,"service":"echo","id":7`) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

// TestRecordsOfOthers: whoever has taken a built-in's worker over writes no record
// that a reader of any kind could take for another service's.
func TestRecordsOfOthers(t *testing.T) {
	for line, want := range map[string]bool{
		`{"time":"t","level":"WARN","msg":"session","service":"mine","id":1}`: true,
		`{"level":"INFO","msg":"x","service":"other"}`:                        false,
		`{"level":"INFO","msg":"x","service":"other","Service":"mine"}`:       false,
		`{"level":"INFO","service" :"other","service":"mine"}`:                false,
		`{"level":"INFO","\u0073ervice":"other","service":"mine"}`:            false,
		`{"level":"INFO","service":"mine","service":"mine"}`:                  false,
		`{"level":"INFO","service":"mine"} {"service":"other"}`:               false,
		`{"level":"INFO","service":"mine"`:                                    false,
		`["service","mine"]`:                                                  false,
		`{"level":"INFO","x":{"service":"mine"}}`:                             false,
		`{"level":"INFO","ſervice":"other","service":"mine"}`:                 false,
		`{"level":"INFO","service": "mine"}`:                                  false,
		`{"x":["}",{"y":"\"}"}],"service":"mine","level":"ERROR"}`:            true,
		`{"service":"mine","level":"LOUD"}`:                                   false,
	} {
		if _, ok := recordOf("mine", []byte(line)); ok != want {
			t.Errorf("%s: %v", line, ok)
		}
	}
}

// FuzzRecordOf: a line is a record where a whole parser of JSON has an object with one service, ours, however its
// names are spelled; and one scan makes the same of it.
func FuzzRecordOf(f *testing.F) {
	for _, line := range []string{
		`{"time":"t","level":"WARN","msg":"session","service":"mine","id":1}`, `{"a":{"service":"other"},"b":["service",{"x":"}\\"}],"service":"mine","level":"DEBUG"}`,
		`{"ſervice":"mine","service":"mine"}`, `{"\u0073ervice":"other","service":"mine"}`, `{ "level" : 7, "service":"mine" }`, `{"service": "mine"}`, `{}`, "", `{"service":"mine"}{}`, `"x`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		level, ok := recordOf("mine", line)
		if !ok {
			return
		}
		names, d := 0, json.NewDecoder(bytes.NewReader(line))
		if first, err := d.Token(); err != nil || first != json.Delim('{') {
			t.Fatalf("%q: %v %v", line, first, err)
		}
		var want slog.Level
		for d.More() {
			name, err := d.Token()
			var value json.RawMessage
			if err = errors.Join(err, d.Decode(&value)); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if strings.EqualFold(name.(string), "service") {
				if names++; string(value) != `"mine"` || name != "service" {
					t.Errorf("%q is taken for ours", line)
				}
			} else if name == "level" && json.Unmarshal(value, &want) != nil {
				t.Errorf("%q has a level", line)
			}
		}
		if _, err := d.Token(); err != nil || names != 1 || want != level {
			t.Errorf("%q: %v, %d services, level %v and not %v", line, err, names, level, want)
		}
		if _, err := d.Token(); err != io.EOF {
			t.Errorf("%q goes on", line)
		}
	})
}

// BenchmarkRecordOf is what each of two records of a connection costs the log.
func BenchmarkRecordOf(b *testing.B) {
	line := []byte(`{"time":"2026-11-26T12:00:00.000000001Z","level":"INFO","msg":"decision","format_version":1,"decision":"allow","id":1790000000000000,"service":"daytime","client":"127.0.0.1:40000","network":"tcp","local":"127.0.0.1:13","acl":"anyone","rule":"shipped/base.cm.hcl:11:3","digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}`)
	for b.Loop() {
		if _, ok := recordOf("daytime", line); !ok {
			b.Fatal("it is none")
		}
	}
}

// begin begins a session's stderr.
func (l *ledger) begin(name string, id uint64, records bool, now time.Time) *writer {
	return l.beginAs(journal.StderrLines, name, id, records, now)
}

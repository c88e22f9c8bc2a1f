package said

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"casemate/tests/logline"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in                        string
		facility, severity, ident string
		pid                       uint64
		text                      string
	}{
		{"<13>Nov 26 01:02:03 teller[7]: hello", "user", "notice", "teller", 7, "hello"}, // glibc
		{"<86>Nov  6 01:02:03 sshd[2]: Accepted: yes\n", "authpriv", "info", "sshd", 2, "Accepted: yes"},
		{"<27>Nov 26 01:02:03 cron: hello\x00", "daemon", "err", "cron", 0, "hello"},
		{"<191>hello", "local7", "debug", "", 0, "hello"},
		{"<14>app[12]: hello", "user", "info", "app", 12, "hello"}, // Go's log/syslog without a time
		{"<0>", "kern", "emerg", "", 0, ""},
		{"<192>hello", "user", "notice", "", 0, "<192>hello"}, // no such facility
		{"<-1>hello", "user", "notice", "", 0, "<-1>hello"},
		{"<+1>hello", "user", "notice", "", 0, "<+1>hello"},
		{"<>hello", "user", "notice", "", 0, "<>hello"},
		{"<1", "user", "notice", "", 0, "<1"},
		{"", "user", "notice", "", 0, ""},
		{"hello: world", "user", "notice", "", 0, "hello: world"}, // no ident without a time or a pid
		{"<13>Nov 26 01:02:03 http://x", "user", "notice", "", 0, "http://x"},
		{"<13>Nov 26 01:02:03 x[y]: z", "user", "notice", "", 0, "x[y]: z"},
		{"<13>Nov 26 01:02:03 x[1] z", "user", "notice", "", 0, "x[1] z"},
		{"<13>Nov 26 01:02:03 x:", "user", "notice", "x", 0, ""},
		{"<13>Nov 36 01:02:03 x: y", "user", "notice", "", 0, "Nov 36 01:02:03 x: y"},
		{"<13>1 2026-11-26T01:02:03Z host app 7 - - hello", "user", "notice", "", 0, "1 2026-11-26T01:02:03Z host app 7 - - hello"},
		{"<13>Nov 26 01:02:03 \x1b[2J: x", "user", "notice", "", 0, "\x1b[2J: x"},
	} {
		m := Parse([]byte(c.in))
		if Facilities[m.Facility] != c.facility || Severities[m.Severity] != c.severity || m.Ident != c.ident || m.PID != c.pid || string(m.Text) != c.text {
			t.Errorf("%q: %s.%s %q[%d] %q, want %+v", c.in, Facilities[m.Facility], Severities[m.Severity], m.Ident, m.PID, m.Text, c)
		}
	}
}

// TestSyslogLevels: the log's level follows the severity, and systemd's prefix the level.
func TestSyslogLevels(t *testing.T) {
	want := []string{"ERROR", "ERROR", "ERROR", "ERROR", "WARN", "INFO", "INFO", "DEBUG"}
	for n, level := range want {
		var got struct{ Level, Severity string }
		line := logline.Of(Syslog(time.Unix(1, 0), "s", 1, Message{Severity: n}))
		if err := json.Unmarshal(line, &got); err != nil || got.Level != level || got.Severity != Severities[n] {
			t.Errorf("%s, %v, want %s", line, err, level)
		}
	}
}

// Whatever comes, a record is one line of JSON with the service's name once, and the
// message ends with what came.
func FuzzSyslog(f *testing.F) {
	f.Add([]byte("<13>Nov 26 01:02:03 x[7]: a\nb\x1b\xff\u2028\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := Parse(data)
		if !bytes.HasSuffix(bytes.TrimRight(data, "\x00\n\r"), m.Text) || m.Facility >= len(Facilities) || m.Severity >= len(Severities) {
			t.Fatalf("%q: %+v", data, m)
		}
		line := logline.Of(Syslog(time.Unix(1, 0), "finger", 7, m))
		var got struct {
			Service, Msg string
			ID           uint64
		}
		if err := json.Unmarshal(line, &got); err != nil || got.Service != "finger" || got.ID != 7 || got.Msg != "syslog" || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q: %s, %v", data, line, err)
		}
	})
}

package said

import (
	"bytes"
	"log/slog"
	"strconv"
	"time"
)

// Message is what a program gave syslog(3), as far as its bytes tell. Nothing of it
// is proven: a program writes what it likes.
type Message struct {
	Facility int    // an index of Facilities
	Severity int    // of Severities
	Ident    string // of openlog(3); "" is none
	PID      uint64 // the program's own word (LOG_PID), in its own pid namespace; 0 is none
	Text     []byte
}

// Facilities are the names of facilities by number (syslog(3), RFC 5424).
var Facilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

// Severities are the names of severities by number, the gravest first.
var Severities = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

const (
	user, notice = 1, 5 // what a message without a priority is
	maxIdent     = 64   // the longest word that is taken for an ident, in bytes
)

// Parse takes a datagram of /dev/log apart: "<PRIORITY>", a time as of ctime(3),
// which is left out, "ident[pid]: " and the text. All but the text may be missing, and
// what has another form is text. It shares the text's memory with data.
func Parse(data []byte) Message {
	m := Message{Facility: user, Severity: notice, Text: bytes.TrimRight(data, "\x00\n\r")}
	m.priority()
	timed := false
	if n := len(time.Stamp); len(m.Text) > n && m.Text[n] == ' ' {
		if _, err := time.Parse(time.Stamp, string(m.Text[:n])); err == nil {
			m.Text, timed = m.Text[n+1:], true
		}
	}
	m.ident(timed)
	return m
}

// priority takes "<13>" off the text.
func (m *Message) priority() {
	const longest = len("<191>")
	head := m.Text[:min(len(m.Text), longest)]
	end := bytes.IndexByte(head, '>')
	if end < 2 || head[0] != '<' {
		return
	}
	n, err := strconv.ParseUint(string(head[1:end]), 10, 8)
	if err != nil || int(n)/8 >= len(Facilities) {
		return
	}
	m.Facility, m.Severity, m.Text = int(n)/8, int(n)%8, m.Text[end+1:]
}

// ident takes "ident: " or "ident[pid]: " off the text. Without a time in front of it
// the former is more likely a part of what was said.
func (m *Message) ident(timed bool) {
	end := bytes.IndexFunc(m.Text, func(r rune) bool { return r <= ' ' || r == ':' || r == '[' || r > '~' })
	if end < 1 || end > maxIdent {
		return
	}
	word, rest, pid := m.Text[:end], m.Text[end:], uint64(0)
	if rest[0] == '[' {
		number, after, ok := bytes.Cut(rest[1:], []byte("]"))
		n, err := strconv.ParseUint(string(number[:min(len(number), 20)]), 10, 32)
		if !ok || err != nil {
			return
		}
		rest, pid = after, n
	}
	text, ok := bytes.CutPrefix(rest, []byte(":"))
	if !ok || len(text) > 0 && text[0] != ' ' || pid == 0 && !timed {
		return
	}
	m.Ident, m.PID, m.Text = string(word), pid, bytes.TrimPrefix(text, []byte(" "))
}

// level is the severity among those of the log.
func (m *Message) level() slog.Level {
	switch {
	case m.Severity <= 3:
		return slog.LevelError
	case m.Severity == 4:
		return slog.LevelWarn
	case m.Severity == 7:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

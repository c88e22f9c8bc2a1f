package main

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/said"
	"casemate/tests/logline"
)

// samples are records of every kind with every field, in all of their forms.
func samples(t *testing.T) map[string][]journal.Record {
	ip := inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:4711"), Name: "a.example.org"}
	decision := journal.Decision{Client: ip, Local: netip.MustParseAddrPort("192.0.2.1:79"), Refused: "acl", Source: netip.MustParsePrefix("192.0.2.0/24"), Path: "/run/x", Limit: &limit.Spec{}}
	session := journal.Session{Client: ip, Ran: true, Took: time.Second, Limits: []journal.Bound{{}}}
	unixDecision, signalled := decision, session
	vsockDecision, vsockSession := decision, session
	vsockSession.Client = inbound.Peer{VM: true, CID: 3, Port: 7}
	vsockDecision.Client = inbound.Peer{VM: true, CID: 3, Port: 7}
	unixDecision.Client, unixDecision.Local, unixDecision.Refused = inbound.Peer{Unix: true}, netip.AddrPort{}, ""
	signalled.Client, signalled.Status = inbound.Peer{Unix: true}, syscall.WaitStatus(syscall.SIGKILL)
	dropped := &journal.Suppressed{What: journal.LogLines}
	all := map[string][]journal.Record{
		"decision": {&decision, &unixDecision, &vsockDecision}, "session": {&session, &signalled, &vsockSession}, "stderr": {said.Line(time.Unix(1, 0), "stderr", "x", 1, []byte("x"))}, "stdout": {said.Line(time.Unix(1, 0), "stdout", "x", 1, []byte("x"))},
		"syslog":     {said.Syslog(time.Unix(1, 0), "x", 1, said.Parse([]byte("<13>Jan  2 03:04:05 x[7]: x")))},
		"denied":     {denial(), said.Denied(time.Unix(1, 0), "x", 1, said.Denial{Signal: "SIGSYS"})},
		"suppressed": {&journal.Suppressed{}}, "dropped": {dropped}, "note": {note(t)},
	}
	for _, records := range all {
		for _, r := range records {
			if _, made := r.(*journal.Note); made {
				continue
			}
			fill(reflect.ValueOf(r).Elem())
		}
	}
	unixDecision.Refused, dropped.Service = "", ""
	session.Status = 3 << 8
	return all
}

// note has every attribute that those who make notes write.
func note(t *testing.T) journal.Record {
	attr := regexp.MustCompile(`slog\.(String|Int|Uint64|Bool)\("(\w+)"`)
	values := map[string]any{"String": "x", "Int": 1, "Uint64": 1, "Bool": true}
	files, err := filepath.Glob("../../listener/broker/*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := &journal.Note{At: time.Unix(1, 0)}
	for _, name := range append(files, "../../listener/journal/note.go") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range attr.FindAllStringSubmatch(string(text), -1) {
			n.Attrs = append(n.Attrs, slog.Any(m[2], values[m[1]]))
		}
	}
	if len(n.Attrs) < 20 {
		t.Errorf("only %d attributes of notes were found", len(n.Attrs))
	}
	return n
}

// denial has every field but that of a kill.
func denial() journal.Record {
	var d said.Denial
	fill(reflect.ValueOf(&d).Elem())
	d.Signal = ""
	return said.Denied(time.Unix(1, 0), "x", 1, d)
}

// fill sets every plain field that is still zero.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.IsZero() {
			continue
		}
		switch f.Kind() {
		case reflect.Struct:
			if _, ok := f.Interface().(time.Time); ok {
				f.Set(reflect.ValueOf(time.Unix(1, 0)))
			}
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		case reflect.Uint32, reflect.Uint64:
			f.SetUint(1)
		}
	}
}

// TestLogTopic holds the table of `casemate help log` against the encoder, in
// both directions: each field of a record has its row, with its type, and each
// row its field.
func TestLogTopic(t *testing.T) {
	type row struct {
		kind    string
		records []string
	}
	rows := map[string]row{}
	_, table, ok := strings.Cut((&app{}).logTopic().Long, "MEANING\n")
	if !ok {
		t.Fatal("no table")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	kinds := []string{"decision", "session", "denied", "stderr", "stdout", "syslog", "suppressed", "dropped", "note"}
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		r := row{kind: f[1]}
		if f[2] == "all" {
			r.records = kinds
		}
		for _, k := range f[2:] {
			if !slices.Contains(kinds, k) {
				break
			}
			r.records = append(r.records, k)
		}
		if _, twice := rows[f[0]]; twice || len(r.records) == 0 {
			t.Errorf("row %q", line)
		}
		rows[f[0]] = r
	}
	seen := map[string]bool{}
	for kind, records := range samples(t) {
		for _, r := range records {
			var got map[string]any
			if err := json.Unmarshal(logline.Of(r), &got); err != nil {
				t.Fatal(err)
			}
			for key, value := range got {
				seen[kind+" "+key] = true
				is := map[reflect.Kind]string{reflect.String: "string", reflect.Float64: "number", reflect.Bool: "bool", reflect.Map: "object", reflect.Slice: "array"}[reflect.ValueOf(value).Kind()]
				if w := rows[key]; w.kind != is || !slices.Contains(w.records, kind) {
					t.Errorf("%s has a %s %s, the table says %s of %v", kind, is, key, w.kind, w.records)
				}
			}
			if got["format_version"] != float64(journal.FormatVersion) {
				t.Errorf("%s has format_version %v", kind, got["format_version"])
			}
		}
	}
	for key, w := range rows {
		for _, kind := range w.records {
			if !seen[kind+" "+key] {
				t.Errorf("the table has %s of a %s, which never writes it", key, kind)
			}
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"casemate/sandbox/learn"
)

// hostile is what no printer may pass on: controls of terminals, C1, lines and directions, and no UTF-8.
const hostile = "/e\x1b]0;t\x07\r\nlast: root ##[error]x ##vso[task.x]\n::error title=x\ty::z\n \u0085\u009b31m\u2028\u202e\u2066\u200b\U000e0041\x7f\xff\xc2/x"

// fillTexts sets every text that v holds, however deep, and gives lists two elements.
func fillTexts(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillTexts(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fillTexts(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fillTexts(v.Index(i))
		}
	case reflect.String:
		v.SetString(hostile)
	case reflect.Int:
		v.SetInt(3)
	}
}

// wantPrintable fails on what is not printable, and on lines that hostile has begun.
func wantPrintable(t *testing.T, of, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "last: root") || strings.HasPrefix(trimmed, "::") || regexp.MustCompile(`##\w*\[`).MatchString(line) || !utf8.ValidString(line) ||
			strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && !strconv.IsPrint(r) }) {
			t.Errorf("%s prints %q", of, line)
		}
	}
	if !strings.Contains(text, "31m") {
		t.Errorf("%s does not print what it was given: %q", of, text)
	}
}

// TestPrintersQuoteWhatServicesChose: no text of a report of trace, learn and why reaches the
// terminal as it is, each of them filled.
func TestPrintersQuoteWhatServicesChose(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out, errs bytes.Buffer
		a := &app{out: &out, err: &errs, format: format}
		took := func(of string, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			wantPrintable(t, format+" of "+of, out.String())
			out.Reset()
		}
		var trace traceReport
		fillTexts(reflect.ValueOf(&trace).Elem())
		for i := range trace.Sessions { // one probe of each kind
			s := &trace.Sessions[i]
			kinds := make([]failureReport, 3)
			for k := range kinds {
				kinds[k] = s.Probes[0]
				kinds[k].Call += strconv.Itoa(k)
			}
			kinds[0].Found, kinds[1].Found, kinds[2].Found = hostile, "", ""
			s.Probes = kinds
			for _, list := range [][]failureReport{s.Probes, s.Failed} {
				for k := range list { // its lines are casemate's own; paths in it are quoted
					list[k].Remedy = strings.ReplaceAll(hostile, "\r\n", "")
				}
			}
			kinds[2].Remedy = learn.Nowhere
		}
		took("trace", a.told(&trace))
		took("trace without sessions", a.told(&traceReport{Service: hostile}))

		var needs learn.Needs
		fillTexts(reflect.ValueOf(&needs).Elem())
		l := learner{site: &site{a: a, clients: []string{hostile}}, want: new(outcome)}
		d := learn.Draft{Base: shippedBase(t, "line"), Narrower: hostile}
		for _, attr := range []string{learn.AttrRead, learn.AttrTmp, learn.AttrInit, learn.AttrAllow, learn.AttrRule} {
			n := learn.Need{Attr: attr, Value: map[string]string{learn.AttrTmp: "16MiB", learn.AttrInit: "true", learn.AttrAllow: "@process", learn.AttrRule: "ioctl 0x5402", learn.AttrRead: "/srv/\u009b\u202e"}[attr], Evidence: needs.Other[0].Evidence}
			if attr == learn.AttrRule {
				n.Rule.Name, n.Rule.Arg, n.Rule.Values = "ioctl", 1, []uint32{0x5402}
			}
			d.Lines = append(d.Lines, n)
		}
		took("learn", a.printLearnt(&l, &d, needs.Other, &needs, "x", hostile))
		c := &learn.Confines{Profile: shippedBase(t, "line").Profile}
		tight := &learn.Tight{Profile: *c.Profile, Gone: needs.Other}
		took("learn --tighten", a.printTight(&tightReport{Service: hostile, Of: hostile}, tight, c, []string{hostile}, "x"))

		fields := map[string]any{}
		for _, key := range []string{"time", "id", "service", "syscall", "args", "errno", "signal", "count", "grant", "reason", "exit", "detail", "duration_ms", "text",
			"client", "client_name", "client_port", "network", "local", "rule", "rule_name", "acl", "pid"} {
			fields[key] = hostile
		}
		for _, msg := range []string{"decision", "denied", "session", hostile} {
			for _, verdict := range []string{"deny", "allow"} {
				r := maps.Clone(fields)
				r["msg"], r["verdict"] = msg, verdict
				for _, wrap := range []bool{false, true} {
					for key, v := range r {
						if wrap && key != "msg" && key != "verdict" {
							r[key] = []any{v}
						}
					}
					a.tell(r)
				}
			}
		}
		took("why", nil)
		l.saying("%s: %v", hostile, errors.New(hostile))
		_ = l.no("%s", hostile)
		l.saying("%s", lastLine(hostile))
		wantPrintable(t, "standard error", errs.String())
	}
}

// TestJSONSaysTheSame: what is escaped for the terminal is what it was for a program.
func TestJSONSaysTheSame(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	want := []string{strings.ToValidUTF8(hostile, "\uFFFD"), "\u00e4\U0001f600"}
	if err := a.printJSON(want); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || !slices.Equal(got, want) || !strings.Contains(out.String(), "\u00e4\U0001f600") {
		t.Errorf("%s: %q, %v", out.String(), got, err)
	}
}

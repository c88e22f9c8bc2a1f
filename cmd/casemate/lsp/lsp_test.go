package lsp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/editor"
	"casemate/policy/lang"

	"github.com/sourcegraph/jsonrpc2"
)

// editing is an editor of a directory.
type editing struct {
	t         *testing.T
	dir       string
	conn      *jsonrpc2.Conn
	published chan published
	served    chan error
	confined  []string
}

// patience is far more than any answer takes, on a host that is slow.
const patience = 2 * time.Minute

func edit(t *testing.T, files map[string]string) *editing {
	t.Helper()
	e := &editing{t: t, dir: t.TempDir(), published: make(chan published, 1000), served: make(chan error, 1)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs := net.Pipe()
	w := &editor.Workspace{Read: editor.ReadDir, Check: lang.Compile, Services: func() []string { return []string{"finger", "https"} }}
	go func() {
		e.served <- Serve(context.Background(), theirs, Config{Workspace: w, Version: "test", Log: io.Discard,
			Confine: func(dirs []string) error { e.confined = append(e.confined, dirs...); return nil }})
	}()
	e.conn = jsonrpc2.NewConn(context.Background(), jsonrpc2.NewBufferedStream(ours, jsonrpc2.VSCodeObjectCodec{}),
		jsonrpc2.HandlerWithError(func(_ context.Context, _ *jsonrpc2.Conn, r *jsonrpc2.Request) (any, error) {
			var p published
			if err := json.Unmarshal(*r.Params, &p); err == nil && r.Method == "textDocument/publishDiagnostics" {
				e.published <- p
			}
			return nil, nil
		}), jsonrpc2.SetLogger(quiet{}))
	t.Cleanup(func() { e.conn.Close() })
	var got initialized
	e.call("initialize", map[string]any{"rootUri": uriOf(e.dir), "capabilities": map[string]any{}}, &got)
	if got.ServerInfo.Name != "casemate" || got.Capabilities.PositionEncoding != "utf-16" {
		t.Errorf("initialized: %+v", got)
	}
	return e
}

func (e *editing) call(method string, params, result any) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := e.conn.Call(ctx, method, params, result); err != nil {
		e.t.Fatalf("%s: %v", method, err)
	}
}

func (e *editing) tell(method string, params any) {
	e.t.Helper()
	if err := e.conn.Notify(context.Background(), method, params); err != nil {
		e.t.Fatalf("%s: %v", method, err)
	}
}

func (e *editing) uri(name string) string { return uriOf(filepath.Join(e.dir, name)) }

func (e *editing) open(name, text string, version int) {
	e.t.Helper()
	e.tell("textDocument/didOpen", map[string]any{"textDocument": document{e.uri(name), version, text}})
}

func (e *editing) change(name, text string, version int) {
	e.t.Helper()
	e.tell("textDocument/didChange", map[string]any{"textDocument": document{URI: e.uri(name), Version: version}, "contentChanges": []any{map[string]any{"text": text}}})
}

// await is the diagnostics of a version of a file.
func (e *editing) await(name string, version int) []diagnostic {
	e.t.Helper()
	late := time.After(patience)
	for {
		select {
		case p := <-e.published:
			if p.URI == e.uri(name) && p.Version != nil && *p.Version == version {
				return p.Diagnostics
			}
		case <-late:
			e.t.Fatalf("no diagnostics of %s, version %d", name, version)
		}
	}
}

// at are the parameters of a request about what stands where | is in the line that holds this text.
func (e *editing) at(name, text, mark string) map[string]any {
	e.t.Helper()
	before, after, _ := strings.Cut(mark, "|")
	i := strings.Index(text, before+after)
	if i < 0 {
		e.t.Fatalf("%q is not in the text", mark)
	}
	return map[string]any{"textDocument": document{URI: e.uri(name)}, "position": newRuler([]byte(text)).position(i + len(before))}
}

func (e *editing) labels(name, text, mark string) []string {
	e.t.Helper()
	var got items
	e.call("textDocument/completion", e.at(name, text, mark), &got)
	var out []string
	for _, i := range got.Items {
		out = append(out, i.Label)
	}
	return out
}

const acls = `policy { edition = 1 }
locals { net = ["192.0.2.0/24"] }
# ` + "\U0001F600" + ` of the office
acl "office" {
  allow "staff" { from = concat(local.net, [".example.org"]) }
}
`

const services = `service "finger" {
  listen  = ["tcp://:79"]
  command = ["/usr/sbin/in.fingerd"]
  user    = "nobody"
  acl     = acl.office
  profile = profile.line
}
`

// TestSession is an editor's session: what it is told, as it types, and what it asks for.
func TestSession(t *testing.T) {
	e := edit(t, map[string]string{"a.cm.hcl": acls, "s.cm.hcl": services})
	if !slices.Equal(e.confined, []string{e.dir}) {
		t.Errorf("confined to %q, want %s", e.confined, e.dir)
	}
	e.open("s.cm.hcl", services, 1)
	if got := e.await("s.cm.hcl", 1); len(got) != 0 {
		t.Errorf("a good policy: %+v", got)
	}
	// A mistake, in a file that is not saved, about a block of another file.
	bad := strings.Replace(services, `user    = "nobody"`, `env = { A = "`+"\U0001F600"+`" }`+"\n  user    = \"nobody\"", 1)
	bad = strings.Replace(bad, "acl.office", "acl.ofice", 1)
	e.change("s.cm.hcl", bad, 2)
	got := e.await("s.cm.hcl", 2)
	if len(got) != 1 || got[0].Code != "CM301" || got[0].Severity != 1 || !strings.Contains(got[0].Message, "did you mean acl.office?") ||
		got[0].Range != (span{position{5, 16}, position{5, 21}}) {
		t.Errorf("a mistake: %+v", got)
	}
	// The other file, unsaved too, makes it right.
	e.open("a.cm.hcl", strings.Replace(acls, `acl "office"`, `acl "ofice"`, 1), 1)
	if got := e.await("a.cm.hcl", 1); len(got) != 0 {
		t.Errorf("the other file: %+v", got)
	}
	e.change("a.cm.hcl", acls, 2)
	e.change("s.cm.hcl", services, 3)
	if got := e.await("s.cm.hcl", 3); len(got) != 0 {
		t.Errorf("right again: %+v", got)
	}

	var about hover
	e.call("textDocument/hover", e.at("s.cm.hcl", services, "us|er    ="), &about)
	for _, want := range []string{"a leased uid for each connection", `In force: ` + "`\"nobody\"`", "s.cm.hcl:4:13"} {
		if !strings.Contains(about.Contents.Value, want) {
			t.Errorf("hover lacks %q: %s", want, about.Contents.Value)
		}
	}
	e.call("textDocument/hover", e.at("s.cm.hcl", services, `service "fin|ger"`), &about)
	for _, want := range []string{"dir = \"/\"  # default", "linger_ns = 1m  # default", "umask = 0077  # default"} {
		if !strings.Contains(about.Contents.Value, want) {
			t.Errorf("hover of a service lacks %q: %s", want, about.Contents.Value)
		}
	}
	e.call("textDocument/hover", e.at("a.cm.hcl", acls, "fr|om = concat"), &about)
	if !strings.Contains(about.Contents.Value, `["192.0.2.0/24",".example.org"]`) {
		t.Errorf("hover of a rule: %s", about.Contents.Value)
	}

	var places []location
	e.call("textDocument/definition", e.at("s.cm.hcl", services, "acl.off|ice"), &places)
	if want := (location{e.uri("a.cm.hcl"), span{position{3, 5}, position{3, 11}}}); !slices.Equal(places, []location{want}) {
		t.Errorf("definition: %+v, want %+v", places, want)
	}
	e.call("textDocument/definition", e.at("a.cm.hcl", acls, "local.|net"), &places)
	if len(places) != 1 || places[0].Range.Start != (position{1, 9}) {
		t.Errorf("definition of a local: %+v", places)
	}

	var symbols []symbol
	e.call("textDocument/documentSymbol", map[string]any{"textDocument": document{URI: e.uri("a.cm.hcl")}}, &symbols)
	var names []string
	for _, y := range symbols {
		names = append(names, y.Name)
	}
	if fmt.Sprint(names) != "[policy locals acl office]" || len(symbols[2].Children) != 1 || symbols[2].Range.End != (position{5, 1}) {
		t.Errorf("symbols: %+v", symbols)
	}

	var change workspaceEdit
	rename := e.at("s.cm.hcl", services, "acl.off|ice")
	rename["newName"] = "staff"
	e.call("textDocument/rename", rename, &change)
	if len(change.Changes) != 2 || len(change.Changes[e.uri("a.cm.hcl")]) != 1 || change.Changes[e.uri("s.cm.hcl")][0].Range.Start != (position{4, 16}) {
		t.Errorf("rename: %+v", change)
	}
	rename["newName"] = "Not a name"
	if err := e.conn.Call(context.Background(), "textDocument/rename", rename, &change); err == nil || !strings.Contains(err.Error(), "lower-case letters") {
		t.Errorf("rename to no name: %v", err)
	}

	messy := "policy{edition=1}\n\n\n\nlocals{}\n"
	e.change("a.cm.hcl", messy, 3)
	var edits []textEdit
	e.call("textDocument/formatting", map[string]any{"textDocument": document{URI: e.uri("a.cm.hcl")}, "options": map[string]any{"tabSize": 8}}, &edits)
	want, _ := lang.Format(policy.SourceFile{Name: "a.cm.hcl", Data: []byte(messy)})
	if len(edits) != 1 || edits[0].NewText != string(want) || edits[0].Range != (span{position{}, position{5, 0}}) {
		t.Errorf("formatting: %+v", edits)
	}
	e.change("a.cm.hcl", "policy {", 4)
	e.call("textDocument/formatting", map[string]any{"textDocument": document{URI: e.uri("a.cm.hcl")}}, &edits)
	if len(edits) != 0 {
		t.Errorf("formatting of what does not parse: %+v", edits)
	}

	// What is closed counts as it is on disk.
	e.tell("textDocument/didClose", map[string]any{"textDocument": document{URI: e.uri("a.cm.hcl")}})
	e.change("s.cm.hcl", services, 9)
	if got := e.await("s.cm.hcl", 9); len(got) != 0 {
		t.Errorf("closed: %+v", got)
	}
	var none any
	e.call("shutdown", nil, &none)
	e.tell("exit", nil)
	if err := <-e.served; err != nil {
		t.Errorf("served: %v", err)
	}
}

// TestCompletion: what is offered in each place of a file that does not parse, as none does that is being written.
func TestCompletion(t *testing.T) {
	e := edit(t, map[string]string{"a.cm.hcl": acls})
	for i, c := range []struct {
		text, mark string
		want, not  []string
	}{
		{"ser\n", "ser|", []string{"service", "acl", "locals", "profile"}, []string{"listen"}},
		{"service \"x\" {\n  user = \"nobody\"\n  li\n}\n", "  li|\n", []string{"listen", "limit", "socket"}, []string{"user", "from"}},
		{"service \"x\" {\n  socket {\n    \n  }\n}\n", "    |\n", []string{"backlog", "mode"}, []string{"listen"}},
		{"service \"x\" {\n  acl = acl.\n}\n", "acl = acl.|", []string{"office", "anyone", "localhost"}, []string{"line"}},
		{"service \"x\" {\n  acl = \n  user = \"x\"\n", "acl = |", []string{"acl.office"}, []string{"limit.public"}},
		{"service \"x\" {\n  profile = profile.s\n", "profile.s|", []string{"strict", "server"}, []string{"office"}},
		{"acl \"x\" {\n  allow { from = local. }\n", "local.|", []string{"net"}, []string{"office"}},
		{"acl \"x\" {\n  d\n}\n", "  d|\n", []string{"deny", "default", "allow"}, []string{"from"}},
		{"acl \"x\" {\n  default = \"\"\n}\n", `"|"`, []string{"deny", "allow"}, []string{`"deny"`}},
		{"acl \"x\" {\n  default = \n}\n", "default = |", []string{`"deny"`}, nil},
		{"service \"x\" {\n  listen = [\"tcp://:fi\"]\n}\n", "tcp://:fi|", []string{"finger"}, []string{"tcp://:"}},
		{"service \"x\" {\n  listen = [\"\"]\n}\n", `["|`, []string{"tcp://:", "unix:/"}, nil},
		{"profile \"x\" {\n  syscalls {\n    allow = [\"@fi\n", `"@fi|`, []string{"@file-read", "openat"}, nil},
		{"profile \"x\" {\n  capabilities = [\"CAP\"]\n}\n", `"CAP|`, []string{"CAP_CHOWN"}, nil},
		{"service \"x\" {\n  retry = \n}\n", "retry = |", []string{"true", "false"}, nil},
		{"profile \"x\" {\n  network { connect = [\"\"] }\n}\n", `["|`, []string{"any", "https"}, nil},
		{"nonsense {\n  x\n}\n", "  x|\n", nil, []string{"listen"}},
	} {
		e.open("b.cm.hcl", c.text, i+1)
		got := e.labels("b.cm.hcl", c.text, c.mark)
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %q lacks %q", c.mark, got, w)
			}
		}
		for _, w := range c.not {
			if slices.Contains(got, w) {
				t.Errorf("%q: %q is offered", c.mark, w)
			}
		}
	}
}

// TestRefused: what is no request of the protocol is answered with an error, and the next one with an answer.
func TestRefused(t *testing.T) {
	e := edit(t, nil)
	for _, c := range []struct {
		method string
		params any
	}{
		{"no/such", nil}, {"textDocument/hover", nil}, {"textDocument/hover", []int{1}}, {"textDocument/hover", map[string]any{"textDocument": map[string]any{"uri": "http://x/y"}}},
		{"textDocument/rename", map[string]any{"textDocument": document{URI: e.uri("none.cm.hcl")}, "position": position{-7, 1 << 40}, "newName": "x"}},
	} {
		if err := e.conn.Call(context.Background(), c.method, c.params, nil); err == nil {
			t.Errorf("%s %v: no error", c.method, c.params)
		}
	}
	e.open("deep.cm.hcl", "policy { edition = "+strings.Repeat("(", 20000)+"1"+strings.Repeat(")", 20000)+" }", 1)
	if got := e.await("deep.cm.hcl", 1); len(got) != 1 || got[0].Code != "CM101" {
		t.Errorf("deep nesting: %+v", got)
	}
	var symbols []symbol
	e.call("textDocument/documentSymbol", map[string]any{"textDocument": document{URI: e.uri("deep.cm.hcl")}}, &symbols)
	if len(symbols) != 1 {
		t.Errorf("symbols: %+v", symbols)
	}
	e.conn.Close()
	if err := <-e.served; err == nil {
		t.Error("an editor that goes without a shutdown is no error")
	}
}

// TestPositions: UTF-16 code units there and back, for every character of a text.
func TestPositions(t *testing.T) {
	text := []byte("a\u00e4\U0001F600b\r\n\nx\u0301\n")
	r := newRuler(text)
	for i := range string(text) {
		if got := offset(text, r.position(i)); got != i {
			t.Errorf("byte %d is %+v, which is byte %d", i, r.position(i), got)
		}
	}
	for p, want := range map[position]int{{0, 2}: 3, {0, 3}: 3, {0, 4}: 7, {0, 99}: 9, {1, 5}: 10, {9, 9}: len(text), {-1, -1}: 0} {
		if got := offset(text, p); got != want {
			t.Errorf("%+v is byte %d, want %d", p, got, want)
		}
	}
}

// FuzzServe: no bytes of an editor's end the process or keep it from ending.
func FuzzServe(f *testing.F) {
	frame := func(texts ...string) []byte {
		var b bytes.Buffer
		for _, t := range texts {
			fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(t), t)
		}
		return b.Bytes()
	}
	open := `{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file:///p/x.cm.hcl","version":1,"text":"service \"x\" {\n acl = acl.\n"}}}`
	f.Add(frame(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"rootUri":"file:///p"}}`, open, `{"jsonrpc":"2.0","id":2,"method":"shutdown"}`, `{"jsonrpc":"2.0","method":"exit"}`))
	for _, m := range []string{"completion", "hover", "definition", "documentSymbol", "formatting", "rename"} {
		f.Add(frame(open, `{"jsonrpc":"2.0","id":"a","method":"textDocument/`+m+`","params":{"textDocument":{"uri":"file:///p/x.cm.hcl"},"position":{"line":1,"character":11},"newName":"y"}}`))
	}
	f.Add([]byte("Content-Length: 99999999999\r\n\r\n{"))
	f.Add([]byte("Content-Length: 5\r\nX: y\r\n\r\n[{}]\n"))
	f.Add([]byte(strings.Repeat("x", 5000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		w := &editor.Workspace{Read: func(string) ([]policy.SourceFile, error) { return nil, nil }, Check: lang.Compile, Services: func() []string { return nil }}
		stream := struct {
			io.Reader
			io.Writer
			io.Closer
		}{bytes.NewReader(text), io.Discard, io.NopCloser(nil)}
		_ = Serve(context.Background(), stream, Config{Workspace: w, Confine: func([]string) error { return nil }, Log: testLog{t}})
	})
}

// testLog fails a test whose server speaks of a panic.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) { l.t.Errorf("%s", b); return len(b), nil }

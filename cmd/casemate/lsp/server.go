// Package lsp is a language server for policies over a stream: it speaks the protocol and keeps its time, and asks
// package editor for every answer.
package lsp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"casemate/policy"
	"casemate/policy/codes"
	"casemate/policy/editor"
	"casemate/policy/lang"

	"github.com/sourcegraph/jsonrpc2"
)

// Config is what a server has of its surroundings.
type Config struct {
	Workspace *editor.Workspace
	// Confine is called once, before the first file is read, with the directories that the editor works in.
	Confine func(dirs []string) error
	Version string
	Log     io.Writer
}

// Serve speaks with one editor until it says that it ends, or goes. The error is of an editor that breaks the protocol,
// or goes without a shutdown.
func Serve(ctx context.Context, stream io.ReadWriteCloser, c Config) error {
	s := &server{Config: c, versions: map[string]int{}, dirty: map[string]bool{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	conn := jsonrpc2.NewConn(ctx, jsonrpc2.NewBufferedStream(stream, codec{}), s, jsonrpc2.SetLogger(quiet{}))
	s.work.Add(1)
	go s.diagnose(ctx, conn)
	select {
	case <-conn.DisconnectNotify():
	case <-s.ended:
		conn.Close()
	}
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.nudge()
	s.work.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	if !s.shutdown {
		return fmt.Errorf("the editor went without a shutdown")
	}
	return nil
}

// quiet drops what jsonrpc2 logs of a connection that ends.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

type server struct {
	Config

	mu                   sync.Mutex
	confined             bool
	failed               error // fatal
	shutdown, over, told bool
	versions             map[string]int  // of open files, by path
	dirty                map[string]bool // directories to be judged anew
	shown                map[string]bool // files with diagnostics that the editor shows

	wake  chan struct{}
	ended chan struct{}
	work  sync.WaitGroup
}

// Handle answers one message; jsonrpc2 calls it for one after the other. A panic is this answer's error and nothing else's.
func (s *server) Handle(ctx context.Context, conn *jsonrpc2.Conn, req *jsonrpc2.Request) {
	result, err := s.answer(req)
	if req.Notif {
		return
	}
	if err != nil {
		failure, ok := err.(*jsonrpc2.Error)
		if !ok {
			failure = &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: err.Error()}
		}
		_ = conn.ReplyWithError(ctx, req.ID, failure) // of an editor that has gone
		return
	}
	_ = conn.Reply(ctx, req.ID, result)
}

func (s *server) answer(req *jsonrpc2.Request) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			result, err = nil, fmt.Errorf("internal error, please report it: %s: %v", req.Method, r)
			fmt.Fprintf(s.Log, "casemate: lsp: %v\n", err)
		}
	}()
	var p params
	if req.Params != nil {
		if err := json.Unmarshal(*req.Params, &p); err != nil {
			return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: err.Error()}
		}
	}
	if s.shutdown && req.Method != "exit" {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidRequest, Message: "after the shutdown"}
	}
	switch req.Method {
	case "initialize":
		return s.initialize(&p)
	case "shutdown":
		s.mu.Lock()
		s.shutdown = true
		s.mu.Unlock()
		return nil, nil
	case "exit":
		if !s.told {
			s.told = true
			close(s.ended)
		}
		return nil, nil
	case "initialized", "$/cancelRequest", "$/setTrace", "workspace/didChangeConfiguration":
		return nil, nil
	case "workspace/didChangeWatchedFiles":
		s.changed("")
		return nil, nil
	}
	if f := methods[req.Method]; f != nil {
		path, ok := pathOf(p.TextDocument.URI)
		if !ok {
			return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: fmt.Sprintf("%q is no file", p.TextDocument.URI)}
		}
		if err := s.confine(filepath.Dir(path)); err != nil {
			return nil, err
		}
		return f(s, path, &p)
	}
	return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: req.Method + " is not known"}
}

// methods are those about one file.
var methods = map[string]func(s *server, path string, p *params) (any, error){
	"textDocument/didOpen":        (*server).set,
	"textDocument/didChange":      (*server).set,
	"textDocument/didSave":        (*server).saved,
	"textDocument/didClose":       (*server).closed,
	"textDocument/hover":          (*server).hover,
	"textDocument/completion":     (*server).complete,
	"textDocument/definition":     (*server).define,
	"textDocument/documentSymbol": (*server).symbols,
	"textDocument/formatting":     (*server).format,
	"textDocument/rename":         (*server).rename,
}

func (s *server) initialize(p *params) (any, error) {
	var dirs []string
	add := func(uri string) {
		if path, ok := pathOf(uri); ok && path != "/" {
			dirs = append(dirs, path)
		}
	}
	for _, f := range p.WorkspaceFolders {
		add(f.URI)
	}
	if len(dirs) == 0 && p.RootURI != nil {
		add(*p.RootURI)
	}
	if len(dirs) == 0 && p.RootPath != nil && *p.RootPath != "" {
		add(uriOf(*p.RootPath))
	}
	if len(dirs) > 0 {
		if err := s.confine(dirs...); err != nil {
			return nil, err
		}
	} // else to the directory of the first file
	return initialized{
		Capabilities: capabilities{PositionEncoding: "utf-16", TextDocumentSync: syncs{OpenClose: true, Change: 1, Save: true}, HoverProvider: true,
			CompletionProvider: completion{[]string{".", `"`, "@", ":", "["}}, DefinitionProvider: true, DocumentSymbolProvider: true,
			DocumentFormattingProvider: true, RenameProvider: true},
		ServerInfo: serverInfo{"casemate", s.Version},
	}, nil
}

// confine takes from the process what is not below the directories, once. A process that cannot serves nobody.
func (s *server) confine(dirs ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.confined {
		s.confined = true
		s.failed = s.Confine(dirs)
	}
	return s.failed
}

// set takes the text of a file as the editor has it: all of it, which is what it was told to send.
func (s *server) set(path string, p *params) (any, error) {
	text := p.TextDocument.Text
	if n := len(p.ContentChanges); n > 0 {
		if p.ContentChanges[n-1].Range != nil {
			return nil, nil // of an editor that sends parts all the same; the next whole text counts
		}
		text = p.ContentChanges[n-1].Text
	}
	s.Workspace.Set(path, []byte(text))
	s.mu.Lock()
	s.versions[path] = p.TextDocument.Version
	s.mu.Unlock()
	s.changed(filepath.Dir(path))
	return nil, nil
}

func (s *server) saved(path string, _ *params) (any, error) {
	s.changed(filepath.Dir(path))
	return nil, nil
}

func (s *server) closed(path string, _ *params) (any, error) {
	s.Workspace.Close(path)
	s.mu.Lock()
	delete(s.versions, path)
	s.mu.Unlock()
	s.changed(filepath.Dir(path))
	return nil, nil
}

func (s *server) hover(path string, p *params) (any, error) {
	text := s.Workspace.Text(path)
	about, at := s.Workspace.Hover(path, offset(text, p.Position))
	if about == "" {
		return nil, nil
	}
	return hover{markup{"markdown", about}, newRuler(text).span(at)}, nil
}

func (s *server) complete(path string, p *params) (any, error) {
	text := s.Workspace.Text(path)
	r, out := newRuler(text), items{Items: []item{}}
	for _, i := range s.Workspace.Complete(path, offset(text, p.Position)) {
		kind := 12
		switch {
		case i.Block:
			kind = 9
		case strings.HasSuffix(i.Text, " = "):
			kind = 10
		}
		it := item{Label: i.Label, Kind: kind, TextEdit: textEdit{r.span(i.At), i.Text}}
		if i.About != "" {
			it.Documentation = &markup{"plaintext", i.About}
		}
		out.Items = append(out.Items, it)
	}
	return out, nil
}

func (s *server) define(path string, p *params) (any, error) {
	return s.locations(s.Workspace.Definition(path, offset(s.Workspace.Text(path), p.Position))), nil
}

func (s *server) locations(places []editor.Place) []location {
	out := []location{}
	for _, at := range places {
		out = append(out, location{uriOf(at.File), newRuler(s.Workspace.Text(at.File)).span(at.At)})
	}
	return out
}

func (s *server) symbols(path string, _ *params) (any, error) {
	r := newRuler(s.Workspace.Text(path))
	var list func(parts []*lang.Part) []symbol
	list = func(parts []*lang.Part) []symbol {
		out := []symbol{}
		for _, p := range parts {
			y := symbol{Name: p.Kind, Kind: 7, Range: r.span(p.All), SelectionRange: r.span(p.Name)}
			if p.Block {
				if y.Kind = 5; p.Label != "" {
					y.Name += " " + p.Label
				}
				y.Children = list(p.Inside)
			}
			out = append(out, y)
		}
		return out
	}
	return list(s.Workspace.Symbols(path)), nil
}

func (s *server) format(path string, _ *params) (any, error) {
	old := s.Workspace.Text(path)
	text, ok := s.Workspace.Format(path)
	if !ok || string(text) == string(old) {
		return []textEdit{}, nil
	}
	return []textEdit{{newRuler(old).span(lang.Span{Start: 0, End: len(old)}), string(text)}}, nil
}

func (s *server) rename(path string, p *params) (any, error) {
	places, wrong := s.Workspace.Rename(path, offset(s.Workspace.Text(path), p.Position), p.NewName)
	if wrong != "" {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidRequest, Message: wrong}
	}
	edit := workspaceEdit{map[string][]textEdit{}}
	for i, l := range s.locations(places) {
		if !slices.Contains(places[:i], places[i]) {
			edit.Changes[l.URI] = append(edit.Changes[l.URI], textEdit{l.Range, p.NewName})
		}
	}
	return edit, nil
}

// changed has the policy of a directory judged anew, or with "" all.
func (s *server) changed(dir string) {
	s.mu.Lock()
	if dir != "" {
		s.dirty[dir] = true
	} else {
		for path := range s.versions {
			s.dirty[filepath.Dir(path)] = true
		}
	}
	s.mu.Unlock()
	s.nudge()
}

func (s *server) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// diagnose judges policies one after the other, each as it is when its turn comes: of what is typed meanwhile only the
// last counts.
func (s *server) diagnose(ctx context.Context, conn *jsonrpc2.Conn) {
	defer s.work.Done()
	for range s.wake {
		for {
			s.mu.Lock()
			dir := ""
			for dir = range s.dirty {
				break
			}
			delete(s.dirty, dir)
			over := s.over
			s.mu.Unlock()
			if over {
				return
			}
			if dir == "" {
				break
			}
			s.publish(ctx, conn, dir)
		}
	}
}

// publish tells the editor of all findings in a directory, and of the files that have none any more.
func (s *server) publish(ctx context.Context, conn *jsonrpc2.Conn, dir string) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(s.Log, "casemate: lsp: internal error, please report it: %v\n", r)
		}
	}()
	s.mu.Lock()
	versions := map[string]int{} // as they are before the texts are looked at: never newer than these
	for path, v := range s.versions {
		versions[path] = v
	}
	s.mu.Unlock()
	found := s.Workspace.Diagnose(dir)
	for path := range s.shown { // only this goroutine knows it
		if _, ok := found[path]; !ok && filepath.Dir(path) == dir {
			found[path] = nil
		}
	}
	for path, list := range found {
		if _, open := versions[path]; len(list) == 0 && !s.shown[path] && !open {
			continue
		}
		r := newRuler(s.Workspace.Text(path))
		out := published{URI: uriOf(path), Diagnostics: []diagnostic{}}
		if v, ok := versions[path]; ok {
			out.Version = &v
		}
		for _, f := range list {
			severity := 2 // a warning
			switch f.Severity {
			case policy.SeverityError:
				severity = 1
			case codes.Notice:
				severity = 3
			}
			message := f.Summary
			if f.Detail != "" {
				message += "\n" + f.Detail
			}
			out.Diagnostics = append(out.Diagnostics, diagnostic{r.span(f.At), severity, f.Code, "casemate", message})
		}
		if s.shown == nil {
			s.shown = map[string]bool{}
		}
		if s.shown[path] = len(list) > 0; len(list) == 0 {
			delete(s.shown, path)
		}
		_ = conn.Notify(ctx, "textDocument/publishDiagnostics", out) // of an editor that has gone
	}
}

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/policy"
	"casemate/policy/lang"
)

// TestPlot: an SVG that names every size in full, and in which the intervals are drawn.
func TestPlot(t *testing.T) {
	dir := t.TempDir()
	s := sweep{Name: "acl", Axis: "prefixes", Points: []point{{Size: 0, Rate: interval{1000, 900, 1100}}, {Size: 50_000, Rate: interval{950, 700, 990}}}}
	if err := s.plot(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "acl.svg"))
	if err != nil {
		t.Fatal(err)
	}
	paths, words := 0, map[string]bool{}
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "path" {
				paths++
			}
		case xml.CharData:
			words[strings.TrimSpace(string(token))] = true
		}
	}
	for _, want := range []string{"0", "50,000", "prefixes", "connections a second"} {
		if !words[want] {
			t.Errorf("%q is not in it:\n%s", want, text)
		}
	}
	if paths < 5 {
		t.Errorf("%d lines are drawn:\n%s", paths, text)
	}
}

// TestSizes: a casemated of each size has as many services, and denies as many prefixes, as its name says, and admits the clients.
func TestSizes(t *testing.T) {
	b := &bench{answer: "/bin/true", holder: "/bin/cat"}
	for _, p := range []product{{port: 12000}, {port: 12000, idle: 1500}, {port: 12000, live: 1, denied: 50_000}} {
		var files []policy.SourceFile
		for name, text := range b.policy(p) {
			files = append(files, policy.SourceFile{Name: name, Data: []byte(text)})
		}
		doc, found := lang.Compile(files)
		if doc == nil {
			t.Fatalf("%+v: %v", p, found)
		}
		if n := len(doc.Policy.Services); n != 1+p.idle+p.live {
			t.Errorf("%+v: %d services", p, n)
		}
		list := doc.Policy.ACLs[slices.IndexFunc(doc.Policy.ACLs, func(l acl.List) bool { return l.Name == "measured" })]
		prefixes := 0
		for _, r := range list.Rules {
			if r.Verdict == acl.Deny {
				prefixes += len(r.From)
			}
		}
		if prefixes != p.denied {
			t.Errorf("%+v: %d prefixes", p, prefixes)
		}
		m, err := decide.Compile(&list)
		if err != nil {
			t.Fatal(err)
		}
		for addr, want := range map[string]bool{"127.0.0.1": true, "10.195.79.127": p.denied == 0, "10.195.79.128": true} {
			client := decide.Client{Addr: netip.MustParseAddr(addr), Local: netip.MustParseAddr("127.0.0.1")}
			if got := !m.Decide(client).Shuts(); got != want {
				t.Errorf("%+v: %s is admitted: %v", p, addr, got)
			}
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 100: "100", 1000: "1,000", 50_000: "50,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%s of %d", got, n)
		}
	}
}

package show_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/explain"
	"casemate/policy/granted"
	"casemate/policy/lang"
	"casemate/policy/score"
	"casemate/policy/show"
)

// encoded are the bytes of a document, as compile prints them.
func encoded(t testing.TB, doc *policy.Document) []byte {
	t.Helper()
	b, err := canon.EncodeDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// told is all that a document tells of a service: what explain, show and score print.
func told(t *testing.T, doc *policy.Document, service string) string {
	t.Helper()
	var out strings.Builder
	put := func(v any, err error) {
		b, jerr := json.Marshal(v)
		fmt.Fprintf(&out, "%s %v %v\n", b, err, jerr)
	}
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	for _, c := range [][2]string{{"192.0.2.66", ""}, {"198.51.100.7", "www.example.org"}, {"2001:db8::1", "unknown"}} {
		put(explain.Ask(doc, explain.Query{Service: service, Client: netip.MustParseAddr(c[0]), Name: c[1], At: at}))
	}
	put(explain.Ask(doc, explain.Query{Service: service, Peer: acl.Pattern("uid=1000")}))
	shown, err := show.Select(doc, []string{service})
	put(shown, err)
	if err == nil {
		text, err := lang.EffectivePolicy(shown)
		put(text, err)
		shown, clients, err := show.For(shown, explain.Query{Client: netip.MustParseAddr("192.0.2.66"), At: at})
		put(shown, err)
		put(clients, err)
	}
	if s := doc.Policy.Service(service); s != nil {
		put(score.New(doc, nil).Service(s))
	}
	return out.String()
}

// TestPartTellsWhatTheWholeTells: of every service and block of the examples, and of a policy with hundreds of profiles, a part of the
// document says the same as the whole does, and has its digest.
func TestPartTellsWhatTheWholeTells(t *testing.T) {
	t.Parallel()
	all := examples(t)
	all["large"] = large(t, 30)
	parts, wholes := 0, 0
	for dir, doc := range all {
		text := encoded(t, doc)
		for _, list := range [][]policy.Service{doc.Policy.Services, doc.Policy.Disabled} {
			for i := range list {
				s := &list[i]
				part, ok := canon.DecodePart(text, []string{s.Name})
				if !ok {
					if wholes++; len(s.Mux) == 0 && s.Builtin != policy.Tcpmux {
						t.Errorf("%s: %s: no part", dir, s.Name)
					}
					continue
				}
				if parts++; part.Digest != doc.Digest || len(part.Policy.Services)+len(part.Policy.Disabled) != 1 {
					t.Errorf("%s: %s: %s of %d services", dir, s.Name, part.Digest, len(part.Policy.Services))
				}
				if a, b := told(t, doc, s.Name), told(t, part, s.Name); a != b {
					t.Errorf("%s: %s: the whole tells\n%s\nand the part\n%s", dir, s.Name, a, b)
				}
			}
		}
		for _, name := range show.Names(doc.Policy) {
			part, ok := canon.DecodePart(text, []string{name})
			if !ok {
				t.Errorf("%s: no %s", dir, name)
				continue
			}
			a, aerr := show.Select(doc, []string{name})
			b, berr := show.Select(part, []string{name})
			if aerr != nil || berr != nil || !bytes.Equal(encoded(t, a), encoded(t, b)) {
				t.Errorf("%s: %s: %v, %v\n%s\n%s", dir, name, aerr, berr, encoded(t, a), encoded(t, b))
			}
		}
	}
	if parts < 100 || wholes < 2 {
		t.Errorf("%d parts, %d that are not: hardly anything was tried", parts, wholes)
	}
}

// large is a policy of n services with acls and profiles of their own.
func large(t testing.TB, n int) *policy.Document {
	t.Helper()
	text := new(strings.Builder)
	text.WriteString("policy { edition = 1 }\n")
	for i := range n {
		fmt.Fprintf(text, `
acl "a%[1]d" {
  deny { from = ["192.0.2.%[1]d"] }
  allow "r" { from = ["192.0.2.0/24", ".example.org", "198.51.100.%[1]d"] }
}
profile "p%[1]d" {
  base = profile.server
  files { read = ["/srv/%[1]d"] }
}
service "s%[1]d" {
  listen  = ["tcp://:%[2]d"]
  command = ["/usr/bin/s%[1]d", "a \"quoted\\ word"]
  user    = "dynamic"
  acl     = acl.a%[1]d
  profile = profile.p%[1]d
  disable = %[3]v
}
`, i, 1000+i, i%7 == 0)
	}
	text.WriteString(`
service "mux" {
  listen  = ["tcp://:1"]
  builtin = "tcpmux"
  acl     = acl.anyone
}
service "behind" {
  listen  = ["tcpmux:cat"]
  command = ["/bin/cat"]
  user    = "dynamic"
}
`)
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "large.cm.hcl", Data: []byte(text.String())}})
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	return doc
}

// TestPartIsHeldToItsForm: a part is of a document of that digest, whose blocks have names in order, and is canonical itself. What is
// wrong in a block that nobody asked for is for DecodeDocument to see.
func TestPartIsHeldToItsForm(t *testing.T) {
	t.Parallel()
	doc := large(t, 12)
	text := string(encoded(t, doc))
	redigest := func(s string) string { // of a policy that somebody changed
		from := strings.Index(s, `"policy":`) + len(`"policy":`)
		to := strings.Index(s, `,"origins":`)
		return strings.Replace(s, doc.Digest, granted.Digest([]byte(s[from:to])), 1)
	}
	change := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %s", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"as it is":                        {text, true},
		"another digest":                  {change(doc.Digest[:20], "sha256:0000000000000"), false},
		"a changed policy":                {change(`"192.0.2.5"`, `"192.0.2.6"`), false},
		"a changed policy, its digest":    {redigest(change(`"192.0.2.5"`, `"192.0.2.6"`)), true},
		"a block like no other elsewhere": {redigest(change(`{"name":"a7","rules":[`, `{"name":"a7","rule":[`)), true},
		"a block like no other":           {redigest(change(`{"name":"a5","rules":[`, `{"name":"a5","rule":[`)), false},
		"a pattern that is none":          {redigest(change(`"192.0.2.5"`, `"192.0.2.555"`)), true}, // valid.Check sees it
		"white space":                     {redigest(change(`{"name":"a5",`, `{"name":"a5", `)), false},
		"a field twice":                   {redigest(change(`{"name":"a5",`, `{"name":"a5","rules":[],`)), false},
		"two of one name":                 {redigest(change(`{"name":"a4",`, `{"name":"a5",`)), false},
		"out of order":                    {redigest(change(`{"name":"a4",`, `{"name":"zz",`)), false},
		"no name":                         {redigest(change(`{"name":"a4",`, `{"nome":"a4",`)), false},
		"a list twice":                    {redigest(change(`"acls":[`, `"acls":[],"acls":[`)), false},
		"an unknown member":               {redigest(change(`"acls":[`, `"alcs":[],"acls":[`)), false},
		"another architecture":            {redigest(change(`"on_stop":`, `"machine":"vax","on_stop":`)), false},
		"an origin twice":                 {change(`,"origins":{`, `,"origins":{"acls.a5":"x:1:1",`), false},
		"an origin of control characters": {change(`"services.s5":"large`, `"services.s5":"\nlarge`), false},
		"more behind it":                  {text + "{}", false},
		"its end missing":                 {strings.TrimSuffix(text, "}\n"), false},
		"another version":                 {change(`"format_version":2`, `"format_version":3`), false},
		"the acl missing":                 {redigest(change(`"acl":"a5"`, `"acl":"b5"`)), false},
	} {
		part, ok := canon.DecodePart([]byte(tt.text), []string{"s5"})
		if ok != tt.ok || ok && part.Policy.Service("s5") == nil {
			t.Errorf("%s: %v, want %v", name, ok, tt.ok)
		}
	}
	for _, names := range [][]string{nil, {"nobody"}, {"s5", "nobody"}, {"acl.s5"}, {"filter.x"}, {"x.s5"}, {""}, {"."}} {
		if _, ok := canon.DecodePart([]byte(text), names); ok {
			t.Errorf("%q is a part", names)
		}
	}
	part, ok := canon.DecodePart([]byte(text), []string{"s5", "s1", "acl.a3", "limit.default"})
	if !ok || len(part.Policy.Services) != 2 || len(part.Policy.ACLs) != 3 || part.Origins.Lookup("acls.a3.rules.0") == "" || part.Origins["edition"] == "" {
		t.Errorf("%v %+v %v", ok, part, slices.Sorted(maps.Keys(part.Origins)))
	}
}

// FuzzPart: of bytes that somebody changed, a part is still what the whole says, where the whole is anything.
func FuzzPart(f *testing.F) {
	text := encoded(f, large(f, 3))
	for _, at := range []int{40, 200, 900, len(text) / 2, len(text) - 30} {
		f.Add(text, at, []byte(`"}`))
	}
	f.Fuzz(func(t *testing.T, b []byte, at int, put []byte) {
		if len(b) > 0 {
			at = max(at, -at) % len(b)
			if at < 0 {
				at = 0
			}
			b = slices.Concat(b[:at], put, b[min(len(b), at+len(put)):])
		}
		part, ok := canon.DecodePart(b, []string{"s1"})
		if !ok {
			return
		}
		doc, err := canon.DecodeDocument(b)
		if err != nil {
			return // of what the part does not have
		}
		if x, y := told(t, doc, "s1"), told(t, part, "s1"); x != y {
			t.Errorf("the whole tells\n%s\nand the part\n%s", x, y)
		}
	})
}

package lang

import (
	"math"
	"strings"
	"testing"
	"time"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestParseListenSuggests(t *testing.T) {
	for in, want := range map[string]string{
		"tpc://:79":            "did you mean tcp?",
		"tcp://:fingr":         `"finger"`,
		"unix:///x?mode=0660":  "socket {",
		"tcp://:kerberos-admn": `"kerberos-adm"`,
	} {
		if got, bad := newCompiler(nil).parseListen(in, hcl.Range{}); bad == nil || !strings.Contains(bad.next, want) {
			t.Errorf("%s: got %+v, %+v", in, got, bad)
		}
	}
	if l, bad := newCompiler(nil).parseListen("tcp://:kerberos-adm", hcl.Range{}); bad != nil || l.Port != 749 {
		t.Errorf("got %+v, %+v", l, bad)
	}
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]time.Duration{"500ms": 500 * time.Millisecond, "90s": 90 * time.Second, "10m": 10 * time.Minute,
		"10min": 10 * time.Minute, "1h": time.Hour, "2d": 48 * time.Hour, "0s": 0, "": -1, "10": -1, "s": -1, "-1s": -1, "1.5s": -1, "01s": -1,
		"999999999999d": -1, "1h30m": 90 * time.Minute, "1d2h3m4s5ms": 26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond, "30m1h": -1, "1h1h": -1, "1h30": -1, "106751d999999999999ms": -1, "1 s": -1, "9999999999999s": -1} {
		if d, err := parseDuration(in); (err != nil) != (want < 0) || err == nil && d != want {
			t.Errorf("duration %q: %v, %v", in, d, err)
		}
	}
	for in, want := range map[string]int64{"1B": 1, "64MiB": 64 << 20, "1TiB": 1 << 40, "1MB": -1, "1": -1, "MiB": -1, "999999999999TiB": -1} {
		if n, err := parseSize(in); (err != nil) != (want < 0) || err == nil && n != want {
			t.Errorf("size %q: %v, %v", in, n, err)
		}
	}
	for in, want := range map[string]int{"50/s": 50, "10/min": 10, "1/h": 1, "1/d": 1, "1/m": -1, "/s": -1, "1": -1, "1/s/s": -1, "1x/s": -1} {
		if r, err := parseRate(in); (err != nil) != (want < 0) || err == nil && r.Events != want {
			t.Errorf("rate %q: %v, %v", in, r, err)
		}
	}
	for in, want := range map[string]int{"100B/s": 100, "1KiB/s": 1024, "100/s": -1, "1KiB": -1, "1KiB/min": -1, "": -1, "/s": -1, "999TiB/s": math.MaxInt32} {
		if n, err := parsePace(in); (err != nil) != (want < 0) || err == nil && n != want {
			t.Errorf("pace %q: %v, %v", in, n, err)
		}
	}
	for in, want := range map[string]int64{"0077": 0o77, "0000": 0, "0777": 0o777, "77": -1, "0888": -1, "00777": -1, "1777": -1, "0o77": -1} {
		if n, err := parseMode(in); (err != nil) != (want < 0) || err == nil && int64(n) != want {
			t.Errorf("mode %q: %v, %v", in, n, err)
		}
	}
}

// TestEval evaluates expressions and shows their values and findings.
func TestEval(t *testing.T) {
	for in, want := range map[string]string{
		`"a"`: "a", `7`: "7", `true`: "true", `null`: "null", `("a")`: "a", `""`: "",
		`"a${1}b${true}"`: "a1btrue", `"${"x"}"`: "x", `"a\"\n$${b}"`: "a\"\n${b}", "<<E\nx\ny\nE\n": "x\ny\n",
		`["a", 1]`: "[a 1]", `{ a = 1, "b" = [2], c : 3 }`: "{a:1 b:[2] c:3}",
		`concat(["a"], [], ["b", "a"])`: "[a b a]", `concat()`: "[]", `distinct(["a", "b", "a", "1", 1])`: "[a b 1 1]",
		`setunion(["a"], ["b", "a"])`:         "[a b]",
		`setsubtract(["a", "b", "c"], ["b"])`: "[a c]", `setsubtract(["a", "b"], ["a"], ["b"])`: "[]",
		`setintersection(["a", "b", "b"], ["b", "c"])`: "[b]",
		`cidrhost("192.0.2.0/24", 0)`:                  "192.0.2.0", `cidrhost("192.0.2.0/24", 255)`: "192.0.2.255", `cidrhost("2001:db8::/64", 4660)`: "2001:db8::1234",
		`cidrhost("0.0.0.0/0", 4294967295)`: "255.255.255.255", `cidrhost("192.0.2.7/32", 0)`: "192.0.2.7", `cidrhost("::/0", 999999999999999999)`: "::de0:b6b3:a763:ffff",
		`cidrsubnet("2001:db8::/32", 16, 10)`: "2001:db8:a::/48", `cidrsubnet("10.0.0.0/8", 8, 255)`: "10.255.0.0/16", `cidrsubnet("10.0.0.0/8", 24, 1)`: "10.0.0.1/32",
		`concat([cidrhost("10.0.0.0/8", 1)], ["x"])`: "[10.0.0.1 x]", `cidrsubnet("::/0", 128, 1)`: "::1/128",
		`cidrhost("192.0.2.0/24", 256)`: "CM304", `cidrhost("192.0.2.1/24", 1)`: "CM304", `cidrhost("192.0.2.0/24", "1")`: "CM304", `cidrhost("192.0.2.0/24")`: "CM304",
		`cidrhost("192.0.2.7/32", 1)`: "CM304", `cidrhost("x", 1)`: "CM304", `cidrhost(1, 1)`: "CM304", `cidrhost("::ffff:1.2.3.0/120", 1)`: "CM304", `cidrhost()`: "CM304",
		`cidrsubnet("10.0.0.0/8", 25, 0)`: "CM304", `cidrsubnet("10.0.0.0/8", 0, 0)`: "CM304", `cidrsubnet("10.0.0.0/8", 8, 256)`: "CM304", `cidrsubnet("10.0.0.0/8", 8)`: "CM304",
		`concat("a")`: "CM304", `distinct([["a"]])`: "CM304", `distinct()`: "CM304", `distinct(["a"], ["b"])`: "CM304",
		`length(["a"])`: "CM301", `format("a")`: "CM301", `contains(["a"], "a")`: "CM301", `flatten([["a"]])`: "CM301",
		`concat([]...)`: "CM103", `"${[1]}"`: "CM401", `[for x in []: x]`: "CM103", `acl.x`: "CM301", `x`: "CM301", `local`: "CM301", `-1`: "CM103", `1 + 1`: "CM103",
		`{ (1) = 2 }`: "CM401", `{ a = 1, a = 2 }`: "CM203", `local.a.b`: "CM301", `f()`: "CM301", `a::b()`: "CM301",
	} {
		c := newCompiler(nil)
		e, ds := hclsyntax.ParseExpression([]byte(in), "e", hcl.InitialPos)
		if ds.HasErrors() {
			t.Errorf("%s: %v", in, ds)
			continue
		}
		v, ok := c.eval(e)
		got := dump(v)
		if !ok {
			if len(c.found) != 1 {
				t.Errorf("%s: %d findings", in, len(c.found))
				continue
			}
			got = c.found[0].Code
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func dump(v value) string {
	var parts []string
	switch v.kind {
	case kindList:
		for _, item := range v.list {
			parts = append(parts, dump(item))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case kindObject:
		for _, f := range v.obj {
			parts = append(parts, f.name+":"+dump(f.val))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case kindNull:
		return "null"
	}
	return v.text()
}

func TestFormat(t *testing.T) {
	messy := "\n\n\npolicy{edition=1}\n\n\n\nlocals{\n\n a=[\"x\",\"y\"] # one\n long_name = 1 // two\n\n b = [\n\"x\" ,\n[ 1 ],\n]\n c = concat( [\"${ local.a }\"] , local . a )\n" +
		" d = <<EOT\n   kept  as is\nEOT\n e={}\n f = { x = 1 }\n\n}\n/* a\n  b */\nservice   \"s\"   {\n listen=[ ] /* in */\n}\n\n\n"
	want := "policy { edition = 1 }\n\nlocals {\n  a         = [\"x\", \"y\"] # one\n  long_name = 1          // two\n\n  b = [\n    \"x\",\n    [1],\n  ]\n" +
		"  c = concat([\"${local.a}\"], local.a)\n  d = <<EOT\n   kept  as is\nEOT\n  e = {}\n  f = { x = 1 }\n}\n/* a\n  b */\nservice \"s\" {\n  listen = [] /* in */\n}\n"
	got, ds := Format(policy.SourceFile{Name: "f", Data: []byte(messy)})
	if len(ds) > 0 || string(got) != want {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s", ds, got, want)
	}
	if got, _ := Format(policy.SourceFile{Name: "f", Data: []byte("\xef\xbb\xbfa = 1\r\n\r\n\r\nb = 2\r\n")}); string(got) != "a = 1\n\nb = 2\n" {
		t.Errorf("byte order mark and CRLF: %q", got)
	}
	if _, ds := Format(policy.SourceFile{Name: "f", Data: []byte("a {")}); !policy.HasErrors(ds) {
		t.Error("formats what does not parse")
	}
}

// FuzzFormat: the layout is stable, and only white space changes.
func FuzzFormat(f *testing.F) {
	f.Add(string(design(f)))
	f.Add(string(Shipped()))
	f.Add("a = <<-E\n  x ${local.b}\n  E\n/* c */ b = 1 # d\n")
	f.Add("a = [ # c\n1, /* x\n y */ 2\n]\n")
	f.Fuzz(func(t *testing.T, text string) {
		out, ds := Format(policy.SourceFile{Name: "f", Data: []byte(text)})
		if len(ds) > 0 {
			return
		}
		again, ds := Format(policy.SourceFile{Name: "f", Data: out})
		if len(ds) > 0 || string(again) != string(out) {
			t.Fatalf("not stable: %v\n%q\n%q\n%q", ds, text, out, again)
		}
		if a, b := writeOut(text), writeOut(string(out)); a != b {
			t.Fatalf("more than white space changed:\n%q\n%q", a, b)
		}
	})
}

// spell joins a text's tokens without the white space between them.
func writeOut(text string) string {
	text = strings.ReplaceAll(strings.TrimPrefix(text, string(byteOrderMark)), "\r\n", "\n")
	tokens, _ := hclsyntax.LexConfig([]byte(text), "f", hcl.InitialPos)
	var b strings.Builder
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenNewline {
			b.WriteString(strings.TrimRight(string(t.Bytes), " \t\n") + "\x00")
		}
	}
	return b.String()
}

package lang

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"casemate/policy"
)

// bulk is a policy of n services, each with an acl and a profile of its own.
func bulk(n int) []policy.SourceFile {
	var files []policy.SourceFile
	text := new(strings.Builder)
	text.WriteString(head)
	for i := range n {
		fmt.Fprintf(text, `
acl "a%[1]d" {
  allow { from = ["10.%[2]d.%[3]d.0/24", ".n%[1]d.example.org"] }
}
profile "p%[1]d" {
  base = profile.server
  files { read = ["/srv/%[1]d"] }
}
service "s%[1]d" {
  listen  = ["tcp://:%[4]d"]
  command = ["/usr/bin/s%[1]d"]
  user    = "dynamic"
  acl     = acl.a%[1]d
  profile = profile.p%[1]d
}
`, i, i/256, i%256, 1000+i)
		if text.Len() > policy.MaxSourceFile-4096 || i == n-1 {
			files = append(files, policy.SourceFile{Name: fmt.Sprintf("%03d.cm.hcl", len(files)), Data: []byte(text.String())})
			text.Reset()
		}
	}
	return files
}

// TestBulk: many services compile, every time to the same bytes.
func TestBulk(t *testing.T) {
	var first []byte
	for range 2 {
		doc, ds := Compile(bulk(300))
		if doc == nil {
			t.Fatal(show(ds))
		}
		b, err := policy.EncodeDocument(doc)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(b, first) {
			t.Fatal("two compilations differ")
		}
		first = b
		if _, err := policy.DecodeDocument(b); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes", len(first))
}

// TestBulkOfErrors: a file in which every line is wrong gives a short report soon.
func TestBulkOfErrors(t *testing.T) {
	for name, line := range map[string]string{"blocks": "x {}\n", "attributes": "x%d = 1\n", "locals": "locals { a%d = local.b%d }\n", "names": "acl \"a\" {}\n",
		"words": "service \"s%d\" { acl = acl.x }\n", "quotes": "\"\n", "heredoc": "a%d = <<E\n", "text": "x\n", "equals": "=", "commas": "x = [,,,,\n"} {
		text := head
		for i := 0; len(text) < policy.MaxSourceFile/16; i++ {
			part := new(strings.Builder)
			for range 500 {
				i++
				part.WriteString(strings.ReplaceAll(line, "%d", fmt.Sprint(i)))
			}
			text += part.String()
		}
		if name == "text" {
			text = "x = <<E\n" + text + "E\n"
		}
		doc, ds := compileText(text)
		if doc != nil || len(ds) == 0 || len(ds) > maxDiagnostics {
			t.Errorf("%s: %d diagnostics", name, len(ds))
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	files := bulk(1000)
	b.ReportAllocs()
	for b.Loop() {
		if doc, ds := Compile(files); doc == nil {
			b.Fatal(show(ds))
		}
	}
}

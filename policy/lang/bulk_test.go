package lang

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/input"
)

// bulk is a policy of n services, each with an acl of ten patterns and a profile
// of its own: on a shipped base, on one of the policy's, and with calls of its own.
func bulk(n int) []policy.SourceFile {
	var files []policy.SourceFile
	text := new(strings.Builder)
	text.WriteString(head)
	text.WriteString("profile \"common\" {\n  base = profile.server\n}\n")
	layers := []string{
		"base = profile.server\n  files { read = [\"/srv/%d\"] }",
		"base = profile.common\n  files { read = [\"/srv/%d\"] }",
		"widens = [\"syscalls\"]\n  syscalls { allow = [\"getcpu\", \"sched_yield\"] }\n  files { read = [\"/srv/%d\"] }",
	}
	for i := range n {
		profile := fmt.Sprintf(layers[i%len(layers)], i)
		nets := new(strings.Builder)
		for k := range 8 {
			fmt.Fprintf(nets, `"10.%d.%d.%d", `, i/256, i%256, k)
		}
		fmt.Fprintf(text, `
acl "a%[1]d" {
  allow { from = [%[6]s"11.%[2]d.%[3]d.0/24", ".n%[1]d.example.org"] }
}
profile "p%[1]d" {
  %[5]s
}
service "s%[1]d" {
  listen  = ["tcp://:%[4]d"]
  command = ["/usr/bin/s%[1]d"]
  user    = "dynamic"
  acl     = acl.a%[1]d
  profile = profile.p%[1]d
}
`, i, i/256, i%256, 1000+i, profile, nets)
		if text.Len() > input.MaxSourceFile-4096 || i == n-1 {
			files = append(files, policy.SourceFile{Name: fmt.Sprintf("%03d.cm.hcl", len(files)), Data: []byte(text.String())})
			text.Reset()
		}
	}
	return files
}

// TestBulk: many services compile, every time to the same bytes.
func TestBulk(t *testing.T) {
	t.Parallel()
	var first []byte
	for range 2 {
		doc, ds := Compile(bulk(300))
		if doc == nil {
			t.Fatal(show(ds))
		}
		b, err := canon.EncodeDocument(doc)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(b, first) {
			t.Fatal("two compilations differ")
		}
		first = b
		if _, err := canon.DecodeDocument(b); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d bytes", len(first))
}

// TestBulkOfErrors: a file in which every line is wrong gives a short report soon.
func TestBulkOfErrors(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"blocks": "x {}\n", "attributes": "x%d = 1\n", "locals": "locals { a%d = local.b%d }\n", "names": "acl \"a\" {}\n",
		"words": "service \"s%d\" { acl = acl.x }\n", "quotes": "\"\n", "heredoc": "a%d = <<E\n", "text": "x\n", "equals": "=", "commas": "x = [,,,,\n"} {
		text := head
		for i := 0; len(text) < input.MaxSourceFile/16; i++ {
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

// cost is the processor time of this process that f takes: other processes of a
// busy machine do not count.
func cost(t testing.TB, f func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC()
	before := used()
	f()
	return used() - before
}

// perService is what one service of bulk may allocate while it is compiled; it
// is 260 KB, and was 900 KB when every profile resolved its calls anew.
const perService = 400 << 10

// TestBulkGrowth: eight times the services take eight times the time, not
// sixty-four, and no service makes much garbage.
func TestBulkGrowth(t *testing.T) {
	small, large := bulk(150), bulk(1200)
	compile := func(files []policy.SourceFile) func() {
		return func() {
			if doc, ds := Compile(files); doc == nil {
				t.Fatal(show(ds))
			}
		}
	}
	compile(small)() // what is made once
	least := func(files []policy.SourceFile) time.Duration {
		return min(cost(t, compile(files)), cost(t, compile(files)))
	}
	a, b := least(small), least(large)
	if b > 24*a {
		t.Errorf("150 services take %v, 1200 take %v: more than in proportion", a, b)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	compile(large)()
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / 1200
	if each > perService {
		t.Errorf("a service allocates %d bytes, more than %d", each, perService)
	}
	t.Logf("150 services: %v, 1200: %v, %d bytes each", a, b, each)
}

// BenchmarkCompile draws the growth curve: services with profiles of their own
// and ten patterns each, up to 5,000 and 50,000.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{625, 1250, 2500, 5000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			files := bulk(n)
			b.ReportAllocs()
			for b.Loop() {
				if doc, ds := Compile(files); doc == nil {
					b.Fatal(show(ds))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/service")
		})
	}
}

// BenchmarkDecode is the broker's side of the same: it reads the document
// strictly and validates it again.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{625, 1250, 2500, 5000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			doc, ds := Compile(bulk(n))
			if doc == nil {
				b.Fatal(show(ds))
			}
			text, err := canon.EncodeDocument(doc)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := canon.DecodeDocument(text); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/service")
		})
	}
}

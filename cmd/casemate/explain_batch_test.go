package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/cmd/confine"
)

const batchPolicy = `policy { edition = 1 }

acl "office" {
  deny { from = ["192.0.2.66"] }
  allow { from = ["192.0.2.0/24", ".example.org"] }
}

service "finger" {
  listen  = ["tcp://:finger"]
  command = ["/usr/sbin/in.fingerd"]
  user    = "nobody"
  acl     = acl.office
}
`

// batchFiles writes a policy, tables, and n cases, whose answers alternate.
func batchFiles(t testing.TB, n int) (policy, allow, deny string, cases []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"p.cm.hcl": batchPolicy, "hosts.allow": "finger: 192.0.2.0/24 EXCEPT 192.0.2.66\nfinger: .example.org\n", "hosts.deny": "ALL: ALL\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"service":"finger","client":"%s.%d.%d","name":"h%d.example.net","local":"198.51.100.1","local_port":79,"user":""}`+"\n",
			[]string{"192.0", "203.0"}[i%2], 2, i%60, i)
	}
	return filepath.Join(dir, "p.cm.hcl"), filepath.Join(dir, "hosts.allow"), filepath.Join(dir, "hosts.deny"), b.Bytes()
}

func runBatch(t testing.TB, in []byte, args ...string) []string {
	t.Helper()
	var out, errw bytes.Buffer
	if code := run(append([]string{"explain", "--batch"}, args...), bytes.NewReader(in), &out, &errw, func(confine.Grant) error { return nil }); code != exitYes {
		t.Fatalf("exit %d: %s", code, errw.String())
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// TestAHundredThousandCases: one run answers them all, in their order, by the policy and
// by the tables.
func TestAHundredThousandCases(t *testing.T) {
	const n = 100_000
	policy, allow, deny, cases := batchFiles(t, n)
	for _, args := range [][]string{{policy}, {"--hosts-access", allow, deny}, {"--hosts-access", "--compat", allow, deny}} {
		lines := runBatch(t, cases, args...)
		if len(lines) != n {
			t.Fatalf("%v: %d answers", args, len(lines))
		}
		for i, l := range lines {
			if want := []string{`{"decision":"allow",`, `{"decision":"deny",`}[i%2]; !strings.HasPrefix(l, want) {
				t.Fatalf("%v: case %d: %s", args, i, l)
			}
		}
	}
}

// BenchmarkExplainBatch is 50,000 cases from JSON to JSON.
func BenchmarkExplainBatch(b *testing.B) {
	const n = 50_000
	policy, allow, deny, cases := batchFiles(b, n)
	for name, args := range map[string][]string{"policy": {policy}, "tables": {"--hosts-access", allow, deny}, "compat": {"--hosts-access", "--compat", allow, deny}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				runBatch(b, cases, args...)
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "cases/s")
		})
	}
}

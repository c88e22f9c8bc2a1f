package root

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestExplainDecision: a decision of the log is explained by the policy that made it, which does not run any more, and by
// another one; what the running casemated counts is added to the answer of a file.
func TestExplainDecision(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	of := func(rule string) string {
		return head + "acl \"some\" {\n  " + rule + "\n  allow \"rest\" {\n    from = [\"127.0.0.0/8\"]\n  }\n}\nlimit \"one\" {\n  concurrent = 1\n}\n" +
			service("cat", "tcp4://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.line", "acl = acl.some", "limit = limit.one")
	}
	b := rig.Serve(t, of("deny \"first\" { from = [\"127.0.0.9\"] }"))
	decision := func(from string, pairs ...string) string {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 30 * time.Second}
		c, err := d.Dial("tcp4", "127.0.0.1:"+port)
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		got, err := b.Await(1, 30*time.Second, append([]string{"msg", "decision", "client", from}, pairs...)...)
		if err != nil {
			t.Fatal(err)
		}
		return got[0].Str("id")
	}
	first := decision("127.0.0.9", "verdict", "deny", "reason", "acl")
	second := decision("127.0.0.8", "verdict", "allow")
	third := decision("127.0.0.7", "verdict", "deny", "reason", "concurrency")
	st, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.WritePolicy("test.cm.hcl", of("deny \"other\" { from = [\"127.0.0.8\", \"127.0.0.7\"] }")); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := casemate(t, b, "reload"); code != 0 {
		t.Fatal(errs)
	}
	type answer struct {
		Decision string
		RuleName string `json:"rule_name"`
		Digest   string
		Agrees   bool
	}
	for id, want := range map[string][2]answer{
		first:  {{"deny", "first", st.Digest, true}, {"allow", "rest", "", false}},
		second: {{"allow", "rest", st.Digest, true}, {"deny", "other", "", false}},
		third:  {{"allow", "rest", st.Digest, true}, {"deny", "other", "", false}},
	} {
		for i, more := range [][]string{nil, {b.Policy}} {
			code, out, errs := casemate(t, b, append([]string{"explain", "-o", "json", "--decision", id}, more...)...)
			var got answer
			if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil {
				t.Fatalf("%s: %d, %v, %s%s", id, code, err, out, errs)
			}
			if i == 1 {
				got.Digest = ""
			}
			if got != want[i] {
				t.Errorf("%s %v: %+v, want %+v", id, more, got, want[i])
			}
		}
	}
	says := func(want int, text string, args ...string) {
		t.Helper()
		if code, out, errs := casemate(t, b, append([]string{"explain"}, args...)...); code != want || !strings.Contains(out+errs, text) {
			t.Errorf("%q: %d, %s%s, want %d and %q", args, code, out, errs, want, text)
		}
	}
	says(0, "deny by concurrency, rule ", "--decision", third)
	says(3, "expected deny", "--decision", second, "--expect", "deny")
	says(1, "has no decision 7", "--decision", "7")
	says(1, "--decision has what --name says", "--decision", first, "--name", "x.example.org")
	says(0, "refused now (concurrency)", "cat", "127.0.0.1", b.Policy, "--live")
	says(0, "now 1 live, of limit one; at most 1, admitted 1, refused 2, failed 0", "cat", "127.0.0.1", b.Policy, "--live")
}

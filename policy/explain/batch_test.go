package explain

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"casemate/acl"
	"casemate/policy"
)

// batchSample is a policy with one service behind a list of all kinds of patterns.
func batchSample() *policy.Document {
	p := sample()
	p.Services[0].ACL = "many"
	p.ACLs = append(p.ACLs, acl.List{Name: "many", Default: acl.Deny, Rules: []acl.Rule{
		{Verdict: acl.Deny, From: []acl.Pattern{"192.0.2.66", "paranoid"}},
		{Verdict: acl.Allow, Name: "staff", From: []acl.Pattern{"192.0.2.0/24", ".example.org"}, Except: []acl.Pattern{"cgi.example.org"}},
		{Verdict: acl.Allow, From: []acl.Pattern{"2001:db8::/32"}, To: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}},
	}})
	return &policy.Document{Policy: p, Origins: policy.Origins{"acls.many.rules.1": "p:1:1", "acls.many": "p:9:9"}}
}

// TestBatchIsAsk: many questions at once have the answers of one at a time.
func TestBatchIsAsk(t *testing.T) {
	doc := batchSample()
	b, r := NewBatch(doc), rand.New(rand.NewPCG(1, 1))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	for range 2000 {
		c := Case{Service: doc.Policy.Services[0].Name, Client: pick("192.0.2.66", "192.0.2.7", "::ffff:192.0.2.7", "203.0.113.1", "2001:db8::1", "2001:db8::1%lo"),
			Name: pick("", "unknown", "paranoid", "no-answer", "www.example.org", "CGI.example.org."), Local: pick("", "198.51.100.1", "198.51.100.2")}
		v, err := b.Ask(&c)
		if err != nil {
			t.Fatal(err)
		}
		q := Query{Service: c.Service, Client: netip.MustParseAddr(c.Client), Name: c.Name}
		if c.Local != "" {
			q.Local = netip.MustParseAddr(c.Local)
		}
		e, err := Ask(doc, q)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Verdict{e.Decision, e.Rule, e.RuleName, e.Origin, e.NeedsName, ""}); v != want {
			t.Errorf("%+v: %+v, and alone %+v", c, v, want)
		}
	}
}

// BenchmarkBatch is the decision alone, without its JSON.
func BenchmarkBatch(b *testing.B) {
	doc := batchSample()
	batch := NewBatch(doc)
	cases := make([]Case, 256)
	for i := range cases {
		cases[i] = Case{Service: doc.Policy.Services[0].Name, Client: fmt.Sprintf("203.0.113.%d", i), Name: "www.example.org"}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := batch.Ask(&cases[i%len(cases)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cases/s")
}

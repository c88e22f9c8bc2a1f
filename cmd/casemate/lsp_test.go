package main

import (
	"testing"

	"casemate/policy"
)

// TestJudged: an editor shows what check finds by itself, reviews included, and nothing that a waiver accepts.
func TestJudged(t *testing.T) {
	const text = `policy { edition = 1 }
acl "office" {
  allow { from = ["192.0.2.0/24"] }
}
service "finger" {
  listen  = ["tcp://:79"]
  command = ["/usr/sbin/in.fingerd"]
  user    = "nobody"
  acl     = acl.office
}
acl "spare" {
  allow { from = ["192.0.2.0/24"] }
}
`
	const waived = `waiver "CM713" {
  reason  = "the next service takes it"
  expires = "2999-12-31"
}
`
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"as it is", text, []string{"CM713"}},
		{"waived", text + waived, nil},
		{"broken", "policy { edition = 1 \n", []string{"CM102"}},
	} {
		doc, ds := judged([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(c.text)}})
		var got []string
		for _, d := range ds {
			got = append(got, d.Code)
		}
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] || (doc == nil) != (c.name == "broken") {
			t.Errorf("%s: found %v, want %v, document %v", c.name, got, c.want, doc != nil)
		}
	}
}

package policy_test

import (
	"net/netip"

	"casemate/policy"
	"casemate/policy/explain"
)

func init() {
	policy.ExplainAll = func(doc *policy.Document, valid bool) {
		p := doc.Policy
		for i := range p.Profiles {
			explain.Layers(&p.Profiles[i])
		}
		for i := range p.Limits {
			explain.LimitLines(&p.Limits[i])
		}
		for i := range p.Services {
			e, err := explain.Ask(doc, explain.Query{Service: p.Services[i].Name, Client: netip.MustParseAddr("192.0.2.66")})
			if valid && (err != nil || e == nil) {
				panic(err)
			}
		}
	}
}

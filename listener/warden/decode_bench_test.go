package warden

import (
	"fmt"
	"testing"

	"casemate/listener/address"
	"casemate/policy/granted"
)

// crowded is a policy of n services, each with a profile of its own.
func crowded(n int) *granted.Document {
	p := testPolicy()
	f, s := p.Profiles[0], p.Services[0]
	p.Profiles, p.Services = nil, nil
	for i := range n {
		f.Name, s.Name = fmt.Sprintf("p%05d", i), fmt.Sprintf("s%05d", i)
		s.Profile = f.Name
		l := s.Listen[0]
		l.Port, l.LastPort = uint16(1000+i), uint16(1000+i)
		s.Listen = []address.Listen{l}
		p.Profiles, p.Services = append(p.Profiles, f), append(p.Services, s)
	}
	origins := map[string]string{}
	for i := range 30 * n {
		origins[fmt.Sprintf("services.s%05d.field%d", i%n, i)] = "file.cm.hcl:1000:10"
	}
	doc, err := newDocument(p, origins)
	if err != nil {
		panic(err)
	}
	return doc
}

// BenchmarkDecodeCompiled is what root does with the compiler's answer for 5,000 services.
func BenchmarkDecodeCompiled(b *testing.B) {
	doc := crowded(5000)
	answer := fmt.Appendf(nil, "{\"format_version\":2}\n%s", doc.Text)
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := decodeCompiled(answer, nil); err != nil {
			b.Fatal(err)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// zone is a resolver that knows some names: what it does not hold does not exist, and "silent" gets no answer.
type zone struct {
	names map[string][]string // of addresses
	addrs map[string][]string // of names
}

func (z *zone) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if list := z.names[addr]; len(list) > 0 {
		if list[0] == "silent" {
			return nil, &net.DNSError{IsTimeout: true}
		}
		return list, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (z *zone) LookupNetIP(_ context.Context, network, host string) (out []netip.Addr, err error) {
	for _, a := range z.addrs[strings.TrimSuffix(host, ".")] {
		addr := netip.MustParseAddr(a)
		if network == "ip" || addr.Is4() == (network == "ip4") {
			out = append(out, addr)
		}
	}
	if len(out) == 0 {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return out, nil
}

const namedSite = `
policy { edition = 1 }
acl "names" {
  allow "ours" {
    from = [".example.org"]
  }
}
service "finger" {
  listen  = ["tcp://:79"]
  command = ["/usr/sbin/in.fingerd"]
  user    = "nobody"
  acl     = acl.names
}
`

// TestExplainResolved: each address of a name is explained once, with the name that leads back to it, and the gate is about all.
func TestExplainResolved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.cm.hcl")
	if err := os.WriteFile(file, []byte(namedSite), 0o600); err != nil {
		t.Fatal(err)
	}
	z := &zone{
		names: map[string][]string{"192.0.2.1": {"www.example.org."}, "2001:db8::1": {"www.example.org."}, "192.0.2.2": {"other.example.org."}, "192.0.2.4": {"silent"}},
		addrs: map[string][]string{"www.example.org": {"2001:db8::1", "192.0.2.1", "192.0.2.1"}, "mixed.example.net": {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}},
	}
	ask := func(client, expect string) (names []string, err error) {
		t.Helper()
		var out bytes.Buffer
		a := &app{out: &out, err: &bytes.Buffer{}, format: "json"}
		err = a.explainResolved(z, []string{"finger", client, file}, "", time.Now(), expect)
		var r resolved
		if jerr := json.Unmarshal(out.Bytes(), &r); out.Len() > 0 && (jerr != nil || r.Client != client) {
			t.Fatalf("%s: %s (%v)", client, out.String(), jerr)
		}
		for _, e := range r.Explanations {
			names = append(names, e.Client+" "+e.Name+" "+string(e.Decision))
		}
		return names, err
	}
	for _, c := range []struct {
		client, expect string
		want           []string
		no             bool
	}{
		{"www.example.org", "allow", []string{"192.0.2.1 www.example.org allow", "2001:db8::1 www.example.org allow"}, false},
		{"WWW.example.org.", "", []string{"192.0.2.1 www.example.org allow", "2001:db8::1 www.example.org allow"}, false},
		{"192.0.2.1", "deny", []string{"192.0.2.1 www.example.org allow"}, true},
		{"mixed.example.net", "allow", []string{"192.0.2.1 www.example.org allow", "192.0.2.2 paranoid deny", "192.0.2.3 unknown deny", "192.0.2.4 no-answer deny"}, true},
	} {
		got, err := ask(c.client, c.expect)
		if !slices.Equal(got, c.want) || (err == errNo) != c.no || err != nil && !c.no {
			t.Errorf("%s: %q (%v), want %q", c.client, got, err, c.want)
		}
	}
	for client, want := range map[string]string{"nobody.example.org": "no such host", "uid=7": "neither an address nor a host name", "": "neither"} {
		if _, err := ask(client, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", client, err, want)
		}
	}
}

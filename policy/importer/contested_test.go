package importer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/policy/valid"
)

// TestHostContested: of two tables that claim one address, the service is served that admits
// no client whom the other denies, wherever it stands, or nobody is; the report has both.
func TestHostContested(t *testing.T) {
	inetd := func(address string) string { return address + " stream tcp nowait nobody /bin/cat cat\n" }
	wrapped := "7971 stream tcp nowait nobody /usr/sbin/tcpd /bin/cat\n"
	quote := func(attrs string) string {
		return strings.Replace(xservice("type = UNLISTED", "port = 7971", attrs), "telnet", "quote", 1)
	}
	units := func(allow string) map[string]string {
		return map[string]string{"/etc/systemd/system/x.wants/q.socket": "", "/lib/systemd/system/q.socket": "[Socket]\nListenStream=7971\nAccept=yes\n" + allow,
			"/lib/systemd/system/q@.service": "[Service]\nExecStart=/bin/cat\nStandardInput=socket\n"}
	}
	for _, c := range []struct {
		name, inetd, xinetd string
		more                map[string]string
		serves              string // with whom it admits, or ""
		admits, denies      string
		report              []string
	}{
		{"the second is narrower", inetd("7971"), quote("only_from = 192.0.2.0"), nil, "quote", "192.0.2.9", "10.1.2.3",
			[]string{"/etc/inetd.conf:1: it stands in a comment, for tcp://:7971 is claimed by /etc/xinetd.d/quote:1 as well, which admits fewer clients: this host has both: which one ran?"}},
		{"the first is narrower", wrapped, quote(""), map[string]string{"/etc/hosts.allow": "cat: 10.1.\n", "/etc/hosts.deny": "cat: ALL\n"}, "port-7971", "10.1.2.3", "10.2.2.3",
			[]string{"/etc/xinetd.d/quote:1: it stands in a comment, for tcp://:7971 is claimed by /etc/inetd.conf:1"}},
		{"one address of all", inetd("127.0.0.1:7971"), quote("only_from = 127.0.0.1"), nil, "quote", "127.0.0.1", "127.0.0.2", []string{"/etc/inetd.conf:1: it stands"}},
		{"the same clients", inetd("7971"), quote(""), nil, "port-7971", "10.1.2.3", "", []string{"/etc/xinetd.d/quote:1: it stands in a comment, for tcp://:7971 is claimed by /etc/inetd.conf:1 as well, which admits the same clients, and is served"}},
		{"neither is narrower", "", quote("only_from = 192.0.2.0"), units("IPAddressAllow=10.0.0.0/8\nIPAddressDeny=any\n"), "", "", "",
			[]string{"/etc/xinetd.d/quote:1: it stands in a comment", "/lib/systemd/system/q.socket:1: it stands in a comment, for tcp://:7971 is claimed by /etc/xinetd.d/quote:1 as well, and neither"}},
		{"two that exclude each other and one for all", inetd("7971"), quote("only_from = 192.0.2.0"), units("IPAddressAllow=10.0.0.0/8\nIPAddressDeny=any\n"), "", "", "", nil},
		{"one that has no counterpart", inetd("7971"), quote("only_from = 192.0.2.0\n\tenv = A"), nil, "", "", "", []string{"/etc/inetd.conf:1: it stands in a comment"}},
		{"one that admits nobody until somebody decides", inetd("7971"), quote("no_access = foes"), nil, "quote", "", "10.1.2.3", []string{"/etc/inetd.conf:1: it stands in a comment"}},
		{"one that is switched off", inetd("7971"), quote("disable = yes"), nil, "port-7971", "10.1.2.3", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"/etc/inetd.conf": c.inetd, "/etc/xinetd.conf": "includedir /etc/xinetd.d\n", "/etc/xinetd.d/quote": strings.Replace(c.xinetd, "server = ", "flags = NOLIBWRAP\n\tserver = ", 1)}
			for name, text := range c.more {
				files[name] = text
			}
			r, err := Host(tree(files))
			p := compiled(t, r, err)
			var served []string
			for _, s := range p.Services {
				served = append(served, s.Name)
			}
			if strings.Join(served, " ") != c.serves {
				t.Fatalf("%v is served, want %q\n%s", served, c.serves, r.HCL)
			}
			for addr, want := range map[string]acl.Verdict{c.admits: acl.Allow, c.denies: acl.Deny} {
				if addr != "" && decided(t, p, c.serves, addr, "") != want {
					t.Errorf("%s: not %s\n%s", addr, want, r.HCL)
				}
			}
			for _, want := range c.report {
				if !slices.ContainsFunc(r.Losses, func(l Loss) bool { return l.Kind == Lost && strings.HasPrefix(l.String(), want) }) {
					t.Errorf("no %q in %v", want, r.Losses)
				}
			}
			accounted(t, r, "/etc/inetd.conf", c.inetd)
		})
	}
}

// TestWithin: over random lists the comparison answers as a search over many clients does,
// and never says yes where a client is found whom one list alone admits.
func TestWithin(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	patterns := []acl.Pattern{"any", "known", "unknown", "paranoid", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::5", "a.example.org", ".example.org", ".org", "255.255.255.255"}
	some := func() (out []acl.Pattern) {
		for range 1 + r.IntN(3) {
			out = append(out, patterns[r.IntN(len(patterns))])
		}
		return out
	}
	list := func() acl.List {
		l := acl.List{Default: valid.Verdicts[r.IntN(2)]}
		for range r.IntN(4) {
			rule := acl.Rule{Verdict: valid.Verdicts[r.IntN(2)], From: some()}
			if r.IntN(3) == 0 {
				rule.Except = some()
			}
			if r.IntN(4) == 0 {
				rule.To = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
			}
			l.Rules = append(l.Rules, rule)
		}
		return l
	}
	var clients []decide.Client
	for _, a := range []string{"10.1.2.3", "10.1.2.4", "10.2.0.1", "11.0.0.1", "255.255.255.255", "2001:db8::5", "2001:db8::6", "fe80::1"} {
		for _, to := range []string{"192.0.2.1", "192.0.2.2", "::1"} {
			addr, local := netip.MustParseAddr(a), netip.MustParseAddr(to)
			if addr.Is4() != local.Is4() {
				continue
			}
			for _, n := range []string{"a.example.org", "b.example.org", "example.org", "c.org", "d.net"} {
				clients = append(clients, decide.Client{Addr: addr, Local: local, Name: decide.Name{State: decide.Known, Host: n}})
			}
			for _, s := range []decide.NameState{decide.Unknown, decide.Paranoid, decide.NoAnswer} {
				clients = append(clients, decide.Client{Addr: addr, Local: local, Name: decide.Name{State: s}})
			}
		}
	}
	clients = append(clients, decide.Client{Peer: "uid=0"})
	yes := 0
	for range 3000 {
		a, b := list(), list()
		m, err := decide.Compile(&a)
		n, err2 := decide.Compile(&b)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		i := slices.IndexFunc(clients, func(c decide.Client) bool {
			return m.Decide(c).Verdict == acl.Allow && n.Decide(c).Verdict != acl.Allow
		})
		got := within(&a, &b)
		if got {
			yes++
		}
		if got != (i < 0) {
			t.Fatalf("within is %v, of the clients %s\n%+v\n%+v", got, fmt.Sprint(i), a, b)
		}
	}
	if yes == 0 || yes == 3000 {
		t.Errorf("%d of 3000 lie within", yes)
	}
}

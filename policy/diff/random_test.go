package diff_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/decide"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/diff"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
	"casemate/tests/need"
)

// source is where random policies come from: a generator, or a fuzzer's bytes.
type source interface{ IntN(n int) int }

type byteSource []byte

func (b *byteSource) IntN(n int) int {
	if len(*b) == 0 {
		return 0
	}
	v := int((*b)[0]) % n
	*b = (*b)[1:]
	return v
}

func pick[T any](r source, list ...T) T { return list[r.IntN(len(list))] }

// world is what random policies are made of.
type world struct{ profiles []sandbox.Profile }

func newWorld(t testing.TB) *world {
	w := &world{}
	for _, p := range lang.ShippedProfiles() {
		if slices.Contains([]string{"strict", "line", "files", "server"}, p.Name) {
			w.profiles = append(w.profiles, p)
		}
	}
	p := w.profiles[0]
	p.Name = "more"
	p.Syscalls.Allow = append(slices.Clone(p.Syscalls.Allow), "ptrace", "@tty")
	w.profiles = append(w.profiles, p)
	slices.SortFunc(w.profiles, func(a, b sandbox.Profile) int { return len(a.Name) - len(b.Name) })
	if len(w.profiles) != 5 {
		t.Fatal(len(w.profiles))
	}
	return w
}

func (w *world) list(r source) acl.List {
	patterns := func(n int) (out []acl.Pattern) {
		for range n {
			out = append(out, pick[acl.Pattern](r, "any", "known", "unknown", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "2001:db8::1", ".a.example", "b.a.example", "uid=7", "uid=8", "cid=3"))
		}
		return out
	}
	l := acl.List{Default: pick(r, acl.Deny, acl.Deny, acl.Allow)}
	for range r.IntN(4) {
		rule := acl.Rule{Verdict: pick(r, acl.Allow, acl.Deny), From: patterns(1 + r.IntN(2)), Except: patterns(max(0, r.IntN(4)-2))}
		if r.IntN(5) == 0 {
			rule.To = []netip.Prefix{pick(r, netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.1/32"))}
		}
		if r.IntN(5) == 0 {
			rule.During, _ = civil.Parse(pick(r, "mon-fri", "sat", "08:00-18:00"))
		}
		l.Rules = append(l.Rules, rule)
	}
	return l
}

// policy is a random one of up to three services; like is one that it resembles, or nil.
func (w *world) policy(r source, like *policy.Document) *policy.Document {
	p := &policy.Policy{OnStop: "end", OnBroken: "retry", Profiles: slices.Clone(w.profiles)}
	slices.SortFunc(p.Profiles, func(a, b sandbox.Profile) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	for _, name := range []string{"a", "b", "c"} {
		if r.IntN(8) == 0 {
			continue
		}
		if like != nil && r.IntN(2) == 0 {
			if s := like.Policy.Service(name); s != nil { // as it was, but for one thing
				s, l := *s, *like.Policy.ACL(s.ACL)
				l.Name = name + "2"
				s.ACL = l.Name
				switch r.IntN(4) {
				case 0:
					l.Rules = append(w.list(r).Rules, l.Rules...)
				case 1:
					s.User = pick[policy.Account](r, "nobody", "daemon", "root", "dynamic")
				case 2:
					if n := len(l.Rules); n > 0 {
						l.Rules = l.Rules[:n-1]
					}
				}
				p.Services, p.ACLs = append(p.Services, s), append(p.ACLs, l)
				continue
			}
		}
		l := w.list(r)
		l.Name = name
		s := policy.Service{Name: name, ACL: name, User: pick[policy.Account](r, "nobody", "daemon", "root", "dynamic"), Command: []string{"/bin/cat"}, Profile: w.profiles[0].Name}
		if r.IntN(30) == 0 {
			s.Profile = w.profiles[r.IntN(len(w.profiles))].Name
		}
		for range 1 + r.IntN(2) {
			s.Listen = append(s.Listen, pick(r, address.Listen{Network: "tcp", Port: 79, LastPort: 79}, address.Listen{Network: "tcp4", Port: 79, LastPort: 79},
				address.Listen{Network: "tcp", Addr: netip.MustParseAddr("192.0.2.1"), Port: 79, LastPort: 80}, address.Listen{Network: "unix", Path: "/run/a"}, address.Listen{Network: "vsock", Path: "9"}))
		}
		p.Services, p.ACLs = append(p.Services, s), append(p.ACLs, l)
	}
	return &policy.Document{FormatVersion: 1, Policy: p, Origins: policy.Origins{}}
}

// request is one client under circumstances that the rules of a world tell apart.
func request(r source) decide.Client {
	c := decide.Client{At: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(7*24)) * time.Hour)}
	switch r.IntN(6) {
	case 0:
		c.Peer = pick[acl.Pattern](r, "uid=7", "uid=8", "uid=9")
		return c
	case 1:
		c.Peer = pick[acl.Pattern](r, "cid=3", "cid=4")
		return c
	}
	c.Addr = netip.MustParseAddr(pick(r, "10.1.2.3", "10.1.2.4", "10.2.0.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db9::1"))
	if c.Addr.Is4() {
		c.Local = netip.MustParseAddr(pick(r, "192.0.2.1", "192.0.2.2", "203.0.113.1"))
	}
	c.Name = pick(r, decide.Name{State: decide.Unknown}, decide.Name{State: decide.Paranoid}, decide.Name{State: decide.NoAnswer},
		decide.Name{State: decide.Known, Host: "b.a.example"}, decide.Name{State: decide.Known, Host: "c.a.example"}, decide.Name{State: decide.Known, Host: "x.test"})
	return c
}

// admitted tells whether a client gets to a service, found out without the package under test.
func admitted(t testing.TB, p *policy.Policy, service string, c decide.Client) bool {
	s := p.Service(service)
	if s == nil {
		return false
	}
	if !slices.ContainsFunc(s.Listen, func(l address.Listen) bool {
		switch {
		case l.Unix():
			return len(c.Peer) > 3 && c.Peer[:3] == "uid"
		case l.Network == "vsock":
			return len(c.Peer) > 3 && c.Peer[:3] == "cid"
		case c.Peer != "":
			return false
		}
		return c.Addr.Is4() || l.Network == "tcp" && !l.Addr.IsValid()
	}) {
		return false
	}
	m, err := decide.Compile(p.ACL(s.ACL))
	if err != nil {
		t.Fatal(err)
	}
	return m.Decide(c).Verdict == acl.Allow
}

// rulesOf are what a profile allows.
func rulesOf(t testing.TB, known map[string][]seccomp.Rule, p *sandbox.Profile) []seccomp.Rule {
	if _, ok := known[p.Name]; !ok {
		rules, err := calls.Resolve(&p.Syscalls)
		if err != nil {
			t.Fatal(err)
		}
		known[p.Name] = rules
	}
	return known[p.Name]
}

// tried holds a pair to what samples show: where somebody gets in now and did not before, or a program may call what it could not, or
// runs as root now, the difference says that something may be more; and each service that does says so.
func tried(t testing.TB, w *world, known map[string][]seccomp.Rule, r source, a, b *policy.Document, samples int) (widens bool) {
	there, err := diff.Compare(a, b)
	if err != nil {
		t.Fatalf("%v\n%+v\n%+v", err, a.Policy, b.Policy)
	}
	back, err := diff.Compare(b, a)
	if err != nil {
		t.Fatal(err)
	}
	mirrored(t, there, back)
	may := func(service, why string) {
		i := slices.IndexFunc(there.Services, func(s diff.Service) bool { return s.Name == service })
		if i < 0 || !there.Services[i].Verdict.MayWiden() || !there.MayWiden() {
			t.Fatalf("%s: %s, and the difference does not say so:\n%s\n%+v\n%+v", service, why, words(there), a.Policy, b.Policy)
		}
		widens = true
	}
	for range samples {
		name, c := pick(r, "a", "b", "c"), request(r)
		if admitted(t, b.Policy, name, c) && !admitted(t, a.Policy, name, c) {
			may(name, "somebody gets in")
		}
	}
	for i := range b.Policy.Services {
		s := &b.Policy.Services[i]
		was := a.Policy.Service(s.Name)
		if was == nil {
			continue
		}
		if s.User == "root" && was.User != "root" {
			may(s.Name, "it runs as root")
		}
		if s.Profile == was.Profile {
			continue
		}
		had, has := rulesOf(t, known, a.Policy.Profile(was.Profile)), rulesOf(t, known, b.Policy.Profile(s.Profile))
		for _, rule := range []seccomp.Rule{{Name: "ptrace"}, {Name: "unlink"}, {Name: "socket", Args: []filter.Arg{{Index: 0, Value: 2}}}, {Name: "ioctl", Args: []filter.Arg{{Index: 1, Value: 0x5401}}}} {
			if seccomp.Allows(has, rule) && !seccomp.Allows(had, rule) {
				may(s.Name, "it may call "+rule.String())
			}
		}
	}
	return widens
}

// TestNothingWidensUnsaid tries random pairs of policies.
func TestNothingWidensUnsaid(t *testing.T) {
	w, known := newWorld(t), map[string][]seccomp.Rule{}
	r := need.Random(11)
	n, wider := need.Rounds(150), 0
	for range n {
		a := w.policy(r, nil)
		if tried(t, w, known, r, a, w.policy(r, a), 12) {
			wider++
		}
		if same, err := diff.Compare(a, a); err != nil || !same.Same() || len(same.Services) > 0 {
			t.Fatalf("a policy differs from itself: %v\n%+v", err, a.Policy)
		}
	}
	if wider < n/10 || wider > n*9/10 {
		t.Errorf("%d of %d are wider: one answer is hardly tried", wider, n)
	}
}

// FuzzPolicies compares two policies that a fuzzer's bytes choose.
func FuzzPolicies(f *testing.F) {
	f.Add([]byte("\x01\x03\x00\x02\x10\x15\x04\x04\x01\x01\x01\x11\x00\x00\x03\x00\x00\x00\x01"))
	f.Add([]byte("a longer seed, whose bytes choose the rules and the clients of two policies that resemble each other"))
	w, known := newWorld(f), map[string][]seccomp.Rule{}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := byteSource(data)
		a := w.policy(&r, nil)
		tried(t, w, known, &r, a, w.policy(&r, a), 4)
	})
}

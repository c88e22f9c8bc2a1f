package score

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/diff"
	"casemate/policy/granted"
	"casemate/policy/lang"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/tests/need"
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func chance(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// site is one service with what it refers to.
type site struct {
	s policy.Service
	a acl.List
	l limit.Spec
	f sandbox.Profile
}

func (x *site) copy() *site {
	y := *x
	y.s.Listen, y.s.Groups = slices.Clone(x.s.Listen), slices.Clone(x.s.Groups)
	y.a.Rules = slices.Clone(x.a.Rules)
	for i := range y.a.Rules {
		r := &y.a.Rules[i]
		r.From, r.Except = slices.Clone(r.From), slices.Clone(r.Except)
	}
	y.l.Penalty.On = slices.Clone(x.l.Penalty.On)
	f := &y.f
	f.BestEffort, f.Capabilities = slices.Clone(f.BestEffort), slices.Clone(f.Capabilities)
	f.Network.Connect, f.Network.Bind = slices.Clone(f.Network.Connect), slices.Clone(f.Network.Bind)
	for _, list := range []*[]string{&f.Files.Read, &f.Files.Exec, &f.Files.Write, &f.Files.Devices, &f.Files.Dev, &f.Syscalls.Allow, &f.Syscalls.Deny} {
		*list = slices.Clone(*list)
	}
	f.Syscalls.ByArgument = slices.Clone(f.Syscalls.ByArgument)
	return &y
}

// filters are what lists of calls come to: most sites share theirs.
var filters = map[string]sandbox.Syscalls{}

// score is what the site's service comes to.
func (x *site) score(t testing.TB) *Score { return x.scoreOn(t, nil) }

func (x *site) scoreOn(t testing.TB, h *Host) *Score {
	t.Helper()
	doc := x.document(t)
	s, err := New(doc, nil).On(h).Service(&doc.Policy.Services[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// document is the site's policy.
func (x *site) document(t testing.TB) *policy.Document {
	t.Helper()
	x.f.Syscalls.Rules = nil
	p := &policy.Policy{Edition: 1, ACLs: []acl.List{x.a}, Limits: []limit.Spec{x.l}, Profiles: []sandbox.Profile{x.f}, Services: []policy.Service{x.s}}
	key := fmt.Sprint(x.f.Syscalls)
	words, ok := filters[key]
	if !ok {
		if err := calls.Fill(p, calls.Resolve); err != nil {
			t.Fatal(err)
		}
		words = p.Profiles[0].Syscalls
		filters[key] = words
	}
	p.Profiles[0].Syscalls, p.Filters = words, granted.Filters{words.Filter: words.Rules}
	return &policy.Document{Policy: p}
}

var (
	shipped  = lang.ShippedProfiles()
	patterns = []acl.Pattern{"any", "192.0.2.0/24", "10.0.0.0/8", "10.1.0.0/16", "127.0.0.0/8", "198.51.100.7", "0.0.0.0/1", "2001:db8::/32", "fd00::/8", "::1", "2000::/3", ".example.org", "www.example.org", "known", "unknown", "uid=7", "cid=3"}
	windows  = []string{"mon-fri 08:00-18:00", "sat,sun", "22:00-06:00", "mon", "mon-sun 00:00-12:00"}
	trees4   = []string{"/etc", "/etc/passwd", "/etc/ssl/private", "/usr", "/usr/lib", "/usr/lib/x", "/usr/bin", "/usr/bin/env", "/var", "/var/lib", "/var/lib/a/b", "/srv", "/srv/a", "/srv/a/b", "/home", "/home/x", "/opt/x"}
	words    = []string{"@socket-server", "@socket-unix", "ptrace", "chroot", "@jit", "io_uring_setup", "socket", "@netlink-route", "userfaultfd", "@file-write", "@process", "unshare"}
	listens  = []string{"tcp://:7001", "tcp4://:7002", "tcp6://:7003", "udp://:7004", "unix:/run/a", "unix:@b", "vsock:77", "tcp://127.0.0.1:7005", "tcp://192.0.2.1:7006"}
)

func listen(s string) (l address.Listen) {
	if err := l.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return l
}

func randomRule(r *rand.Rand, v acl.Verdict) acl.Rule {
	rule := acl.Rule{Verdict: v}
	for range 1 + r.IntN(3) {
		rule.From = append(rule.From, pick(r, patterns))
	}
	if chance(r, 4) {
		rule.Except = []acl.Pattern{pick(r, patterns[1:])}
	}
	if chance(r, 5) {
		rule.During, _ = civil.Parse(pick(r, windows))
	}
	if chance(r, 6) {
		rule.To = []netip.Prefix{netip.MustParsePrefix(pick(r, []string{"192.0.2.1/32", "10.0.0.0/8", "2001:db8::/32"}))}
	}
	return rule
}

func randomSite(r *rand.Rand) *site {
	x := &site{f: pick(r, shipped)}
	x.f.Name = "p"
	x.a = acl.List{Name: "a", Default: pick(r, []acl.Verdict{acl.Deny, acl.Deny, acl.Allow})}
	for range r.IntN(4) {
		x.a.Rules = append(x.a.Rules, randomRule(r, pick(r, []acl.Verdict{acl.Allow, acl.Allow, acl.Deny})))
	}
	n := func(most int) int { return r.IntN(3) * r.IntN(most) }
	x.l = limit.Spec{Name: "l", Concurrent: n(100), Session: time.Duration(n(1000)) * time.Second, FirstByte: time.Duration(n(50)) * time.Second, MinRate: n(1000),
		PerSource: limit.PerSource{Concurrent: n(20), Prefix4: 32, Prefix6: 64}}
	if chance(r, 2) {
		x.l.Rate, x.l.PerSource.Rate = limit.Rate{Events: 1 + r.IntN(100), Per: time.Second}, limit.Rate{Events: 1 + r.IntN(100), Per: time.Minute}
	}
	if chance(r, 2) {
		x.l.Penalty = limit.Penalty{On: limit.Classes[:r.IntN(3)], First: time.Second, Max: time.Minute}
	}
	x.s = policy.Service{Name: "s", Command: []string{"/bin/s"}, User: pick(r, []policy.Account{"root", "nobody", "dynamic"}), ACL: "a", Limit: "l", Profile: "p",
		Stdio: pick(r, []sandbox.Stdio{sandbox.StdioSocket, sandbox.StdioRelay}), Wait: chance(r, 4), Amplify: chance(r, 4)}
	if chance(r, 4) {
		x.s.Command, x.s.Builtin = nil, "echo"
		x.l.Responses, x.l.ResponsesTotal = limit.Rate{Events: 1 + r.IntN(10000), Per: time.Second}, limit.Rate{Events: 1 + r.IntN(100000), Per: time.Second}
	}
	for range 1 + r.IntN(3) {
		x.s.Listen = append(x.s.Listen, listen(pick(r, listens)))
	}
	if chance(r, 6) {
		x.s.Listen, x.a = []address.Listen{listen("unix:/run/a")}, acl.List{Name: "a", Default: acl.Allow}
	}
	if x.s.Socket.Mode = 0o600; chance(r, 2) {
		x.s.Socket.Mode = 0o666
	}
	x.s.Groups = [][]string{nil, {"adm"}, {"adm", "root"}}[r.IntN(3)]
	x = x.copy()
	f := &x.f
	for _, c := range sandbox.Capabilities {
		if chance(r, 6) && !slices.Contains(f.Capabilities, c) {
			f.Capabilities = append(f.Capabilities, c)
		}
	}
	for _, list := range []*[]string{&f.Files.Read, &f.Files.Exec, &f.Files.Write} {
		for range r.IntN(3) {
			if name := pick(r, trees4); !slices.Contains(slices.Concat(f.Files.Read, f.Files.Exec, f.Files.Write), name) {
				*list = append(*list, name)
			}
		}
	}
	for range r.IntN(3) {
		f.Syscalls.Allow = append(f.Syscalls.Allow, pick(r, words))
	}
	if chance(r, 3) {
		f.Network = sandbox.Network{Mode: sandbox.NetworkHost, Connect: [][]uint16{nil, {0}, {25, 443}}[r.IntN(3)], Bind: [][]uint16{nil, {0}, {80}}[r.IntN(3)]}
	}
	f.Files.HostProc = f.Files.Proc && chance(r, 3)
	if chance(r, 2) {
		f.BestEffort = append(f.BestEffort, pick(r, []string{"cgroup", "landlock.net"}))
	}
	return x
}

// narrowing are changes that grant less, or the same; false is one that this site has no room for.
var narrowing = map[string]func(*rand.Rand, *site) bool{
	"a deny rule in front": func(r *rand.Rand, x *site) bool {
		x.a.Rules = append([]acl.Rule{randomRule(r, acl.Deny)}, x.a.Rules...)
		return true
	},
	"a rule with except, to or during": func(r *rand.Rand, x *site) bool {
		i := slices.IndexFunc(x.a.Rules, func(a acl.Rule) bool { return a.Verdict == acl.Allow })
		if i < 0 || x.a.Default == acl.Allow || slices.ContainsFunc(x.a.Rules[i:], func(a acl.Rule) bool { return a.Verdict == acl.Deny }) {
			return false // what it no longer matches goes on to the rules behind
		}
		last := len(x.a.Rules) - 1
		rule := &x.a.Rules[last]
		switch r.IntN(3) {
		case 0:
			rule.Except = append(rule.Except, pick(r, patterns[1:]))
		case 1:
			if len(rule.To) > 0 {
				return false
			}
			rule.To = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		default:
			if len(rule.During) > 0 {
				return false
			}
			rule.During, _ = civil.Parse(pick(r, windows))
		}
		return true
	},
	"default deny": func(_ *rand.Rand, x *site) bool { x.a.Default = acl.Deny; return true },
	"no acl":       func(_ *rand.Rand, x *site) bool { x.s.ACL = ""; return true },
	"a listener less": func(r *rand.Rand, x *site) bool {
		if len(x.s.Listen) < 2 {
			return false
		}
		i := r.IntN(len(x.s.Listen))
		x.s.Listen = slices.Delete(x.s.Listen, i, i+1)
		return true
	},
	"a listener on one address": func(r *rand.Rand, x *site) bool {
		i := slices.IndexFunc(x.s.Listen, func(l address.Listen) bool { return l.Inet() && !l.Addr.IsValid() && l.Network != "tcp6" })
		if i >= 0 {
			x.s.Listen[i].Addr = netip.MustParseAddr(pick(r, []string{"127.0.0.1", "192.0.2.1"}))
		}
		return i >= 0
	},
	"a socket's mode": func(_ *rand.Rand, x *site) bool { x.s.Socket.Mode &= 0o600; return true },
	"limits": func(r *rand.Rand, x *site) bool {
		less := func(n *int) {
			if *n == 0 {
				*n = 1 + r.IntN(50)
			} else {
				*n = 1 + r.IntN(*n)
			}
		}
		switch r.IntN(10) {
		case 6:
			x.l.Responses.Events = 1 + r.IntN(max(1, x.l.Responses.Events))
			x.l.Responses.Per = max(x.l.Responses.Per, time.Second)
		case 7:
			x.l.ResponsesTotal.Events = 1 + r.IntN(max(1, x.l.ResponsesTotal.Events))
			x.l.ResponsesTotal.Per = max(x.l.ResponsesTotal.Per, time.Second)
		case 8:
			x.l.MinRate += r.IntN(100)
		case 9:
			n := int(x.l.FirstByte / time.Second)
			less(&n)
			x.l.FirstByte = time.Duration(n) * time.Second
		case 0:
			less(&x.l.Concurrent)
		case 1:
			less(&x.l.PerSource.Concurrent)
		case 2:
			n := int(x.l.Session / time.Second)
			less(&n)
			x.l.Session = time.Duration(n) * time.Second
		case 3:
			less(&x.l.Rate.Events)
			x.l.Rate.Per = max(x.l.Rate.Per, time.Second)
		case 4:
			less(&x.l.PerSource.Rate.Events)
			x.l.PerSource.Rate.Per = max(x.l.PerSource.Rate.Per, pick(r, []time.Duration{time.Second, time.Hour}))
		default:
			for _, c := range limit.Classes {
				if !slices.Contains(x.l.Penalty.On, c) {
					x.l.Penalty.On = append(x.l.Penalty.On, c)
					break
				}
			}
		}
		return true
	},
	"user": func(_ *rand.Rand, x *site) bool {
		x.s.User = map[policy.Account]policy.Account{"root": "nobody", "nobody": "dynamic", "dynamic": "dynamic"}[x.s.User]
		return true
	},
	"a group less": func(r *rand.Rand, x *site) bool { return drop(r, &x.s.Groups) },
	"amplify":      func(_ *rand.Rand, x *site) bool { x.s.Amplify = false; return true },
	"capability":   func(r *rand.Rand, x *site) bool { return drop(r, &x.f.Capabilities) },
	"best effort":  func(r *rand.Rand, x *site) bool { return drop(r, &x.f.BestEffort) },
	"a call denied": func(r *rand.Rand, x *site) bool {
		x.f.Syscalls.Deny = append(x.f.Syscalls.Deny, pick(r, []string{"execve", "socket", "@file-write", "connect", "mmap", "ptrace", "chroot", "fork", "openat", "@jit"}))
		return true
	},
	"a call by argument": func(r *rand.Rand, x *site) bool {
		i := slices.Index(x.f.Syscalls.Allow, "socket")
		if i >= 0 {
			x.f.Syscalls.Allow = slices.Delete(x.f.Syscalls.Allow, i, i+1)
			x.f.Syscalls.ByArgument = append(x.f.Syscalls.ByArgument, sandbox.SyscallRule{Name: "socket", Arg: 0, Values: []uint32{uint32(1 + r.IntN(17))}})
		}
		return i >= 0
	},
	"words of calls":   func(r *rand.Rand, x *site) bool { return drop(r, &x.f.Syscalls.Allow) },
	"no written code":  func(_ *rand.Rand, x *site) bool { x.f.Syscalls.NoWritten = true; return true },
	"kill":             func(_ *rand.Rand, x *site) bool { x.f.Syscalls.OnViolation = "kill"; return true },
	"seal":             func(_ *rand.Rand, x *site) bool { x.f.Syscalls.Seal = true; return true },
	"a path less":      func(r *rand.Rand, x *site) bool { return drop(r, pick(r, lists(x))) },
	"parts of a path":  func(r *rand.Rand, x *site) bool { return below(r, pick(r, lists(x)), 1+r.IntN(12)) },
	"a path read-only": func(r *rand.Rand, x *site) bool { return moved(r, pick(r, lists(x)[1:]), &x.f.Files.Read) },
	"a hole in a path": func(r *rand.Rand, x *site) bool {
		list := pick(r, lists(x)[1:])
		if len(*list) == 0 {
			return false
		}
		x.f.Files.Read = append(x.f.Files.Read, pick(r, *list)+"/hole")
		return true
	},
	"of files": func(r *rand.Rand, x *site) bool {
		f := &x.f.Files
		switch r.IntN(7) {
		case 0:
			f.Tmp /= 2
		case 1:
			f.Shm /= 2
		case 2:
			f.State = false
		case 3:
			f.Log = false
		case 4:
			f.HostProc = false
		case 5:
			f.Proc, f.HostProc = false, false
		default:
			f.Pty = false
		}
		return true
	},
	"network mode": func(_ *rand.Rand, x *site) bool {
		i := slices.Index(sandbox.NetworkModes, x.f.Network.Mode)
		x.f.Network = sandbox.Network{Mode: sandbox.NetworkModes[max(0, i-1)]}
		return i > 0
	},
	"ports": func(r *rand.Rand, x *site) bool {
		list := pick(r, []*[]uint16{&x.f.Network.Connect, &x.f.Network.Bind})
		switch {
		case len(*list) == 0:
			return false
		case (*list)[0] == 0:
			*list = []uint16{22, 25, 80}
		default:
			*list = (*list)[1:]
		}
		return true
	},
	"resources": func(r *rand.Rand, x *site) bool {
		i := r.IntN(len(x.f.Resources))
		if n := &x.f.Resources[i]; *n == 0 {
			*n = sandbox.ResourceRows[i].Max
		} else {
			*n = max(sandbox.ResourceRows[i].Min, *n/2)
		}
		return true
	},
	"user namespace": func(_ *rand.Rand, x *site) bool { x.f.UserNamespace = true; return true },
	"processor": func(r *rand.Rand, x *site) bool {
		p := &x.f.Processor
		i := r.IntN(3)
		v := []*string{&p.StoreBypass, &p.IndirectBranch, &p.Core}[i]
		*v = valid.Kept[i].Words[len(valid.Kept[i].Words)-1]
		return true
	},
}

func lists(x *site) []*[]string {
	return []*[]string{&x.f.Files.Read, &x.f.Files.Exec, &x.f.Files.Write}
}

func drop(r *rand.Rand, list *[]string) bool {
	if len(*list) == 0 {
		return false
	}
	i := r.IntN(len(*list))
	*list = slices.Delete(*list, i, i+1)
	return true
}

func below(r *rand.Rand, list *[]string, n int) bool {
	if len(*list) == 0 {
		return false
	}
	i := r.IntN(len(*list))
	name := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	for k := range n {
		*list = append(*list, fmt.Sprintf("%s/part%d", name, k))
	}
	return true
}

func moved(r *rand.Rand, from, to *[]string) bool {
	if len(*from) == 0 {
		return false
	}
	i := r.IntN(len(*from))
	*to = append(*to, (*from)[i])
	*from = slices.Delete(*from, i, i+1)
	return true
}

// TestNarrowedNeverScoresHigher: of random services, each narrowing by itself raises neither the score nor the value of an
// item; and every narrowing lowers something at least now and then, so that none is tried in vain but those that are not measured.
func TestNarrowedNeverScoresHigher(t *testing.T) {
	r := need.Random(2)
	lowered, raised := map[string]int{}, 0
	names := slices.Sorted(maps.Keys(narrowing))
	for range need.Rounds(60) {
		x := randomSite(r)
		before := x.score(t)
		for range 12 {
			name := pick(r, names)
			y := x.copy()
			if !narrowing[name](r, y) {
				continue
			}
			after := y.score(t)
			host := &Host{Ports: chance(r, 2), Controllers: []string{"memory", "pids", "cpu"}[:r.IntN(4)]}
			if a, b := x.scoreOn(t, host), y.scoreOn(t, host); b.exposure > a.exposure*(1+1e-12) {
				t.Errorf("%s on %+v: %.4f, was %.4f\nwas %+v\n is %+v", name, host, b.exposure, a.exposure, *x, *y)
			} else if a.exposure < before.exposure*(1-1e-12) || b.exposure < after.exposure*(1-1e-12) {
				t.Errorf("%s: on %+v it is less: %.4f and %.4f, not %.4f and %.4f", name, host, a.exposure, b.exposure, before.exposure, after.exposure)
			} else if b.exposure > after.exposure {
				raised++
			}
			if after.exposure > before.exposure*(1+1e-12) || after.Reach.Value > before.Reach.Value {
				t.Errorf("%s: %.4f, was %.4f (reach %.3f, was %.3f)\nwas %+v\n is %+v", name, after.exposure, before.exposure, after.Reach.Value, before.Reach.Value, *x, *y)
			}
			for i := range after.Items {
				if after.Items[i].Value > before.Items[i].Value {
					t.Errorf("%s: %s is %.3f, was %.3f\nwas %+v\n is %+v", name, after.Items[i].ID, after.Items[i].Value, before.Items[i].Value, *x, *y)
				}
			}
			if t.Failed() {
				return
			}
			if after.exposure < before.exposure {
				lowered[name]++
			}
		}
	}
	if raised < 20 {
		t.Errorf("hosts that lack something raise %d scores", raised)
	}
	if len(lowered) < len(names)-5 { // a score does not see a hole in a path, and some are rare
		t.Errorf("of %d narrowings %d lower a score: %v", len(names), len(lowered), lowered)
	}
}

// TestOrderOfDiff: of random pairs of policies, what policy/diff calls no wider never scores higher. The pairs are made by
// several narrowings, some of which are taken back.
func TestOrderOfDiff(t *testing.T) {
	r := need.Random(4)
	names := slices.Sorted(maps.Keys(narrowing))
	less, wider := 0, 0
	for range need.Rounds(50) {
		x := randomSite(r)
		y := x.copy()
		for range 1 + r.IntN(4) {
			narrowing[pick(r, names)](r, y)
		}
		if chance(r, 2) {
			narrowing[pick(r, names)](r, x)
		}
		report, err := diff.Compare(x.document(t), y.document(t))
		if err != nil {
			t.Fatal(err)
		}
		if report.MayWiden() {
			wider++
			continue
		}
		less++
		if a, b := x.score(t), y.score(t); b.exposure > a.exposure*(1+1e-12) {
			t.Fatalf("%.4f, was %.4f: %s %+v\nwas %+v\n is %+v", b.exposure, a.exposure, report.Verdict, report.Services, *x, *y)
		}
	}
	if less < 20 || wider < 10 {
		t.Errorf("%d pairs that are no wider, %d that are: hardly tried", less, wider)
	}
}

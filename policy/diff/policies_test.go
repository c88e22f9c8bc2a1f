package diff_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/diff"
	"casemate/policy/lang"
	"casemate/sandbox"
)

// compiled is the document of a policy's text.
func compiled(t testing.TB, text string) *policy.Document {
	t.Helper()
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte("policy { edition = 1 }\n" + text)}})
	if doc == nil {
		t.Fatalf("%+v\n%s", ds, text)
	}
	return doc
}

const office = `
acl "office" {
  deny { from = ["192.0.2.66"] }
  allow "staff" {
    from = ["192.0.2.0/24"]
  }
  default = "deny"
}
acl "any" {
  allow { from = ["any"] }
  default = "deny"
}
limit "few" {
  concurrent = 8
  rate       = "10/min"
  burst      = 5
  session    = "10m"
  per_source {
    concurrent = 2
    rate       = "6/min"
    burst      = 3
  }
}
profile "own" {
  base = profile.line
}
`

const finger = office + `
service "finger" {
  listen  = ["tcp://:79"]
  command = ["/usr/sbin/in.fingerd", "-w"]
  user    = "nobody"
  acl     = acl.office
  limit   = limit.few
  profile = profile.own
}
`

func compare(t testing.TB, a, b *policy.Document) *diff.Policies {
	t.Helper()
	p, err := diff.Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// words are all that is said of a difference.
func words(p *diff.Policies) string {
	var b strings.Builder
	for _, s := range p.Services {
		for _, d := range s.Dimensions {
			fmt.Fprintf(&b, "%s %s %s: +%q -%q ~%q .%q", s.Name, d.Name, d.Verdict, d.More, d.Less, d.Differs, d.Changed)
			for _, r := range d.Reach {
				fmt.Fprintf(&b, " [%s %s %s: %s]", r.Verdict, strings.Join(r.Clients, " "), r.When.String(), strings.Join(r.Witness.Flags(), " "))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// mirror is a verdict seen from the other side.
func mirror(v diff.Verdict) diff.Verdict {
	switch v {
	case diff.Widened:
		return diff.Narrowed
	case diff.Narrowed:
		return diff.Widened
	case diff.Added:
		return diff.Removed
	case diff.Removed:
		return diff.Added
	}
	return v
}

// mirrored holds a difference to the one the other way round.
func mirrored(t testing.TB, there, back *diff.Policies) {
	t.Helper()
	fail := func(what string) { t.Fatalf("%s\nthere:\n%s\nback:\n%s", what, words(there), words(back)) }
	if len(there.Services) != len(back.Services) {
		fail("services")
	}
	for i, s := range there.Services {
		o := back.Services[i]
		// Where something is other besides, more outweighs it and less does not.
		graver := slices.Contains([]diff.Verdict{diff.Widened, diff.Narrowed, diff.Incomparable}, s.Verdict) && slices.ContainsFunc(s.Dimensions, differs)
		if s.Name != o.Name || mirror(s.Verdict) != o.Verdict && !graver || len(s.Dimensions) != len(o.Dimensions) {
			fail(s.Name)
		}
		for k, d := range s.Dimensions {
			e := o.Dimensions[k]
			if d.Name != e.Name || len(d.More) != len(e.Less) || len(d.Less) != len(e.More) || len(d.Differs) != len(e.Differs) || len(d.Changed) != len(e.Changed) || len(d.Reach) != len(e.Reach) {
				fail(s.Name + " " + d.Name)
			}
			for _, r := range d.Reach {
				if !slices.ContainsFunc(e.Reach, func(q diff.Reach) bool {
					return mirror(r.Verdict) == q.Verdict && slices.Equal(r.Clients, q.Clients) && reflect.DeepEqual(r.When, q.When) && r.Witness.Old == q.Witness.New
				}) {
					fail(s.Name + " reach")
				}
			}
		}
	}
}

func differs(d diff.Dimension) bool { return len(d.Differs) > 0 }

// TestVerdicts: what a change of a policy's text comes to, and the other way round.
func TestVerdicts(t *testing.T) {
	old := compiled(t, finger)
	for _, c := range []struct {
		from, to string
		want     diff.Verdict
		dim, say string // one of the dimensions, and what is said of it
	}{
		{"192.0.2.66", "192.0.2.66", diff.Unchanged, "", ""},
		{`"192.0.2.0/24"`, `"192.0.2.128/25", "192.0.2.0/25"`, diff.Unchanged, "", ""},
		{`office`, `renamed`, diff.Unchanged, "", ""},
		{`"staff"`, `"people"`, diff.Unchanged, "", ""},
		{`["192.0.2.66"]`, `["192.0.2.0/25"]`, diff.Narrowed, "reach", "[narrowed 192.0.2.0/26 192.0.2.64/31 192.0.2.67 192.0.2.68/30 192.0.2.72/29 192.0.2.80/28 192.0.2.96/27 : 192.0.2.7]"},
		{`["192.0.2.66"]`, `["192.0.2.67"]`, diff.Mixed, "reach", "[widened 192.0.2.66 : 192.0.2.66] [narrowed 192.0.2.67 : 192.0.2.67]"},
		{`"192.0.2.0/24"`, `"192.0.2.0/24", ".example.org"`, diff.Widened, "reach", "named .example.org: 198.51.100.7 --name host.example.org]"},
		{`from = ["192.0.2.0/24"]`, "from = [\"192.0.2.0/24\"]\n during = [\"mon 08:00-18:00\"]", diff.Narrowed, "reach", "during mon 18:00-24:00, tue-sun, mon 00:00-08:00 UTC: 192.0.2.7 --at 2026-01-05T00:00:00Z]"},
		{`from = ["192.0.2.0/24"]`, "from = [\"192.0.2.0/24\"]\n to = [\"10.0.0.1\"]", diff.Narrowed, "reach", ", unknown: 192.0.2.7]"},
		{`from = ["192.0.2.0/24"]`, "from = [\"192.0.2.0/24\"]\n command = [\"/bin/cat\"]", diff.Incomparable, "command", `~["for 192.0.2.0/26, 192.0.2.64/31, 192.0.2.67, 192.0.2.68/30, 4 more: runs /bin/cat, was nothing of a rule's own"]`},
		{"acl     = acl.office", "acl = acl.any", diff.Widened, "reach", "[widened 0.0.0.0/1 "},
		{"acl     = acl.office", "", diff.Narrowed, "reach", "[narrowed 192.0.2.0/26 "},
		{`"tcp://:79"`, `"tcp://127.0.0.1:79"`, diff.Narrowed, "listeners", `-["tcp://:79"]`},
		{`"tcp://:79"`, `"tcp4://:79"`, diff.Narrowed, "listeners", `-["tcp://:79"]`},
		{`"tcp://:79"`, `"tcp://:79", "unix:/run/f.sock"`, diff.Widened, "listeners", `+["unix:/run/f.sock"]`},
		{`"tcp://:79"`, `"tcp://:80"`, diff.Mixed, "listeners", `+["tcp://:80"] -["tcp://:79"]`},
		{`user    = "nobody"`, `user = "daemon"`, diff.Incomparable, "identity", `~["user daemon, was nobody"]`},
		{`user    = "nobody"`, `user = "dynamic"`, diff.Narrowed, "identity", `-["user dynamic, was nobody"]`},
		{`user    = "nobody"`, "user = \"root\"\n because = \"so\"", diff.Widened, "identity", `+["user root, was nobody"]`},
		{`user    = "nobody"`, "user = \"nobody\"\n groups = [\"mail\"]", diff.Widened, "identity", `+["group mail"]`},
		{`concurrent = 8`, `concurrent = 9`, diff.Widened, "limits", `+["concurrent 9, was 8"]`},
		{`"10/min"`, `"600/h"`, diff.Unchanged, "", ""},
		{`"10/min"`, `"1/s"`, diff.Widened, "limits", `+["rate 1/s, was 10/min"]`},
		{`burst      = 5`, `burst = 4`, diff.Narrowed, "limits", `-["burst 4, was 5"]`},
		{`session    = "10m"`, "session = \"10m\"\nfirst_byte = \"20s\"", diff.Narrowed, "limits", `-["first_byte 20s, was unlimited"]`},
		{`session    = "10m"`, "session = \"10m\"\nmin_rate = \"1KiB/s\"", diff.Narrowed, "limits", `-["min_rate 1KiB/s, was none"]`},
		{`session    = "10m"`, `session = "1h"`, diff.Widened, "limits", `+["session 1h, was 10m"]`},
		{`base = profile.line`, `base = profile.strict`, diff.Narrowed, "seccomp", ""},
		{`base = profile.line`, "base = profile.line\n syscalls { deny = [\"getrandom\"] }", diff.Narrowed, "seccomp", `-["getrandom" "`},
		{`base = profile.line`, "base = profile.line\n widens = [\"syscalls\"]\n syscalls { allow = [\"@line\", \"ptrace\"] }", diff.Widened, "seccomp", `+["ptrace"]`},
		{`base = profile.line`, "base = profile.line\n files { read = [\"/etc/passwd\"] }", diff.Widened, "files", `+["read /etc/passwd"]`},
		{`base = profile.line`, "base = profile.line\n resources { open_files = 32 }", diff.Narrowed, "resources", `-["open_files 32, was 64"]`},
		{`"-w"`, `"-l"`, diff.Incomparable, "command", `~["runs /usr/sbin/in.fingerd -l, was /usr/sbin/in.fingerd -w"]`},
		{`limit   = limit.few`, "limit = limit.few\n log = \"refusals\"", diff.Incomparable, "other", `~["log refusals, was all"]`},
		{`limit   = limit.few`, "limit = limit.few\n banner = \"go away\"", diff.Changed, "other", `.["banner `},
		{`limit   = limit.few`, "limit = limit.few\n keep_socket = false", diff.Narrowed, "other", `-["keep_socket false, was true"]`},
		{`limit   = limit.few`, "limit = limit.few\n linger = \"5m\"", diff.Widened, "other", `+["linger 5m, was 1m"]`},
		{`limit   = limit.few`, "limit = limit.few\n linger = \"2s\"", diff.Narrowed, "other", `-["linger 2s, was 1m"]`},
		{`limit   = limit.few`, "limit = limit.few\n disable = true", diff.Removed, "reach", "[narrowed 192.0.2.0/26 "},
		{`service "finger"`, `service "other"`, diff.Added, "service", `+["runs /usr/sbin/in.fingerd -w" "user nobody" "profile own"]`},
	} {
		text := strings.ReplaceAll(finger, c.from, c.to)
		if text == finger && c.from != c.to {
			t.Fatalf("no %q", c.from)
		}
		new := compiled(t, text)
		p := compare(t, old, new)
		got := diff.Unchanged
		for _, s := range p.Services {
			if got == diff.Unchanged || s.Verdict == diff.Added {
				got = s.Verdict
			}
		}
		said := words(p)
		line := slices.IndexFunc(strings.Split(said, "\n"), func(l string) bool { return strings.Contains(l, " "+c.dim+" ") && strings.Contains(l, c.say) })
		if got != c.want || c.dim != "" && line < 0 {
			t.Errorf("%q to %q is %s, want %s with %s of %s:\n%s", c.from, c.to, got, c.want, c.say, c.dim, said)
		}
		if p.Same() != (got == diff.Unchanged) || p.MayWiden() != (got.MayWiden() || strings.Contains(said, "other service")) {
			t.Errorf("%q to %q: %s: same %v, may widen %v", c.from, c.to, got, p.Same(), p.MayWiden())
		}
		mirrored(t, p, compare(t, new, old))
		if again := compare(t, new, new); !again.Same() || len(again.Services) > 0 {
			t.Errorf("%q differs from itself", c.to)
		}
	}
}

// TestPrecedenceAndPlaces: what once passed a gate on more: a longer prefix of those who wait and of offenders, answers that are as often
// and more at once, who goes first on the host, another group than root's, and what the kernel keeps for clients. Who says the + of tcpmux
// is other, and grants nothing.
func TestPrecedenceAndPlaces(t *testing.T) {
	const queued = "limit \"few\" {\n concurrent = 8\n queue = \"2s\"\n per_source {\n ipv4_prefix = 24\n }\n}\n"
	const punished = "limit \"few\" {\n concurrent = 8\n penalty {\n on = [\"crash\"]\n first = \"1s\"\n max = \"9s\"\n }\n per_source {\n ipv4_prefix = 24\n }\n}\n"
	const served = "service \"s\" {\n listen = [\"tcp://:79\"]\n command = [\"/bin/cat\"]\n user = \"nobody\"\n acl = acl.anyone\n limit = limit.few\n nice = 5\n oom_score = 500\n}\n"
	const echo = "service \"e\" {\n listen = [\"udp://:7\"]\n builtin = \"echo\"\n acl = acl.anyone\n limit = limit.l\n}\nlimit \"l\" {\n responses = \"30/s\"\n}\n"
	const mux = "service \"m\" {\n listen = [\"tcp://:1\"]\n builtin = \"tcpmux\"\n acl = acl.anyone\n}\nservice \"s\" {\n listen = [\"tcpmux:one\"]\n command = [\"/bin/cat\"]\n user = \"nobody\"\n acl = acl.anyone\n}\n"
	const plain = "limit \"few\" {\n concurrent = 8\n}\nservice \"s\" {\n listen = [\"tcp://:79\"]\n command = [\"/bin/cat\"]\n user = \"nobody\"\n acl = acl.anyone\n limit = limit.few\n"
	const grouped = plain + " group = \"root\"\n because = \"it reads them\"\n}\n"
	const rooted = "limit \"few\" {\n concurrent = 8\n}\nservice \"s\" {\n listen = [\"tcp://:79\"]\n command = [\"/bin/cat\"]\n user = \"root\"\n because = \"it is told so\"\n acl = acl.anyone\n limit = limit.few\n}\n"
	able := strings.Replace(rooted, " user", " profile = profile.able\n user", 1) + "profile \"able\" {\n base = profile.files\n widens = [\"capabilities\"]\n because = \"it reads what others own\"\n capabilities = [\"CAP_DAC_OVERRIDE\"]\n}\n"
	const buffered = plain + " socket {\n backlog = 9\n send_buffer = \"32KiB\"\n receive_buffer = \"64KiB\"\n priority = 1\n }\n}\n"
	for _, c := range []struct {
		text, from, to string
		want           diff.Verdict
		say            string
	}{
		{queued + served, "ipv4_prefix = 24", "ipv4_prefix = 32", diff.Widened, `+["per_source ipv4_prefix 32, was 24"]`},
		{punished + served, "ipv4_prefix = 24", "ipv4_prefix = 32", diff.Widened, `+["per_source ipv4_prefix 32, was 24"]`},
		{punished + served, "ipv4_prefix = 24", "ipv4_prefix = 16", diff.Narrowed, `-["per_source ipv4_prefix 16, was 24"]`},
		{echo, "30/s", "1800/min", diff.Widened, `+["responses at once 3600, was 60"]`},
		{echo, "30/s", "1700/min", diff.Mixed, `+["responses at once 3400, was 60"] -["responses 1700/min, was 30/s"]`},
		{echo, "30/s", "31/s", diff.Widened, `+["responses 31/s, was 30/s"]`},
		{echo, "responses = \"30/s\"", "responses = \"30/s\"\n responses_total = \"2001/s\"", diff.Widened, `+["responses_total 2001/s, was 2000/s"]`},
		{echo, "responses = \"30/s\"", "", diff.Widened, `+["responses 50/s, was 30/s"]`},
		{echo, "responses = \"30/s\"", "responses = \"30/s\"\n per_source {\n ipv4_prefix = 16\n }", diff.Narrowed, `-["responses to each /16, was /24"]`},
		{queued + served, "concurrent = 8", "concurrent = 8\n responses = \"90/s\"", diff.Unchanged, ``},
		{queued + served, "nice = 5", "nice = \"-20\"", diff.Widened, `+["nice -20, was 5"]`},
		{queued + served, "nice = 5", "nice = 6", diff.Narrowed, `-["nice 6, was 5"]`},
		{queued + served, "oom_score = 500", "oom_score = 1", diff.Widened, `+["oom_score 1, was 500"]`},
		{queued + served, "oom_score = 500", "", diff.Widened, `+["oom_score none, was 500"]`},
		{queued + served, "nice = 5", "group = \"shadow\"", diff.Widened, `~["group shadow, was of the user"]`},
		{rooted, "root", "postgres", diff.Incomparable, `-["user postgres, was root"] ~["what postgres alone may touch: root may not, without CAP_DAC_OVERRIDE"]`},
		{rooted, "root", "dynamic", diff.Narrowed, `-["user dynamic, was root"]`},
		{able, "root", "postgres", diff.Narrowed, `-["user postgres, was root"]`},
		{grouped, "root", "shadow", diff.Incomparable, `~["group shadow, was root"]`},
		{grouped, "group = \"root\"", "", diff.Incomparable, `~["group of the user, was root"]`},
		{buffered, "64KiB", "128KiB", diff.Widened, `+["receive_buffer 128KiB, was 64KiB"]`},
		{buffered, "32KiB", "16KiB", diff.Narrowed, `-["send_buffer 16KiB, was 32KiB"]`},
		{buffered, "send_buffer = \"32KiB\"", "", diff.Incomparable, `~["send_buffer the host's, was 32KiB"]`},
		{buffered, "backlog = 9", "backlog = 10", diff.Widened, `+["backlog 10, was 9"]`},
		{buffered, "backlog = 9", "", diff.Widened, `+["backlog unlimited, was 9"]`},
		{buffered, "priority = 1", "priority = 6", diff.Widened, `+["priority 6, was 1"]`},
		{mux, "tcpmux:one", "tcpmux:+one", diff.Changed, `.["tcpmux:+one says its + otherwise"]`},
	} {
		text := strings.ReplaceAll(c.text, c.from, c.to)
		if text == c.text {
			t.Fatalf("no %q", c.from)
		}
		old, new := compiled(t, c.text), compiled(t, text)
		p := compare(t, old, new)
		if said := words(p); p.Verdict != c.want || !strings.Contains(said, c.say) {
			t.Errorf("%q to %q is %s, want %s with %s:\n%s", c.from, c.to, p.Verdict, c.want, c.say, said)
		}
		mirrored(t, p, compare(t, new, old))
	}
}

// TestCallsProve: each call that is shown is refused by the old filter and let through by the new one, and there is one for each call
// of which more is allowed.
func TestCallsProve(t *testing.T) {
	p := compare(t, compiled(t, finger), compiled(t, strings.Replace(finger, "base = profile.line", "base = profile.login", 1)))
	for _, d := range p.Services[0].Dimensions {
		if d.Name != "seccomp" {
			continue
		}
		shown := map[string]bool{}
		for _, c := range d.Calls {
			if c.New != "allowed" || c.Old == "allowed" {
				t.Errorf("%+v", c)
			}
			name, _, _ := strings.Cut(c.Call, "(")
			shown[name] = true
		}
		for _, line := range d.More {
			if name, _, _ := strings.Cut(line, "("); !strings.HasPrefix(name, "@") && !strings.Contains(name, " ") && !shown[name] {
				t.Errorf("no call shows %s", line)
			}
		}
		if len(d.Calls) < 20 || len(d.Differs) > 0 {
			t.Errorf("%d calls, differs %q", len(d.Calls), d.Differs)
		}
		return
	}
	t.Error("there is no dimension seccomp")
}

// TestKillIsShown: from kill to errno a call shows that the program goes on.
func TestKillIsShown(t *testing.T) {
	killing := strings.Replace(finger, "base = profile.line", "base = profile.line\n syscalls { on_violation = \"kill\" }", 1)
	p := compare(t, compiled(t, killing), compiled(t, finger))
	if d := p.Services[0].Dimensions[0]; d.Name != "seccomp" || len(d.Calls) != 1 || d.Calls[0].Old != "killed" || d.Calls[0].New != "EPERM" || p.Services[0].Verdict != diff.Widened {
		t.Errorf("%+v", p.Services[0])
	}
}

// fill gives every field below v another value than it has, one after the other, and calls do with the path of each.
func fill(v reflect.Value, path string, do func(path string)) {
	set := func(to any) {
		was := reflect.New(v.Type()).Elem()
		was.Set(v)
		v.Set(reflect.ValueOf(to).Convert(v.Type()))
		do(path)
		v.Set(was)
	}
	switch x := v.Interface().(type) {
	case []address.Listen:
		set([]address.Listen{{Network: "tcp", Port: 81, LastPort: 81}})
		return
	case address.Listen:
		set(address.Listen{Network: "tcp", Addr: netip.MustParseAddr("192.0.2.9"), Port: 80, LastPort: 80})
		return
	case sandbox.Syscalls, limit.Rate:
		return // compared by what they come to; see TestVerdicts
	case map[string]string:
		set(map[string]string{"A": "b"})
		return
	case []limit.Wider:
		set([]limit.Wider{{Prefix4: 8, Times: 3}})
		return
	case []netip.Prefix:
		set([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")})
		return
	case []limit.Class:
		set([]limit.Class{limit.Crash})
		return
	case time.Duration:
		set(x + time.Hour)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				fill(v.Field(i), path+"."+f.Name, do)
			}
		}
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 1, 1)
		switch e := list.Index(0); e.Kind() {
		case reflect.String:
			e.SetString("/other")
		case reflect.Uint16:
			e.SetUint(7)
		default:
			panic(path)
		}
		set(list.Interface())
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), fmt.Sprint(path, ".", i), do)
		}
	case reflect.String:
		switch {
		case strings.HasSuffix(path, ".StoreBypass"), strings.HasSuffix(path, ".IndirectBranch"):
			set("off")
		case strings.HasSuffix(path, ".Core"):
			set("session")
		default:
			set("other")
		}
	case reflect.Bool:
		set(!v.Bool())
	case reflect.Int, reflect.Int64:
		set(v.Int() + 77)
	case reflect.Uint32:
		set(v.Uint() + 77)
	default:
		if v.Type().String() != "hostpath.Map" {
			panic(path + " " + v.Type().String())
		}
		set(map[string]string{"/etc": "/srv"})
	}
}

// TestEveryFieldCounts: no field of a service, its limit or its profile is other without a word, but for names and what explains
// a profile, and none goes both ways past a gate on more, but for what grants nothing. One that is added is compared, or this fails.
func TestEveryFieldCounts(t *testing.T) {
	silent := []string{"service.Name", "service.Disable", "service.ACL", "service.Limit", "service.Profile", "limit.Name", "limit.Responses", "limit.ResponsesTotal", "profile.Name", "profile.Base", "profile.Widens", "profile.Because"}
	grantsNothing := []string{"service.Socket.Keepalive", "service.Socket.NoDelay", "service.Socket.TOS", "service.Says", "service.Because", "service.Banner", "service.BannerAccept", "service.BannerSuccess", "service.Refuse", "service.Retry"}
	old, new := compiled(t, finger), compiled(t, finger)
	n := 0
	for _, l := range []*limit.Spec{old.Policy.Limit("few"), new.Policy.Limit("few")} { // so that what stands beside something counts
		l.Queue, l.QueueLength = time.Second, 4
		l.Penalty = limit.Penalty{On: limit.Classes, First: time.Second, Max: time.Second}
	}
	for name, v := range map[string]any{"service": &new.Policy.Services[0], "limit": new.Policy.Limit("few"), "profile": new.Policy.Profile("own")} {
		fill(reflect.ValueOf(v).Elem(), name, func(path string) {
			n++
			if slices.Contains(silent, path) {
				return
			}
			p := compare(t, old, new)
			if p.Same() {
				t.Errorf("%s is other, and nothing is said", path)
			}
			if more := p.MayWiden() || compare(t, new, old).MayWiden(); more == slices.Contains(grantsNothing, path) {
				t.Errorf("%s: one way or the other it may be more: %v", path, more)
			}
		})
	}
	if n < 80 {
		t.Errorf("%d fields", n)
	}
	new.Policy.OnNarrow = "keep"
	if p := compare(t, old, new); len(p.Policy) != 0 {
		t.Errorf("the same in words: %+v", p)
	}
	new.Policy.OnNarrow = "end"
	if p := compare(t, old, new); len(p.Policy) != 1 || p.PolicyVerdict != diff.Narrowed || p.MayWiden() {
		t.Errorf("%+v", p)
	}
	if p := compare(t, new, old); p.PolicyVerdict != diff.Widened || !p.MayWiden() {
		t.Errorf("%+v", p)
	}
	new.Policy.OnNarrow = ""
	new.Policy.OnStop, new.Policy.OnBroken = "leave", "refuse"
	if p := compare(t, old, new); len(p.Policy) != 2 || p.PolicyVerdict != diff.Widened || !p.MayWiden() {
		t.Errorf("%+v", p)
	}
	if p := compare(t, new, old); p.PolicyVerdict != diff.Narrowed || p.Verdict != diff.Narrowed || p.MayWiden() {
		t.Errorf("%+v", p)
	}
	new.Policy.OnStop = old.Policy.OnStop
	if p := compare(t, old, new); len(p.Policy) != 1 || p.PolicyVerdict != diff.Changed || p.Verdict != diff.Changed || p.MayWiden() {
		t.Errorf("%+v", p)
	}
}

// TestWitnessOfWhatNeedsNoName: a list that answers a client alike whatever its name is may ask for that all the same, and then the
// witness has one. It was an internal error.
func TestWitnessOfWhatNeedsNoName(t *testing.T) {
	service := func(rules string) *policy.Document {
		return compiled(t, "acl \"a\" {\n"+rules+"default = \"allow\"\n}\n"+`
service "a" {
  listen  = ["tcp://:79"]
  command = ["/bin/cat"]
  user    = "nobody"
  acl     = acl.a
}
`)
	}
	open := service("")
	closed := service(`
  deny { from = ["known", "10.0.0.0/8"] }
  deny {
    from   = [".a.example", "2001:db8::/32"]
    except = [".a.example"]
  }
`)
	for _, pair := range [][2]*policy.Document{{open, closed}, {closed, open}} {
		p := compare(t, pair[0], pair[1])
		found := false
		for _, d := range p.Services[0].Dimensions {
			for _, r := range d.Reach {
				if slices.Equal(r.Clients, []string{"10.0.0.0/8", "2001:db8::/32"}) && r.When.Always() {
					found = true
					if r.Witness.Name != "unknown" || r.Witness.Old.Decision == r.Witness.New.Decision {
						t.Errorf("%+v", r.Witness)
					}
				}
			}
		}
		if !found {
			t.Errorf("%s", words(p))
		}
	}
}

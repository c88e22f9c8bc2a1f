package reach

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/decide"
	"casemate/tests/need"
)

// answer is what package decide makes of a client who comes to a list, if anybody of its kind does.
func answer(t testing.TB, l *acl.List, c decide.Client, of []Kind) Answer {
	if !slices.Contains(of, point(c).Kind) {
		return Answer{Verdict: acl.Deny}
	}
	d := matcher(t, l).Decide(c)
	a := Answer{Verdict: d.Verdict}
	if d.Rule >= 0 {
		a.Does = does(&l.Rules[d.Rule])
	}
	return a
}

// holds reads the words of circumstances, and what is said of names by the longest that is about one.
func holds(t *testing.T, w *Circumstances, c decide.Client) bool {
	t.Helper()
	if len(w.Names) > 0 {
		best, ok := -1, false
		say := func(words []string, is bool) {
			for _, n := range words {
				var hit bool
				switch {
				case c.Name.State != decide.Known:
					hit = n == map[decide.NameState]string{decide.Unknown: "unknown", decide.Paranoid: "paranoid", decide.NoAnswer: "no-answer"}[c.Name.State]
				default:
					hit = n == "known" || n == c.Name.Host || n[0] == '.' && strings.HasSuffix(c.Name.Host, n)
				}
				size := len(n)
				if n == "known" {
					size = 0
				}
				if hit && size > best {
					best, ok = size, is
				}
			}
		}
		say(w.Names, true)
		say(w.Except, false)
		if !ok {
			return false
		}
	}
	if len(w.To) > 0 && !slices.ContainsFunc(w.To, func(p string) bool {
		if p == "unknown" || !c.Local.IsValid() {
			return p == "unknown" && !c.Local.IsValid()
		}
		return parse(p).Contains(AtAddr(c.Local))
	}) {
		return false
	}
	if len(w.During) > 0 {
		spans, err := civil.Parse(w.During...)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(zones, func(z *acl.Zone) bool { return z == nil && w.Zone == "" || z != nil && z.Name == w.Zone })
		m := decide.Minute(zones[i], c.At)
		return slices.ContainsFunc(spans, func(s acl.Span) bool { return s[0] <= m && m < s[1] })
	}
	return true
}

// someKinds are nearly always all.
func someKinds(r *rand.Rand) (out []Kind) {
	for k := range kinds {
		if r.IntN(8) > 0 {
			out = append(out, k)
		}
	}
	return out
}

// variant is another list, or nearly the same one.
func variant(r *rand.Rand, l *acl.List) *acl.List {
	if r.IntN(3) == 0 {
		return randomList(r, pick(r, zones))
	}
	v := *l
	v.Rules = slices.Clone(l.Rules)
	for range 1 + r.IntN(2) {
		other := randomList(r, l.Zone)
		switch n := len(v.Rules); {
		case r.IntN(2) == 0 && n > 0:
			i := r.IntN(n)
			v.Rules = slices.Delete(v.Rules, i, i+1)
		case len(other.Rules) > 0:
			v.Rules = slices.Insert(v.Rules, r.IntN(n+1), other.Rules[0])
		}
	}
	return &v
}

// TestCompareAgainstDecide: clients whom two lists answer differently are in one Change, which says how, and others in none; each
// example is one of them; and the other way round it is the same.
func TestCompareAgainstDecide(t *testing.T) {
	r := need.Random(6)
	differed := 0
	for range need.Rounds(700) {
		a := randomList(r, pick(r, zones))
		b := variant(r, a)
		from, to := someKinds(r), someKinds(r)
		changes, err := NewComparer().Compare(a, b, from, to)
		if err != nil {
			t.Fatal(err)
		}
		fail := func(c decide.Client, was, is Answer) {
			text, _ := json.MarshalIndent([]any{a, b, changes, from, to}, "", " ")
			t.Fatalf("%+v: was %+v, is %+v\n%s", c, was, is, text)
		}
		for range 10 {
			c := randomClient(r)
			was, is := answer(t, a, c, from), answer(t, b, c, to)
			var in []Change
			sometimes := false
			for _, ch := range changes {
				if ch.Clients.Contains(point(c)) && holds(t, &ch.When, c) {
					sometimes = sometimes || ch.When.Sometimes
					if !ch.When.Sometimes || ch.Was == was && ch.Is == is {
						in = append(in, ch)
					}
				}
			}
			if was != is {
				differed++
				if len(in) != 1 || in[0].Was != was || in[0].Is != is {
					fail(c, was, is)
				}
			} else if len(in) != 0 {
				fail(c, was, is)
			}
		}
		for _, ch := range changes {
			c := ch.Example
			if c.At.IsZero() {
				c.At = begin
			}
			if c.Name.State == decide.NotAsked {
				c.Name.State = decide.Unknown
			}
			if was, is := answer(t, a, c, from), answer(t, b, c, to); was != ch.Was || is != ch.Is {
				fail(c, was, is)
			}
		}
		back, err := NewComparer().Compare(b, a, to, from)
		if err != nil || len(back) != len(changes) {
			t.Fatalf("%d changes, and back %d (%v)", len(changes), len(back), err)
		}
		for _, ch := range changes {
			if !slices.ContainsFunc(back, func(o Change) bool {
				return o.Was == ch.Is && o.Is == ch.Was && slices.Equal(o.Clients, ch.Clients) && reflect.DeepEqual(o.When, ch.When)
			}) {
				t.Fatalf("%+v is not in %+v", ch, back)
			}
		}
		if same, err := NewComparer().Compare(a, a, from, from); err != nil || len(same) != 0 {
			t.Fatalf("a list differs from itself: %+v (%v)", same, err)
		}
	}
	if differed < 500 {
		t.Errorf("%d differences: hardly tried", differed)
	}
}

// TestCircumstances are words as people read them.
func TestCircumstances(t *testing.T) {
	rule := func(v acl.Verdict, p ...acl.Pattern) acl.Rule { return acl.Rule{Verdict: v, From: p} }
	list := func(z *acl.Zone, rules ...acl.Rule) *acl.List {
		return &acl.List{Rules: rules, Default: acl.Deny, Zone: z}
	}
	during := func(r acl.Rule, w ...string) acl.Rule { r.During, _ = civil.Parse(w...); return r }
	to := rule(acl.Allow, "10.0.0.0/8")
	to.To = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	all := []Kind{IPv4, IPv6, User, Machine}
	for _, c := range []struct {
		was, is *acl.List
		want    []string
	}{
		{list(nil), list(nil, rule(acl.Allow, "10.0.0.0/8", "uid=5")), []string{"10.0.0.0/8 uid=5 []"}},
		{list(nil), list(nil, rule(acl.Allow, "any")), []string{"0.0.0.0/0 ::/0 uid=0-4294967294 cid=0-4294967294 []"}},
		{list(nil, rule(acl.Allow, "10.0.0.0/8", "10.1.0.0/16")), list(nil, rule(acl.Deny, "10.1.0.0/16"), rule(acl.Allow, "10.0.0.0/8")), []string{"10.1.0.0/16 []"}},
		{list(nil, rule(acl.Allow, "www.example.org")), list(nil, rule(acl.Allow, ".example.org")), []string{"0.0.0.0/0 ::/0 [named .example.org but not www.example.org]"}},
		{list(nil), list(nil, rule(acl.Allow, "known")), []string{"0.0.0.0/0 ::/0 [named known]"}},
		{list(nil), list(nil, rule(acl.Deny, ".evil.example"), rule(acl.Allow, "10.0.0.0/8")), []string{"10.0.0.0/8 [named unknown, paranoid, known but not .evil.example]"}},
		{list(nil), list(nil, during(rule(acl.Allow, "10.0.0.0/8"), "mon-fri 08:00-18:00")), []string{"10.0.0.0/8 [during mon-fri 08:00-18:00 UTC]"}},
		{list(zones[2]), list(zones[2], during(rule(acl.Allow, "10.0.0.0/8"), "sat,sun")), []string{"10.0.0.0/8 [during sat-sun Turn/Twice]"}},
		{list(nil), list(nil, to), []string{"10.0.0.0/8 [to 192.0.2.0/24]"}},
	} {
		changes, err := NewComparer().Compare(c.was, c.is, all, all)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ch := range changes {
			got = append(got, strings.Join(ch.Clients.Patterns(), " ")+" ["+ch.When.String()+"]")
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

package show_test

import (
	"bytes"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/explain"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/show"
	"casemate/sandbox"
)

// examples are the policies of the examples, by their directories.
func examples(t *testing.T) map[string]*policy.Document {
	t.Helper()
	files, out := map[string][]policy.SourceFile{}, map[string]*policy.Document{}
	err := filepath.WalkDir("../../examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, input.SourceSuffix) && !input.IsTable(path) {
			return err
		}
		data, err := os.ReadFile(path)
		files[filepath.Dir(path)] = append(files[filepath.Dir(path)], policy.SourceFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, list := range files {
		doc, ds := lang.Compile(list)
		if doc == nil {
			t.Fatalf("%s: %+v", dir, ds)
		}
		out[dir] = doc
	}
	return out
}

// substance is the canonical JSON of a policy without the bases of its profiles, which printing one may change.
func substance(t *testing.T, p *policy.Policy) string {
	t.Helper()
	q := *p
	q.Profiles = slices.Clone(p.Profiles)
	for i := range q.Profiles {
		q.Profiles[i].Base = nil
	}
	b, err := canon.Encode(&q)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEachServiceAlone: what is shown of one service of an example is a document that its readers take, and in text it
// compiles to the same service with the same acl, limit and profile.
func TestEachServiceAlone(t *testing.T) {
	tried := 0
	for dir, doc := range examples(t) {
		for _, list := range [][]policy.Service{doc.Policy.Services, doc.Policy.Disabled} {
			for i := range list {
				one, err := show.Select(doc, []string{list[i].Name})
				if err != nil {
					t.Fatalf("%s: %v", dir, err)
				}
				b, err := canon.EncodeDocument(one)
				if err != nil {
					t.Fatalf("%s: %v", dir, err)
				}
				read, err := canon.DecodeDocument(b)
				if err != nil {
					t.Fatalf("%s: %v", dir, err)
				}
				text, err := lang.EffectivePolicy(read)
				if err != nil {
					t.Errorf("%s: %s: %v", dir, list[i].Name, err)
					continue
				}
				again, ds := lang.Compile([]policy.SourceFile{{Name: "shown.cm.hcl", Data: text}})
				if again == nil || substance(t, again.Policy) != substance(t, one.Policy) {
					t.Errorf("%s: %s: another service (%+v)\n%s", dir, list[i].Name, ds, text)
				}
				tried++
			}
		}
	}
	if tried < 60 {
		t.Errorf("%d services: these are not the examples", tried)
	}
}

const site = `
policy { edition = 1 }
acl "office" {
  deny "bad" {
    from = ["192.0.2.66"]
  }
  allow "staff" {
    from    = ["192.0.2.0/24", "2001:db8::/32"]
    env     = { ROLE = "staff" }
    command = ["/bin/staff", "-s"]
  }
  allow {
    from   = [".example.org"]
    except = ["unknown", "paranoid"]
  }
}
limit "near" {
  per_source {
    rate        = "9/min"
    ipv4_prefix = 24
  }
}
profile "own" {
  base = profile.line
}
service "a" {
  listen  = ["tcp://:7001", "tcp4://127.0.0.1:7002", "tcp6://:7003", "unix:/run/a"]
  command = ["/bin/a"]
  user    = "dynamic"
  acl     = acl.office
  limit   = limit.near
  profile = profile.own
  env     = { TZ = "UTC" }
  banner  = "no"
}
service "b" {
  listen  = ["unix:/run/b", "tcpmux:+b"]
  command = ["/bin/b"]
  user    = "dynamic"
  acl     = acl.anyone
}
service "mux" {
  listen  = ["tcp://:tcpmux"]
  builtin = "tcpmux"
  acl     = acl.localhost
}
service "off" {
  listen  = ["tcp://:7009"]
  command = ["/bin/off"]
  user    = "dynamic"
  disable = true
}
`

func compile(t *testing.T) *policy.Document {
	t.Helper()
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "site.cm.hcl", Data: []byte(site)}})
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	return doc
}

func names[T any](list []T, of func(*T) string) string { return strings.Join(spelled(list, of), " ") }

func spelled[T any](list []T, of func(*T) string) (out []string) {
	for i := range list {
		out = append(out, of(&list[i]))
	}
	return out
}

// TestSelect: what is asked for is there with what it refers to, and nothing else; not even its origins.
func TestSelect(t *testing.T) {
	doc := compile(t)
	for asked, want := range map[string]string{
		"a":                     "office | near | own | a |",
		"service.b":             "anyone localhost | default | builtin strict | b mux |",
		"acl.office limit.near": "office | near | | |",
		"profile.own off":       "| default | own strict | | off",
	} {
		one, err := show.Select(doc, strings.Fields(asked))
		if err != nil {
			t.Fatal(err)
		}
		p := one.Policy
		service := func(s *policy.Service) string { return s.Name }
		got := []string{names(p.ACLs, func(l *acl.List) string { return l.Name })}
		for i := range p.Limits {
			got = append(got, p.Limits[i].Name)
		}
		text := names(p.ACLs, func(l *acl.List) string { return l.Name }) + " | " + strings.Join(got[1:], " ") + " | " +
			names(p.Profiles, func(f *sandbox.Profile) string { return f.Name }) + " | " + names(p.Services, service) + " | " + names(p.Disabled, service)
		if strings.Join(strings.Fields(text), " ") != want || len(p.Filters) > len(p.Profiles) {
			t.Errorf("%s: %q, want %q", asked, strings.Join(strings.Fields(text), " "), want)
		}
		b, err := canon.EncodeDocument(one)
		if err != nil || asked != "acl.office limit.near" && bytes.Contains(b, []byte(`"limits.near.`)) != strings.Contains(want, "near") {
			t.Errorf("%s: %s (%v)", asked, b, err)
		}
	}
	if all, err := show.Select(doc, nil); err != nil || all != doc {
		t.Errorf("nothing asked for is %p, not %p (%v)", all, doc, err)
	}
	for asked, want := range map[string]string{"acl.ofice": "did you mean acl.office?", "aa": "not in the policy", "profile.nothing": "it has: builtin, own, strict"} {
		if _, err := show.Select(doc, []string{asked}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", asked, err, want)
		}
	}
	for word, want := range map[string]bool{"a": true, "acl.x": true, "x.cm.hcl": false, "./a": false, "policy/": false, "-": false, "acl.": false, "service.b": true} {
		if show.Named(word) != want {
			t.Errorf("%q is a name: %v", word, !want)
		}
	}
}

// TestFor: what applies to a client is the rule that decides about it, and what that gives it.
func TestFor(t *testing.T) {
	doc := compile(t)
	ask := func(client, name string) (*policy.Document, string) {
		t.Helper()
		q := explain.Query{Name: name}
		if strings.HasPrefix(client, "uid=") {
			q.Peer = acl.Pattern(client)
		} else {
			q.Client = netip.MustParseAddr(client)
		}
		shown, list, err := show.For(doc, q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := canon.EncodeDocument(shown); err != nil {
			t.Errorf("%s: %v", client, err)
		}
		text := ""
		for _, c := range list {
			text += c.Service + " " + string(c.Decision)
			if c.NeedsName {
				text += " name?"
			}
			if c.Source != "" {
				text += " " + c.Source
			}
			if c.Sent != "" {
				text += " sent " + strings.TrimSpace(c.Sent)
			}
			text += "; "
		}
		return shown, text
	}
	shown, text := ask("192.0.2.5", "")
	a := shown.Policy.Service("a")
	if text != "a allow 192.0.2.0/24; b allow 192.0.2.5/32; mux deny; " || a == nil {
		t.Fatalf("%s", text)
	}
	if got := strings.Join(a.Command, " ") + a.Env["ROLE"] + a.Env["TZ"]; got != "/bin/staff -sstaffUTC" || len(a.Listen) != 1 || doc.Policy.Service("a").Env["ROLE"] != "" {
		t.Errorf("%s at %v", got, a.Listen)
	}
	l := shown.Policy.ACL("office")
	if len(l.Rules) != 1 || len(l.Rules[0].From) != 1 || l.Rules[0].From[0] != "192.0.2.0/24" || shown.Policy.Service("mux") != nil {
		t.Errorf("%+v", l)
	}
	for path, want := range map[string]string{"acls.office.rules.0.from.0": "site.cm.hcl:8:16", "services.a.command.1": "site.cm.hcl:10:", "services.a.env.ROLE": "site.cm.hcl:9:", "services.a.env.TZ": "site.cm.hcl:33:"} {
		if got := shown.Origins.Lookup(path); !strings.HasPrefix(got, want) {
			t.Errorf("%s is of %s, want %s", path, got, want)
		}
	}
	if shown, text = ask("192.0.2.66", ""); text != "a deny sent no; b allow 192.0.2.66/32; mux deny; " || shown.Policy.Service("a") != nil || shown.Policy.ACL("office").Rules[0].Name != "bad" {
		t.Errorf("%s: %+v", text, shown.Policy.ACLs)
	}
	if shown, text = ask("198.51.100.7", ""); !strings.HasPrefix(text, "a deny name? ") || len(shown.Policy.ACL("office").Rules) != 3 {
		t.Errorf("%s: %+v", text, shown.Policy.ACLs)
	}
	if shown, text = ask("198.51.100.7", "www.example.org"); !strings.HasPrefix(text, "a allow ") || len(shown.Policy.ACL("office").Rules) != 1 {
		t.Errorf("%s: %+v", text, shown.Policy.ACLs)
	}
	if shown, _ = ask("2001:db8::7", ""); len(shown.Policy.Service("a").Listen) != 2 {
		t.Errorf("%+v", shown.Policy.Service("a").Listen)
	}
	if _, text = ask("uid=7", ""); text != "a deny sent no; b allow; " {
		t.Error(text)
	}
	if _, _, err := show.For(doc, explain.Query{Peer: "cid=7"}); err == nil {
		t.Error("a machine comes to a policy without vsock")
	}
}

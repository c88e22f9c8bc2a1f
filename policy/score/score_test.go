package score

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/input"
	"casemate/policy/lang"
)

var update = flag.Bool("update", false, "rewrite testdata/examples.txt")

func compile(t testing.TB, name, text string) *policy.Document {
	t.Helper()
	doc, ds := lang.Compile([]policy.SourceFile{{Name: name + input.SourceSuffix, Data: []byte(text)}})
	if doc == nil {
		t.Fatalf("%s: %+v", name, ds)
	}
	return doc
}

// TestExamples holds the scores of all examples to the table of testdata: a change of weights or measures shows what it moves.
func TestExamples(t *testing.T) {
	files := map[string][]policy.SourceFile{}
	const root = "../../examples"
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
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
	var lines []string
	for dir, list := range files {
		doc, ds := lang.Compile(list)
		if doc == nil {
			t.Fatalf("%s: %+v", dir, ds)
		}
		all, err := New(doc, nil).All()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			rel, _ := filepath.Rel(root, dir)
			best := "-"
			if s.Best != nil {
				best = fmt.Sprintf("%s %.1f", s.Best.ID, s.Best.Score)
			}
			lines = append(lines, fmt.Sprintf("%-24s %-12s %4.1f %-8s reach %.2f points %6.2f best %s\n", rel, s.Service, s.Score, s.Band, s.Reach.Value, s.Points, best))
		}
	}
	slices.Sort(lines)
	got, file := strings.Join(lines, ""), filepath.Join("testdata", "examples.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	old := strings.SplitAfter(string(want), "\n")
	for _, l := range lines {
		if !slices.Contains(old, l) {
			t.Errorf("is:  %s", l)
		}
	}
	for _, l := range old {
		if !slices.Contains(lines, l) {
			t.Errorf("was: %s", l)
		}
	}
	t.Log("where that is meant: go test ./policy/score -run Examples -update")
}

const ends = `
policy { edition = 1 }
limit "none" {}
profile "wide" {
  base         = profile.login
  widens       = ["network", "capabilities", "files", "syscalls", "resources"]
  because      = "it is the worst that there is"
  capabilities = ["CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]
  network {
    mode    = "host"
    connect = ["any"]
    bind    = ["any"]
  }
  files {
    read  = ["/etc"]
    write = ["/home", "/var"]
  }
  syscalls {
    allow = ["@jit", "@socket-server"]
  }
}
service "root_telnet" {
  listen  = ["tcp://:23"]
  command = ["/usr/sbin/in.telnetd"]
  user    = "root"
  acl     = acl.anyone
  limit   = limit.none
  profile = profile.wide
}
service "local_daytime" {
  listen  = ["tcp://127.0.0.1:13"]
  builtin = "daytime"
  acl     = acl.localhost
}
service "closed_telnet" {
  listen  = ["tcp://:24"]
  command = ["/usr/sbin/in.telnetd"]
  user    = "root"
  limit   = limit.none
  profile = profile.wide
}
service "strict_public" {
  listen  = ["tcp://:25"]
  command = ["/bin/x"]
  user    = "dynamic"
  acl     = acl.anyone
}
`

func scored(t testing.TB, doc *policy.Document, w *Weights) map[string]*Score {
	t.Helper()
	all, err := New(doc, w).All()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*Score{}
	for i := range all {
		out[all[i].Service] = &all[i]
	}
	return out
}

// TestEnds: the scale has both of its ends, and what nobody reaches exposes nothing.
func TestEnds(t *testing.T) {
	all := scored(t, compile(t, "ends", ends), nil)
	for name, between := range map[string][2]float64{"root_telnet": {9.3, 10}, "local_daytime": {0, 1}, "closed_telnet": {0, 0}, "strict_public": {1.5, 4.5}} {
		if s := all[name].Score; s < between[0] || s > between[1] {
			t.Errorf("%s: %.1f, want %.1f to %.1f: %+v", name, s, between[0], between[1], all[name])
		}
	}
	if b := all["closed_telnet"].Best; b != nil {
		t.Errorf("what nobody reaches has a change that helps: %+v", b)
	}
	if all["root_telnet"].Band != "severe" || all["local_daytime"].Band != "low" {
		t.Errorf("bands %s and %s", all["root_telnet"].Band, all["local_daytime"].Band)
	}
}

// TestReach: who can come, as far as the listeners let them, and whom the acl admits.
func TestReach(t *testing.T) {
	for name, c := range map[string]struct {
		listen, acl string
		value       float64
		what        string
	}{
		"any":       {`"tcp://:1"`, `allow { from = ["any"] }`, 1, "anybody on the internet"},
		"nobody":    {`"tcp://:1"`, ``, 0, "nobody gets in"},
		"loopback":  {`"tcp://127.0.0.1:1"`, `allow { from = ["any"] }`, 0.1, "this host"},
		"localhost": {`"tcp://:1"`, `allow { from = ["127.0.0.0/8", "::1"] }`, 0.1, "this host"},
		"private":   {`"tcp4://:1"`, `allow { from = ["10.0.0.0/8"] }`, 0.325, "private networks"},
		"office":    {`"tcp4://:1"`, `allow { from = ["192.0.2.0/24"] }`, 0.55, "256 public IPv4 addresses"},
		"one":       {`"tcp4://:1"`, `allow { from = ["192.0.2.1"] }`, 0.419, "1 public IPv4 addresses"},
		"six":       {`"tcp6://:1"`, `allow { from = ["2001:db8::/48"] }`, 0.55, "2^80 public IPv6 addresses"},
		"other":     {`"tcp6://:1"`, `allow { from = ["192.0.2.0/24"] }`, 0, "nobody gets in"},
		"named":     {`"tcp4://:1"`, `allow { from = [".example.org"] }`, 0.7, "anybody on the internet; some by name, time or local address alone"},
		"sometimes": {`"tcp4://:1"`, "allow {\n from = [\"any\"]\n during = [\"mon\"]\n }", 0.7, "anybody on the internet; some by name, time or local address alone"},
		"denied":    {`"tcp4://:1"`, "deny { from = [\"0.0.0.0/0\"] }\nallow { from = [\"any\"] }", 0, "nobody gets in"},
		"unix":      {`"unix:/run/x"`, `allow { from = ["any"] }`, 0.027, "users of this host by a unix socket"},
		"abstract":  {`"unix:@x"`, `allow { from = ["any"] }`, 0.08, "users of this host by a unix socket"},
		"vsock":     {`"vsock:7"`, `allow { from = ["any"] }`, 0.1, "virtual machines"},
	} {
		text := fmt.Sprintf("policy { edition = 1 }\nacl \"a\" {\n%s\n}\nservice \"s\" {\n listen = [%s]\n command = [\"/bin/s\"]\n user = \"dynamic\"\n acl = acl.a\n}\n", c.acl, c.listen)
		if s := scored(t, compile(t, name, text), nil)["s"]; s.Reach.Value != c.value || s.Reach.What != c.what {
			t.Errorf("%s: %.3f %q, want %.3f %q", name, s.Reach.Value, s.Reach.What, c.value, c.what)
		}
	}
}

// TestPartsAreNoMoreThanTheWhole: of paths.
func TestPartsAreNoMoreThanTheWhole(t *testing.T) {
	many := func(of string) (out []string) {
		for i := range 100 {
			out = append(out, fmt.Sprintf("%s/%d", of, i))
		}
		return out
	}
	for _, kind := range []*trees{&toRead, &toExec, &toWrite, &toDevices} {
		for _, dir := range []string{"/etc", "/srv", "/usr", "/usr/lib", "/srv/a", "/srv/a/b", "/dev/snd"} {
			if parts, whole := kind.of(many(dir)), kind.of([]string{dir}); parts > whole {
				t.Errorf("%s: its parts %.3f, itself %.3f", dir, parts, whole)
			}
		}
		if kind.of(nil) != 0 || kind.of([]string{"/etc", "/usr"}) < kind.of([]string{"/etc"}) {
			t.Error("nothing is something, or more is less")
		}
	}
}

// TestBest: the change that helps most is one of the table, and no other item's fix helps more.
func TestBest(t *testing.T) {
	s := scored(t, compile(t, "ends", ends), nil)["root_telnet"]
	if s.Best == nil || s.Best.Score >= s.Score || s.Best.Fix == "" {
		t.Fatalf("%+v", s.Best)
	}
	local := strings.Replace(ends, "acl.anyone\n  limit   = limit.none", "acl.localhost\n  limit   = limit.none", 1)
	s = scored(t, compile(t, "local", local), nil)["root_telnet"]
	if s.Best == nil || s.Best.ID != "user" || s.Best.Fix != `write user = "dynamic"` {
		t.Fatalf("of a local service %+v", s.Best)
	}
	did := scored(t, compile(t, "did", strings.Replace(local, `user    = "root"`, `user    = "dynamic"`, 1)), nil)["root_telnet"]
	if did.Score != s.Best.Score {
		t.Errorf("with that change %.1f, and %.1f was told", did.Score, s.Best.Score)
	}
}

// TestWeights: weights are read as the tool writes them, in part as well, and what means nothing is refused.
func TestWeights(t *testing.T) {
	text, err := json.Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	if w, err := ParseWeights(text); err != nil || w.Half != half || len(w.Weights) != len(Items) {
		t.Errorf("%+v (%v)", w, err)
	}
	w, err := ParseWeights([]byte(`{"weights":{"user":0}}`))
	if err != nil {
		t.Fatal(err)
	}
	doc := compile(t, "ends", ends)
	usual, own := scored(t, doc, nil)["root_telnet"], scored(t, doc, w)["root_telnet"]
	if own.Points >= usual.Points || own.Score > usual.Score {
		t.Errorf("without the weight of root %.1f, with it %.1f", own.Score, usual.Score)
	}
	for text, want := range map[string]string{`{"weights":{"usr":1}}`: `did you mean "user"?`, `{"weights":{"user":-1}}`: "from 0 to 1000", `{"half":-1}`: "above 0", `{"format_version":2}`: "not known",
		`{"weight":{}}`: "unknown field", `x`: "invalid", `{} {}`: "after its end", `{"weights":{"zzzzzz":1}}`: "--items"} {
		if _, err := ParseWeights([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestCompare: what changed is told with the items that did it, and what is the same is not.
func TestCompare(t *testing.T) {
	was, err := New(compile(t, "was", ends), nil).All()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(strings.Replace(ends, `user    = "root"`, `user    = "dynamic"`, 1), `service "strict_public"`, `service "other"`, 1)
	is, err := New(compile(t, "is", text), nil).All()
	if err != nil {
		t.Fatal(err)
	}
	changes := Compare(was, is)
	var got []string
	for _, c := range changes {
		var items []string
		for _, it := range c.Items {
			items = append(items, it.ID)
		}
		got = append(got, fmt.Sprintf("%s %+.1f %s", c.Service, c.By(), strings.Join(items, ",")))
	}
	want := []string{fmt.Sprintf("other +%.1f ", *changes[0].New), fmt.Sprintf("root_telnet %+.1f user", changes[1].By()), fmt.Sprintf("strict_public -%.1f ", *changes[0].New)}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if same := Compare(was, was); len(same) != 0 {
		t.Errorf("nothing changed: %+v", same)
	}
}

// TestItems: each has what its row needs, once.
func TestItems(t *testing.T) {
	seen := map[string]bool{}
	for _, it := range Items {
		if seen[it.ID] || it.ID == "" || it.Doc == "" || it.Dimension == "" || it.Weight <= 0 || it.after < 0 || it.after >= 1 {
			t.Errorf("%+v", it)
		}
		seen[it.ID] = true
	}
}

func BenchmarkScore(b *testing.B) {
	var text strings.Builder
	text.WriteString("policy { edition = 1 }\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "acl \"a%[1]d\" {\n allow {\n from = [", i)
		for k := range 50 {
			fmt.Fprintf(&text, "\"10.%d.%d.%d\",", i/250, i%250, k)
		}
		fmt.Fprintf(&text, "]\n }\n}\nprofile \"p%[1]d\" {\n base = profile.server\n files { read = [\"/srv/%[1]d\"] }\n}\nservice \"s%[1]d\" {\n listen = [\"tcp://:%[2]d\"]\n command = [\"/bin/x\"]\n user = \"dynamic\"\n acl = acl.a%[1]d\n profile = profile.p%[1]d\n}\n", i, 1000+i)
	}
	doc := compile(b, "bulk", text.String())
	b.ResetTimer()
	for b.Loop() {
		if _, err := New(doc, nil).All(); err != nil {
			b.Fatal(err)
		}
	}
}

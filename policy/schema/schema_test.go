package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/policy/input"
	"casemate/policy/lang"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled is the schema as a strict validator reads it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := JSON()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("document.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("document.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// document is the compiled form of policy files.
func document(t *testing.T, files []policy.SourceFile) []byte {
	t.Helper()
	doc, ds := lang.Compile(files)
	if doc == nil {
		t.Fatalf("%s: %+v", files[0].Name, ds)
	}
	text, err := canon.EncodeDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestExamples: the schema holds the compiled form of every example, and of the design's own policy.
func TestExamples(t *testing.T) {
	s, dirs := compiled(t), map[string][]policy.SourceFile{}
	for _, top := range []string{"../../examples", "../lang/testdata"} {
		err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, input.SourceSuffix) && !strings.HasSuffix(path, input.BannerSuffix) && !input.IsTable(path) {
				return err
			}
			data, err := os.ReadFile(path)
			dirs[filepath.Dir(path)] = append(dirs[filepath.Dir(path)], policy.SourceFile{Name: path, Data: data})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tried := 0
	for dir, files := range dirs {
		if !slices.ContainsFunc(files, func(f policy.SourceFile) bool { return strings.HasSuffix(f.Name, input.SourceSuffix) }) {
			continue
		}
		doc, _ := lang.Compile(files)
		if doc == nil {
			continue // of a directory whose files stand alone each: those are tried by the examples' own tests
		}
		tried++
		if err := validate(s, document(t, files)); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if tried < 30 {
		t.Errorf("%d examples were tried of %d directories", tried, len(dirs))
	}
}

// whole is a policy that has something in nearly every field.
const whole = `policy { edition = 1 }
acl "a" {
  deny "x" { from = ["192.0.2.1", ".example.org"] }
  allow {
    from   = ["any"]
    except = ["198.51.100.0/24"]
    to     = ["203.0.113.0/24"]
    during = ["mon-fri 08:00-18:00"]
    env    = { A = "b" }
  }
  zone = "Europe/Berlin"
}
limit "l" {
  concurrent = 4
  rate       = "5/s"
  queue      = "2s"
  max_load   = "4.0"
  per_source { concurrent = 2 }
  penalty {
    on    = ["crash"]
    first = "1s"
    max   = "2s"
  }
}
profile "p" {
  because = "it must"
  widens  = ["network", "files", "syscalls"]
  network {
    mode    = "host"
    connect = ["https"]
  }
  files {
    read  = ["/etc/passwd"]
    exec  = ["/lib"]
    write = ["/srv"]
    tmp   = "1MiB"
    map   = { "/lib" = "/usr/lib" }
    dev   = ["null"]
  }
  syscalls {
    allow = ["@strict"]
    rule "socket" {
      arg    = 0
      values = [1]
    }
  }
  processor { core = "service" }
}
service "s" {
  listen  = ["tcp://:7001"]
  command = ["/bin/cat", "x"]
  user    = "nobody"
  env     = { B = "c" }
  dir     = "/tmp"
  banner  = "no"
  acl     = acl.a
  limit   = limit.l
  profile = profile.p
  socket { mark = 7 }
}
service "off" {
  listen  = ["unix:/run/x"]
  builtin = "qotd"
  says    = ["a"]
  disable = true
}
`

// refusedByStructure tells whether a document with this policy is refused for its shape, whatever its values are.
func refusedByStructure(tree any) (bool, error) {
	text, err := json.Marshal(tree)
	if err != nil {
		return false, err
	}
	return granted.Unmarshal(text, new(policy.Policy)) != nil, nil
}

// TestMutations: what package policy's decoder refuses of a policy for its shape the schema refuses as well, and all that is
// there must be there where the canonical form has it.
func TestMutations(t *testing.T) {
	s := compiled(t)
	var tree map[string]any
	text := document(t, []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(whole)}})
	if err := validate(s, text); err != nil {
		t.Fatalf("the whole policy: %v", err)
	}
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	p := tree["policy"].(map[string]any)
	filters := p["granted"].(map[string]any)["filters"].(map[string]any)
	for name := range filters { // most of the text, and of no interest
		filters[name] = []any{[]any{0.0, 1.0, 2.0, 3.0}}
	}
	tree["origins"] = map[string]any{"edition": "p.cm.hcl:1:1"}
	tried, refused := 0, 0
	judge := func(what string) {
		t.Helper()
		tried++
		structure, err := refusedByStructure(p)
		if err != nil {
			t.Fatal(err)
		}
		if !structure {
			return
		}
		refused++
		again, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if validate(s, again) == nil {
			t.Errorf("%s: the schema holds what is no policy", what)
		}
	}
	var walk func(at string, v any, put func(any))
	walk = func(at string, v any, put func(any)) {
		for _, other := range []any{"x", -1.5, 1e30, true, nil, []any{}, []any{"x"}, []any{map[string]any{}}, map[string]any{}, map[string]any{"no such field": 1.0}} {
			put(other)
			judge(fmt.Sprintf("%s = %v", at, other))
		}
		put(v)
		switch v := v.(type) {
		case map[string]any:
			v["no such field"] = 1.0
			judge(at + " with another field")
			delete(v, "no such field")
			for _, k := range slices.Sorted(maps.Keys(v)) {
				old := v[k]
				walk(at+"."+k, old, func(x any) { v[k] = x })
				v[k] = old
			}
		case []any:
			for i := range min(len(v), 1) {
				old := v[i]
				walk(fmt.Sprintf("%s.%d", at, i), old, func(x any) { v[i] = x })
				v[i] = old
			}
		}
	}
	walk("policy", p, func(any) {}) // the policy itself stays, for judge
	if refused < 500 {
		t.Errorf("%d of %d mutations are no policy", refused, tried)
	}
	// The document around it, and what canon.Encode never leaves out.
	for _, k := range []string{"format_version", "digest", "policy", "origins"} {
		old := tree[k]
		delete(tree, k)
		again, _ := json.Marshal(tree)
		if validate(s, again) == nil {
			t.Errorf("the schema holds a document without %s", k)
		}
		tree[k] = old
	}
	for _, k := range slices.Sorted(maps.Keys(p)) {
		old := p[k]
		delete(p, k)
		again, _ := json.Marshal(tree)
		if k != "disabled" && k != "machine" && validate(s, again) == nil {
			t.Errorf("the schema holds a policy without %s", k)
		}
		p[k] = old
	}
}

// TestDescribed: each attribute of the language whose value a document has is described there.
func TestDescribed(t *testing.T) {
	w := &writer{defs: Document()["$defs"].(node)}
	var walk func(at node, b *lang.Block)
	described, missing := 0, []string{}
	walk = func(at node, b *lang.Block) {
		if kind, _, _ := strings.Cut(b.Name, " "); blocks[kind] != nil {
			at = w.defs[blocks[kind].Name()].(node)
		}
		for i := range b.Attributes {
			a, place := &b.Attributes[i], at
			for _, step := range strings.Split(a.At(), ".") {
				if place = w.property(place, step); place == nil {
					missing = append(missing, b.Name+"."+a.Name)
					break
				}
			}
			if place != nil && (place["description"] != nil || place["$ref"] != nil) {
				described++
			} else if place != nil {
				t.Errorf("%s.%s is not described", b.Name, a.Name)
			}
		}
		for i := range b.Blocks {
			inner := &b.Blocks[i]
			walk(w.property(at, inner.Name), inner)
		}
	}
	for _, b := range lang.Reference() {
		if b.Name != "inetd" { // which is of entries, and compiled into services
			walk(nil, &b)
		}
	}
	// sockets become system calls, and a block with for_each several services; entries and services that are switched off are apart; waivers are
	// the checker's.
	want := []string{"network.sockets", `service "NAME".for_each`, `service "NAME".extends`, `service "NAME".disable`, `waiver "CM504".service`, `waiver "CM504".reason`, `waiver "CM504".expires`}
	if !slices.Equal(missing, want) {
		t.Errorf("without a place in the document: %q, want %q", missing, want)
	}
	if described < 100 {
		t.Errorf("%d attributes are described", described)
	}
}

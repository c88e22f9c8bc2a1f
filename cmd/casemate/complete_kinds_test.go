package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestKinds: what stands for an argument in a verb's Use says what completes it, and so do the values of flags.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	text := "policy { edition = 1 }\nacl \"own\" {\n  allow \"staff\" { from = [\"any\"] }\n}\nlimit \"few\" { concurrent = 2 }\nprofile \"mine\" {}\n" +
		"service \"echo\" {\n  listen = [\"tcp://:7\"]\n  builtin = \"echo\"\n  acl = acl.own\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "p.cm.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{out: &bytes.Buffer{}, err: &bytes.Buffer{}, control: filepath.Join(dir, "none")}
	a.hand([]string{"verb", "nonsense", dir})
	root := &cobra.Command{Use: "root"}
	for _, c := range []struct {
		use   string
		args  int
		want  []string // among others
		not   []string
		files bool
	}{
		{"v SERVICE CLIENT [PATH...]", 0, []string{"echo"}, nil, false},
		{"v SERVICE CLIENT [PATH...]", 1, nil, []string{"echo"}, false},
		{"v SERVICE CLIENT [PATH...]", 2, nil, []string{"echo"}, true},
		{"v SERVICE CLIENT [PATH...]", 7, nil, []string{"echo"}, true},
		{"v [SERVICE...] [PATH...]", 0, []string{"echo"}, nil, true},
		{"v [SERVICE...] [PATH...]", 3, []string{"echo"}, nil, true},
		{"v ACL", 0, []string{"own"}, []string{"echo"}, false},
		{"v ACL", 1, nil, []string{"own"}, false},
		{"v LIMIT", 0, []string{"few"}, nil, false},
		{"v PROFILE...", 4, []string{"mine", "strict"}, nil, false},
		{"v RULE", 0, []string{"acl.own.staff"}, nil, false},
		{"v DIGEST|PATH", 0, []string{"sha256:"}, nil, true},
		{"v [language|document]", 0, []string{"language", "document"}, nil, false},
		{"v SERVICE | --other PATH", 0, []string{"echo"}, nil, false},
		{"v SERVICE | --other PATH", 1, nil, []string{"echo"}, false},
		{"v [PATH...|-]", 0, nil, nil, true},
		{"v STRANGE", 0, nil, nil, true},
	} {
		words, more := a.kinds(root).complete(slotAt(slotsOf(c.use), c.args))
		has := func(w string) bool {
			return slices.ContainsFunc(words, func(got string) bool {
				return got == w || strings.HasPrefix(got, w+"\t") || w == "sha256:" && strings.HasPrefix(got, w)
			})
		}
		for _, w := range c.want {
			if !has(w) {
				t.Errorf("%s, argument %d: %q lacks %q", c.use, c.args, words, w)
			}
		}
		for _, w := range c.not {
			if has(w) {
				t.Errorf("%s, argument %d: %q has %q", c.use, c.args, words, w)
			}
		}
		if files := more == cobra.ShellCompDirectiveDefault; files != c.files {
			t.Errorf("%s, argument %d: files %v, want %v", c.use, c.args, files, c.files)
		}
	}
}

// own are the words whose verbs say themselves what completes them.
var own = []string{"A", "B", "CODE", "KIND", "NAME", "PREFIX", "RUN"}

// TestEveryArgumentIsKnown: of each verb, every word of its Use is a kind, or its own.
func TestEveryArgumentIsKnown(t *testing.T) {
	a := &app{}
	root := tree(t)
	known := a.kinds(root)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == completionVerb {
			return
		}
		for _, s := range slotsOf(c.Use) {
			for _, w := range s.words {
				if _, ok := known[w]; !ok && strings.ToUpper(w) == w && w != "-" && !slices.Contains(own, w) {
					t.Errorf("%s: nothing completes %s", c.CommandPath(), w)
				}
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if _, ok := c.GetFlagCompletionFunc(f.Name); !ok && slices.Contains([]string{"service", "profile", "acl", "limit", "digest"}, f.Name) {
				t.Errorf("%s: nothing completes --%s", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

package lang

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/input"
	"casemate/tests/need"
)

// laidOut are the policies of examples and of testdata, by their directories, without those that have texts over several
// lines, in which white space counts.
func laidOut(t *testing.T) map[string][]policy.SourceFile {
	t.Helper()
	dirs := map[string][]policy.SourceFile{"shipped": {{Name: "design.cm.hcl", Data: design(t)}}}
	err := filepath.WalkDir("../../examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, input.SourceSuffix) && !input.IsTable(path) {
			return err
		}
		data, err := os.ReadFile(path)
		dirs[filepath.Dir(path)] = append(dirs[filepath.Dir(path)], policy.SourceFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, files := range dirs {
		for _, f := range files {
			if bytes.Contains(f.Data, []byte("<<")) {
				delete(dirs, dir)
			}
		}
	}
	return dirs
}

// messed is a policy file with other white space, where that means nothing: between lines, at their ends, and around the
// first word of each and the sign after it.
func messed(r *rand.Rand, text []byte) []byte {
	space := func() string { return strings.Repeat(" ", r.IntN(4)) + strings.Repeat("\t", r.IntN(2)) }
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if word, rest, ok := strings.Cut(line, "="); ok && !strings.ContainsAny(word, "\"#{([/") {
			line = strings.TrimSpace(word) + space() + "=" + space() + strings.TrimSpace(rest)
		}
		b.WriteString(space() + line + space() + strings.Repeat("\n", 1+r.IntN(3)))
	}
	return []byte(b.String())
}

// TestLayoutKeepsThePolicy: a policy comes to the same, byte for byte, as it is written, with other white space, and laid
// out again. CASEMATE_RANDOM is how often each is tried.
func TestLayoutKeepsThePolicy(t *testing.T) {
	r := need.Random(1)
	n := need.Rounds(1)
	compiled := func(dir string, files []policy.SourceFile) []byte {
		doc, ds := Compile(files)
		if doc == nil {
			t.Fatalf("%s: %+v\n%s", dir, ds, files[0].Data)
		}
		b, err := canon.Encode(doc.Policy)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tried, moved := 0, 0
	for dir, files := range laidOut(t) {
		want := compiled(dir, files)
		for range n {
			other, again := append([]policy.SourceFile(nil), files...), append([]policy.SourceFile(nil), files...)
			for i, f := range files {
				if input.IsTable(f.Name) {
					continue
				}
				other[i].Data = messed(r, f.Data)
				out, ds := Format(other[i])
				if policy.HasErrors(ds) {
					t.Fatalf("%s: %+v", f.Name, ds)
				}
				again[i].Data = out
				if !bytes.Equal(out, other[i].Data) {
					moved++
				}
			}
			if !bytes.Equal(compiled(dir, other), want) || !bytes.Equal(compiled(dir, again), want) {
				t.Errorf("%s: white space changes what it comes to\n%s\n%s", dir, other[0].Data, again[0].Data)
			}
			tried++
		}
	}
	if tried < 30*n || moved < tried {
		t.Errorf("%d policies tried, %d files laid out anew", tried, moved)
	}
	t.Logf("%d policies, %d files laid out anew", tried, moved)
}

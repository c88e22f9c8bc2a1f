// Package editor answers what an editor asks about policies that somebody is writing: it knows texts, offsets and the
// language, and no protocol. A policy is a directory of files, of which some are as an editor holds them.
package editor

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"casemate/policy"
	"casemate/policy/granted"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/source"
)

// Workspace is the policies that an editor has open. Its methods may be called at the same time.
type Workspace struct {
	// Read gives the files of a directory as they are on disk.
	Read func(dir string) ([]policy.SourceFile, error)
	// Check compiles and judges a policy, as casemate check does.
	Check func([]policy.SourceFile) (*policy.Document, []policy.Diagnostic)
	// Services are the names of ports that this host knows.
	Services func() []string

	mu    sync.Mutex
	open  map[string][]byte           // by path
	valid map[string]*policy.Document // by directory: what last had no error
}

// Place is a part of a file.
type Place struct {
	File string
	At   lang.Span
}

// ReadDir is a Workspace's Read of the disk: what casemate check reads, but that a directory with no file of a policy,
// as that of a first one that is not saved yet, is no error.
func ReadDir(dir string) ([]policy.SourceFile, error) {
	entries, err := os.ReadDir(dir)
	if err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return strings.HasSuffix(e.Name(), input.SourceSuffix) || input.IsTable(filepath.Join(dir, e.Name()))
	}) {
		return nil, nil
	}
	return source.Read(dir)
}

// Set has the text of a file stand for what is on disk.
func (w *Workspace) Set(path string, text []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open, w.valid = map[string][]byte{}, map[string]*policy.Document{}
	}
	w.open[path] = text
}

// Close has what is on disk count again.
func (w *Workspace) Close(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, path)
}

// Open are the paths of open files, in order.
func (w *Workspace) Open() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.open))
}

// Text is a file's text: an open one's, or that on disk as far as it is of the policy of its directory.
func (w *Workspace) Text(path string) []byte {
	files, _ := w.files(filepath.Dir(path))
	for _, f := range files {
		if f.Name == path {
			return f.Data
		}
	}
	return nil
}

// files is the policy of a directory. An error is about what is on disk, and comes with what is open.
func (w *Workspace) files(dir string) ([]policy.SourceFile, error) {
	disk, err := w.Read(dir)
	w.mu.Lock()
	defer w.mu.Unlock()
	var files []policy.SourceFile
	for _, f := range disk {
		if _, ok := w.open[f.Name]; !ok {
			files = append(files, f)
		}
	}
	for path, text := range w.open {
		if filepath.Dir(path) == dir {
			files = append(files, policy.SourceFile{Name: path, Data: text})
		}
	}
	slices.SortFunc(files, func(a, b policy.SourceFile) int { return cmp.Compare(a.Name, b.Name) })
	return files, err
}

// Finding is a diagnostic with its place.
type Finding struct {
	policy.Diagnostic
	Place
}

// Diagnose judges the policy of a directory. Each of its files has an entry, also one without findings.
func (w *Workspace) Diagnose(dir string) map[string][]Finding {
	files, err := w.files(dir)
	out := map[string][]Finding{}
	for _, f := range files {
		out[f.Name] = nil
	}
	var doc *policy.Document
	var ds []policy.Diagnostic
	if len(files) > 0 {
		doc, ds = w.Check(files)
	}
	for _, d := range ds {
		i := slices.IndexFunc(files, func(f policy.SourceFile) bool { return f.Name == d.File })
		if i < 0 { // of the policy as a whole
			d.File, d.Line, d.Column, d.EndLine, d.EndColumn = files[0].Name, 1, 1, 1, 1
			i = 0
		}
		text := files[i].Data
		at := lang.Span{Start: lang.Offset(text, d.Line, d.Column), End: lang.Offset(text, d.EndLine, d.EndColumn)}
		at.End = max(at.End, at.Start)
		out[d.File] = append(out[d.File], Finding{d, Place{d.File, at}})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if doc != nil {
		w.valid[dir] = doc
	}
	if err != nil {
		for path := range w.open {
			if filepath.Dir(path) == dir {
				d := policy.Diagnostic{Severity: policy.SeverityWarning, Code: "CM001", Summary: "other files of this policy are left out: " + err.Error(), File: path}
				out[path] = append(out[path], Finding{d, Place{File: path}})
			}
		}
	}
	return out
}

// document is the last valid policy of a file's directory, or nil.
func (w *Workspace) document(path string) *policy.Document {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.valid[filepath.Dir(path)]
}

// scene is a policy's outlines, and where in one of its files somebody looks.
type scene struct {
	files    []policy.SourceFile
	parts    map[string][]*lang.Part
	mentions map[string][]lang.Mention

	path   string
	text   []byte
	offset int
	around []*lang.Part
	attr   *lang.Part
}

func (w *Workspace) scene(path string, offset int) *scene {
	s := &scene{parts: map[string][]*lang.Part{}, mentions: map[string][]lang.Mention{}, path: path}
	s.files, _ = w.files(filepath.Dir(path))
	for _, f := range s.files {
		s.parts[f.Name], s.mentions[f.Name] = lang.Outline(f)
		if f.Name == path {
			s.text = f.Data
		}
	}
	s.offset = min(max(offset, 0), len(s.text))
	s.around, s.attr = lang.Find(s.parts[path], s.offset)
	return s
}

// Symbols are the blocks and attributes of a file.
func (w *Workspace) Symbols(path string) []*lang.Part { return w.scene(path, 0).parts[path] }

// named is the block, or the local, that a name stands for: the kind and the name under the offset, where it is
// mentioned or is defined. ok is false for any other place.
func (s *scene) named() (kind, name string, at lang.Span, ok bool) {
	for _, m := range s.mentions[s.path] {
		if m.At.Holds(s.offset) && m.Name != "" || m.At.Start-len(m.Kind)-1 <= s.offset && s.offset < m.At.Start {
			return m.Kind, m.Name, m.At, true
		}
	}
	if n := len(s.around); n == 1 && s.around[0].Label != "" && s.around[0].LabelAt.Holds(s.offset) {
		return s.around[0].Kind, s.around[0].Label, s.around[0].LabelAt, true
	}
	if len(s.around) == 1 && s.around[0].Kind == "locals" && s.attr != nil && s.attr.Name.Holds(s.offset) {
		return "local", s.attr.Kind, s.attr.Name, true
	}
	return "", "", lang.Span{}, false
}

// definitions are where a name is given to a block or a local.
func (s *scene) definitions(kind, name string) (out []Place) {
	for _, f := range s.files {
		for _, p := range s.parts[f.Name] {
			if p.Kind == kind && p.Block && p.Label == name {
				out = append(out, Place{f.Name, p.LabelAt})
			}
			for _, in := range p.Inside {
				if kind == "local" && p.Kind == "locals" && in.Kind == name && !in.Block {
					out = append(out, Place{f.Name, in.Name})
				}
			}
		}
	}
	return out
}

// names are those of a kind that may be referred to: the policy's own and, behind them, shipped ones.
func (s *scene) names(kind string) []string {
	var own, more []string
	add := func(list *[]string, parts []*lang.Part) {
		for _, p := range parts {
			if p.Kind == kind && p.Block && p.Label != "" {
				*list = append(*list, p.Label)
			}
			for _, in := range p.Inside {
				if kind == "local" && p.Kind == "locals" && !in.Block {
					*list = append(*list, in.Kind)
				}
			}
		}
	}
	for _, f := range s.files {
		add(&own, s.parts[f.Name])
	}
	if kind != "service" {
		shipped, _ := lang.Outline(policy.SourceFile{Name: "base" + input.SourceSuffix, Data: lang.Shipped()})
		add(&more, shipped)
	}
	slices.Sort(own)
	slices.Sort(more)
	return append(slices.Compact(own), more...)
}

// Definition is where what is named at an offset is defined: none for what is shipped.
func (w *Workspace) Definition(path string, offset int) []Place {
	s := w.scene(path, offset)
	kind, name, _, ok := s.named()
	if !ok {
		return nil
	}
	return s.definitions(kind, name)
}

// Rename is all places of what is named at an offset. wrong says why it cannot get the name to.
func (w *Workspace) Rename(path string, offset int, to string) (places []Place, wrong string) {
	s := w.scene(path, offset)
	kind, name, _, ok := s.named()
	switch {
	case !ok:
		return nil, "nothing here has a name of its own"
	case len(s.definitions(kind, name)) == 0:
		return nil, kind + "." + name + " is not defined in this policy"
	case !granted.ValidName(to) || kind == "local" && strings.Contains(to, "-"):
		return nil, "a name is 1 to 63 lower-case letters, digits, _ and -, with a letter first"
	case slices.Contains(s.names(kind), to):
		return nil, kind + "." + to + " is there already"
	}
	places = s.definitions(kind, name)
	for _, f := range s.files {
		for _, m := range s.mentions[f.Name] {
			if m.Kind == kind && m.Name == name {
				places = append(places, Place{f.Name, m.At})
			}
		}
	}
	return places, ""
}

// Format is a file in its canonical layout; ok is false where it does not parse.
func (w *Workspace) Format(path string) (text []byte, ok bool) {
	out, ds := lang.Format(policy.SourceFile{Name: path, Data: w.Text(path)})
	return out, !policy.HasErrors(ds)
}

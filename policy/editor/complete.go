package editor

import (
	"regexp"
	"slices"
	"strings"

	"casemate/policy/lang"
	"casemate/sandbox/seccomp"
)

// Item is a word that may be written.
type Item struct {
	Label, About string
	Text         string // what is put in, in place of At
	At           lang.Span
	Block        bool // it begins one
}

// Complete is what may be written at an offset.
func (w *Workspace) Complete(path string, offset int) []Item {
	s := w.scene(path, offset)
	if s.attr != nil && s.offset >= s.attr.Value.Start && s.attr.Value.Start > 0 {
		return s.values(w.Services)
	}
	return s.words()
}

// wordBefore is the span of the word that ends at the offset.
func (s *scene) wordBefore(letter func(c byte) bool) lang.Span {
	from := s.offset
	for from > 0 && letter(s.text[from-1]) {
		from--
	}
	return lang.Span{Start: from, End: s.offset}
}

func letter(c byte) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// words are the attributes and blocks that the block around may have and has not.
func (s *scene) words() (out []Item) {
	at := s.wordBefore(letter)
	add := func(name, about string, block bool) {
		text := name + " = "
		if block {
			text = name + " {\n}"
			if name, _, labelled := strings.Cut(name, " "); labelled {
				text = name + ` "" {` + "\n}"
			}
		}
		label, _, _ := strings.Cut(name, " ")
		out = append(out, Item{Label: label, About: about, Text: text, At: at, Block: block})
	}
	if len(s.around) == 0 {
		for _, b := range lang.Reference() {
			add(b.Name, "", true)
		}
		add("locals", "", true)
		return out
	}
	rows := lang.RowsOf(s.around)
	if rows == nil {
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(s.around[len(s.around)-1].Inside, func(p *lang.Part) bool { return p.Kind == name && p != s.attr })
	}
	for i := range rows.Attributes {
		if a := &rows.Attributes[i]; !has(a.Name) {
			add(a.Name, a.About(), false)
		}
	}
	for _, b := range rows.Blocks {
		name, _, labelled := strings.Cut(b.Name, " ")
		if labelled || !has(name) {
			add(b.Name, "", true)
		}
		if name == "allow" {
			add("deny", "", true)
		}
	}
	return out
}

// refers is a reference up to where the cursor stands.
var refers = regexp.MustCompile(`\b(acl|limit|profile|local)\.([a-zA-Z0-9_-]*)$`)

// values are what the value of an attribute may be, or go on with.
func (s *scene) values(services func() []string) (out []Item) {
	before := s.text[s.attr.Value.Start:s.offset]
	if m := refers.FindSubmatch(before); m != nil && !inText(before) {
		return s.items(lang.Span{Start: s.offset - len(m[2]), End: s.offset}, s.names(string(m[1])), "", "")
	}
	var row lang.Attribute
	if rows := lang.RowsOf(s.around); rows != nil {
		if i := slices.IndexFunc(rows.Attributes, func(a lang.Attribute) bool { return a.Name == s.attr.Kind }); i >= 0 {
			row = rows.Attributes[i]
		}
	}
	words := row.Words
	switch inner := s.around; {
	case len(inner) > 0 && inner[len(inner)-1].Kind == "syscalls" && (row.Name == "allow" || row.Name == "deny"):
		words = slices.Concat(seccomp.Groups(), seccomp.Names())
	case row.Name == "connect" || row.Name == "bind":
		words = append([]string{"any"}, services()...)
	case row.Name == "listen" && inText(before):
		begun := s.wordBefore(func(c byte) bool { return c != '"' && c != '\n' })
		if text := string(s.text[begun.Start:begun.End]); strings.Contains(text, "://") {
			if i := strings.LastIndexByte(text, ':'); i > strings.Index(text, "://") {
				return s.items(lang.Span{Start: begun.Start + i + 1, End: s.offset}, services(), "", "")
			}
			return nil
		}
		return s.items(begun, []string{"tcp://:", "tcp4://:", "tcp6://:", "udp://:", "udp4://:", "udp6://:", "unix:/", "unixgram:/", "unixpacket:/", "vsock:", "tcpmux:"}, "", "")
	}
	if inText(before) {
		return s.items(s.wordBefore(func(c byte) bool { return letter(c) || c == '@' || c == '.' }), words, "", "")
	}
	at := s.wordBefore(func(c byte) bool { return letter(c) || c == '@' })
	for _, kind := range []string{"acl", "limit", "profile"} {
		if row.Name == kind || row.Name == "base" && kind == "profile" {
			out = append(out, s.items(at, s.names(kind), kind+".", "")...)
		}
	}
	if row.Kind() == "truth value" {
		out = append(out, s.items(at, []string{"true", "false"}, "", "")...)
	}
	out = append(out, s.items(at, words, `"`, `"`)...)
	out = append(out, s.items(at, s.names("local"), "local.", "")...)
	if row.Kind() == "list" {
		for _, f := range lang.Functions() {
			out = append(out, Item{Label: f.Name, About: f.Doc, Text: f.Name + "(", At: at})
		}
	}
	return out
}

func (s *scene) items(at lang.Span, words []string, before, behind string) (out []Item) {
	for _, w := range words {
		out = append(out, Item{Label: before + w + behind, Text: before + w + behind, At: at})
	}
	return out
}

// inText tells whether a value ends within quotes. ${ } in them is text here.
func inText(value []byte) bool {
	in := false
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '"':
			in = !in
		case '\n':
			in = false
		}
	}
	return in
}

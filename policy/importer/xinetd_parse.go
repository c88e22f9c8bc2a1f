package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"casemate/policy/input"
)

// xAttribute is one line of a section of xinetd.conf.
type xAttribute struct {
	file string
	line int
	text string
	name string // in lower case
	op   string // =, += or -=
	vals []string
}

// xSection is a service or the defaults.
type xSection struct {
	file  string
	line  int
	text  string
	name  string // "" for the defaults
	attrs []xAttribute
	wrong string // why it cannot be read
}

// xReader reads files and what they include.
type xReader struct {
	p        *page
	fsys     fs.FS
	stack    []string
	sections []*xSection
	size     int
	count    int
}

const (
	maxIncludes = 32   // deep
	maxFiles    = 1024 // in all
)

// path reads a file, or each file of a directory as includedir does.
func (r *xReader) path(name string, dir bool, by *xAttribute) {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if slices.Contains(r.stack, name) || len(r.stack) >= maxIncludes || r.count >= maxFiles {
		r.p.lost(by.file, by.line, by.text, "", "%s is not read: files include each other, or too many", name)
		return
	}
	info, err := fs.Stat(r.fsys, clean)
	if err == nil && info.IsDir() {
		r.dir(name, clean)
		return
	}
	if err == nil && dir {
		err = errors.New("not a directory")
	}
	var text []byte
	if err == nil {
		text, err = r.read(clean, info)
	}
	if err != nil {
		r.p.lost(by.file, by.line, by.text, "give what it includes as further files; of a copy of a host: casemate import host --root DIR", "%s is not read: %s", name, reason(err))
		return
	}
	r.stack = append(r.stack, name)
	r.p.files = append(r.p.files, name)
	r.text(name, string(text))
	r.stack = r.stack[:len(r.stack)-1]
}

// read reads a file of a bounded size.
func (r *xReader) read(name string, info fs.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if r.size += int(min(info.Size(), input.MaxSourceAll+1)); info.Size() > input.MaxSourceFile || r.size > input.MaxSourceAll {
		return nil, errors.New("too large")
	}
	r.count++
	return fs.ReadFile(r.fsys, name)
}

// reason is an error without the path.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// dir reads the files of a directory in byte order, without those that xinetd leaves out.
func (r *xReader) dir(name, clean string) {
	entries, err := fs.ReadDir(r.fsys, clean)
	if err != nil {
		r.p.files = append(r.p.files, name)
		r.p.lost(name, 0, "", "", "the directory is not read: %s", reason(err))
		return
	}
	for _, e := range entries {
		at := path.Join(name, e.Name())
		switch {
		case e.IsDir():
		case strings.Contains(e.Name(), ".") || strings.HasSuffix(e.Name(), "~"):
			r.p.files = append(r.p.files, at)
			r.p.note(at, 0, "", "", "xinetd does not read files with a dot in their name or ~ at the end")
		default:
			r.path(at, false, &xAttribute{file: at})
		}
	}
}

// text reads sections and includes.
func (r *xReader) text(file, text string) {
	var in *xSection
	opened := false
	lines := strings.Split(text, "\n")
	if first := inetdLine(lines); first > 0 {
		r.foreign(file, lines, first)
		return
	}
	for i, raw := range lines {
		line := strings.TrimSpace(raw)
		at := xAttribute{file: file, line: i + 1, text: line}
		switch {
		case line == "":
		case line[0] == '#':
			r.p.begin(file, i+1, line)
			r.p.comment("%s:%d: %s", file, i+1, line)
		case in == nil:
			in = r.top(&at)
			opened = false
		case !opened:
			if opened = line == "{"; !opened {
				in.wrong = fmt.Sprintf("line %d should be a {", i+1)
				opened = true
			}
		case line == "}":
			r.sections, in = append(r.sections, in), nil
		default:
			at.parse(in)
		}
	}
	if in != nil {
		in.wrong = "it does not end with a }"
		r.sections = append(r.sections, in)
	}
}

// inetdLine is the number of the first line that only an inetd.conf has, in a text that has no
// section; 0 is none.
func inetdLine(lines []string) (first int) {
	for i, l := range lines {
		words := strings.Fields(l)
		switch {
		case len(words) == 0 || words[0][0] == '#':
		case words[0] == "service" || words[0] == "defaults" || strings.HasPrefix(words[0], "include"):
			return 0
		case first == 0 && len(words) > 5 && slices.Contains([]string{"stream", "dgram"}, words[1]):
			first = i + 1
		}
	}
	return first
}

// foreign carries an inetd.conf over as comments.
func (r *xReader) foreign(file string, lines []string, first int) {
	r.p.begin(file, first, lines[first-1])
	for i, l := range lines {
		if strings.TrimSpace(l) != "" {
			r.p.comment("%s:%d: %s", file, i+1, l)
		}
	}
	r.p.lost(file, first, lines[first-1], "casemate import inetd "+file, "the file looks like an inetd.conf, and xinetd knows none of its lines")
}

// top reads a line outside sections.
func (r *xReader) top(at *xAttribute) *xSection {
	words := strings.Fields(at.text)
	s := &xSection{file: at.file, line: at.line, text: at.text}
	switch {
	case words[0] == "defaults":
		if len(words) > 1 {
			s.wrong = "there is more than defaults on its line"
		}
		return s
	case words[0] == "service":
		if len(words) != 2 {
			s.wrong = "the line is not service and a name, with { on the next line"
		}
		s.name = strings.Join(words[1:], " ")
		if s.name == "" {
			s.name = "?"
		}
		return s
	case len(words) == 2 && (words[0] == "include" || words[0] == "includedir"):
		r.p.begin(at.file, at.line, at.text)
		r.p.comment("%s:%d: %s", at.file, at.line, at.text)
		r.path(words[1], words[0] == "includedir", at)
	default:
		r.p.lost(at.file, at.line, at.text, "write service, defaults, include or includedir", "the line is outside of a section, and xinetd does not know it")
	}
	return nil
}

// parse reads an attribute into its section.
func (a *xAttribute) parse(in *xSection) {
	words := strings.Fields(cutEqual(a.text))
	if len(words) < 2 || words[1] != "=" && words[1] != "+=" && words[1] != "-=" {
		if in.wrong == "" {
			in.wrong = fmt.Sprintf("line %d is not attribute = value", a.line)
		}
		a.name = "?"
	} else {
		a.name, a.op, a.vals = strings.ToLower(words[0]), words[1], words[2:]
	}
	in.attrs = append(in.attrs, *a)
}

// cutEqual puts blanks around the first assignment of a line, and leaves the value alone.
func cutEqual(s string) string {
	i := strings.IndexByte(s, '=')
	if i < 0 {
		return s
	}
	from := i
	if i > 0 && (s[i-1] == '+' || s[i-1] == '-') {
		from--
	}
	return s[:from] + " " + s[from:i+1] + " " + s[i+1:]
}

package importer

import (
	"fmt"
	"strings"
)

// sdUnit is a unit file of systemd.
type sdUnit struct {
	file  string
	name  string // without its directory
	lines []string
	sets  []sdSet
}

// sdSet is one assignment.
type sdSet struct {
	file, section, key, value string
	line                      int
	text                      string
}

// parseUnit reads a unit file: sections, assignments, lines that a backslash joins.
func parseUnit(file, name, text string, wrong func(line int, text, why string)) *sdUnit {
	u := &sdUnit{file: file, name: name}
	section, joined, first := "", "", 0
	for i, raw := range strings.Split(text, "\n") {
		line := strings.TrimSpace(raw)
		if line != "" {
			u.lines = append(u.lines, fmt.Sprintf("%s:%d: %s", file, i+1, line))
		}
		if line != "" && (line[0] == '#' || line[0] == ';') || line == "" && joined == "" {
			continue
		}
		if joined == "" {
			first = i + 1
		}
		if before, ok := strings.CutSuffix(line, `\`); ok {
			joined += before + " "
			continue
		}
		line, joined = joined+line, ""
		switch key, value, ok := strings.Cut(line, "="); {
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		case !ok || section == "":
			wrong(first, line, "it is not name=value in a section")
		default:
			u.sets = append(u.sets, sdSet{file, section, strings.TrimSpace(key), strings.TrimSpace(value), first, line})
		}
	}
	if joined != "" {
		wrong(first, joined, "the file ends within it")
	}
	return u
}

// sdWords splits a command line or a list of assignments, as systemd quotes them. why says
// what of it is not to be had; words that are there then have specifiers in them.
func sdWords(s string) (out []string, why string) {
	var b strings.Builder
	quote, begun := byte(0), false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			if i++; i == len(s) {
				return nil, "it ends in a backslash"
			}
			plain, ok := map[byte]byte{'n': '\n', 't': '\t', 's': ' ', '\\': '\\', '"': '"', '\'': '\''}[s[i]]
			if !ok {
				return nil, fmt.Sprintf("the escape \\%c is not known here", s[i])
			}
			b.WriteByte(plain)
			begun = true
		case c == '%':
			if i++; i == len(s) {
				return nil, "it ends in a %"
			}
			if b.WriteByte('%'); s[i] != '%' {
				why = "specifiers such as %i are not known here"
				b.WriteByte(s[i])
			}
			begun = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, begun = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if begun {
				out = append(out, b.String())
				b.Reset()
				begun = false
			}
		default:
			b.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, "a quote is not closed"
	}
	if begun {
		out = append(out, b.String())
	}
	return out, why
}

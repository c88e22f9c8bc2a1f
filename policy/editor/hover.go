package editor

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/lang"
)

// mostLines is how many values of a block are shown.
const mostLines = 60

// Hover is what there is to say of an offset, in Markdown, and what it is about; "" is nothing.
func (w *Workspace) Hover(path string, offset int) (text string, at lang.Span) {
	s, doc := w.scene(path, offset), w.document(path)
	if kind, name, at, ok := s.named(); ok {
		return s.near(blockText(doc, kind, name)), at
	}
	if s.attr == nil || !s.attr.Name.Holds(s.offset) && !s.attr.Value.Holds(s.offset) {
		return "", at
	}
	rows := lang.RowsOf(s.around)
	if rows == nil {
		return "", at
	}
	i := slices.IndexFunc(rows.Attributes, func(a lang.Attribute) bool { return a.Name == s.attr.Kind })
	if i < 0 {
		return "", at
	}
	a := &rows.Attributes[i]
	text = fmt.Sprintf("```hcl\n%s = %s\n```\n%s\n", a.Name, a.Example, plain(a.About()))
	if a.Layer != "" {
		text += fmt.Sprintf("\nWhat grants more than the base needs `widens = [%q]`.\n", a.Layer)
	}
	if kind, name, below := s.place(); doc != nil && kind != "" {
		steps := append(below, strings.Split(a.At(), ".")...)
		if v, ok := value(block(doc, kind, name), steps); ok {
			text += "\n" + s.near(effective(doc, strings.Join(append([]string{kind + "s", name}, steps...), "."), steps[len(steps)-1], v)) + "\n"
		}
	}
	return text, s.attr.Name
}

// near leaves the directory out of the names of the policy's own files.
func (s *scene) near(text string) string {
	return strings.ReplaceAll(text, filepath.Dir(s.path)+string(filepath.Separator), "")
}

// place is the named block around, and the steps from there to the inner one in the canonical JSON.
func (s *scene) place() (kind, name string, below []string) {
	if len(s.around) == 0 || s.around[0].Label == "" {
		return "", "", nil
	}
	top := s.around[0]
	for i, p := range s.around[1:] {
		if p.Kind == "allow" || p.Kind == "deny" {
			n := 0
			for _, in := range s.around[i].Inside {
				if in == p {
					break
				}
				if in.Block && (in.Kind == "allow" || in.Kind == "deny") {
					n++
				}
			}
			below = append(below, "rules", strconv.Itoa(n))
			continue
		}
		below = append(below, p.Kind)
	}
	return top.Kind, top.Label, below
}

// block is the canonical JSON of a named block, nil where there is none of that name.
func block(doc *policy.Document, kind, name string) any {
	var v any
	switch p := doc.Policy; kind {
	case "acl":
		v = p.ACL(name)
	case "limit":
		v = p.Limit(name)
	case "profile":
		v = p.Profile(name)
	case "service":
		if v = p.Service(name); p.Service(name) == nil {
			v = explain.Disabled(p, name)
		}
	}
	var tree any
	if b, err := json.Marshal(v); err != nil || json.Unmarshal(b, &tree) != nil {
		return nil
	}
	return tree
}

// value is what stands at the end of the steps.
func value(v any, steps []string) (any, bool) {
	for _, step := range steps {
		switch at := v.(type) {
		case map[string]any:
			if v = at[step]; v == nil {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// effective is a value of the compiled policy and where it was written.
func effective(doc *policy.Document, path, name string, v any) string {
	origin := doc.Origins.Lookup(path)
	if origin == "" {
		origin = doc.Origins.Lookup(path + ".0") // of a list, its first item's
	}
	return fmt.Sprintf("In force: %s, from %s", code(show(name, v)), plain(origin))
}

// show writes a value of that name for people.
func show(name string, v any) string {
	if n, ok := v.(float64); ok {
		if strings.HasSuffix(name, "_ns") {
			return explain.FormatDuration(time.Duration(n))
		}
		if name == "umask" || name == "mode" {
			return fmt.Sprintf("%04o", int(n))
		}
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if len(b) > 400 {
		return string(b[:400]) + "..."
	}
	return string(b)
}

// blockText shows what a block comes to, each value with where it is from.
func blockText(doc *policy.Document, kind, name string) string {
	title := fmt.Sprintf("**%s.%s**\n", kind, plain(name))
	if doc == nil || kind == "local" {
		return title
	}
	tree, _ := block(doc, kind, name).(map[string]any)
	var lines []string
	var walk func(at map[string]any, path, shown string)
	walk = func(at map[string]any, path, shown string) {
		for _, k := range slices.Sorted(maps.Keys(at)) {
			if inner, ok := at[k].(map[string]any); ok {
				walk(inner, path+"."+k, shown+k+".")
			} else if k != "name" {
				origin := doc.Origins.Lookup(path + "." + k)
				lines = append(lines, fmt.Sprintf("%s%s = %s  # %s", shown, k, show(k, at[k]), origin))
			}
		}
	}
	walk(tree, kind+"s."+name, "")
	if more := len(lines) - mostLines; more > 0 {
		lines = append(lines[:mostLines], fmt.Sprintf("# and %d more", more))
	}
	if len(lines) == 0 {
		return title
	}
	return title + "```\n" + strings.ReplaceAll(strings.Join(lines, "\n"), "```", "'''") + "\n```\n"
}

// plain is a text of a policy in Markdown, where it is no markup.
func plain(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "[", `\[`, "<", "&lt;", "`", "\\`", "\n", " ").Replace(text)
}

func code(text string) string {
	return "`" + strings.NewReplacer("`", "'", "\n", " ").Replace(text) + "`"
}

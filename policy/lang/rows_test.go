package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/valid"
)

// companions are what an attribute must have beside it to mean something.
var companions = map[string]string{
	"burst": `rate = "1/s"`,
	"first": "on = [\"crash\"]\nmax = \"30d\"",
	"max":   "on = [\"crash\"]\nfirst = \"1ms\"",
	"start": "percent = 1", "percent": "start = 1",
	"crash": allOfPenalty, "timeout": allOfPenalty, "violation": allOfPenalty,
	"times": "ipv4_prefix = 1",
	"on":    "first = \"1ms\"\nmax = \"1s\"",
	"arg":   "values = [1]", "values": "arg = 0", "mask": "arg = 0\nvalues = [1]",
	"on_stop": "edition = 1", "on_broken": "edition = 1", "on_narrow": "edition = 1",
}

const allOfPenalty = "on = [\"crash\", \"timeout\", \"violation\"]\nfirst = \"1ms\"\nmax = \"30d\""

// with is a policy in which one attribute has a value. at is the names of the
// blocks around it.
func with(at []string, name, val string) string {
	open := strings.ReplaceAll(strings.Join(at, " {\n"), "NAME", "x") + " {\n"
	beside := companions[name]
	if strings.HasPrefix(at[len(at)-1], "allow") && name != "from" {
		beside = `from = ["any"]`
	}
	if at[len(at)-1] == "wider" && name != "times" {
		beside = "times = 2"
	}
	text := open + beside + "\n" + name + " = " + val + strings.Repeat("\n}", len(at)) + "\n"
	switch kind, _, _ := strings.Cut(at[0], " "); kind {
	case "policy":
		return text
	case kindProfile:
		if name != "widens" && name != "because" {
			text = strings.Replace(text, "{\n", fmt.Sprintf("{\nbecause = \"x\"\nwidens = [\"%s\"]\n", strings.Join(valid.Widenable, `", "`)), 1)
		}
	case kindService:
		fixed := ""
		for _, line := range []string{`listen = ["tcp://:79", "unix:/run/x"]`, `command = ["/bin/cat"]`, `user = "nobody"`} {
			if word, _, _ := strings.Cut(line, " "); (word != name || len(at) > 1) && !(word == "command" && name == "builtin") {
				fixed += line + "\n"
			}
		}
		text = strings.Replace(text, "{\n", "{\n"+fixed, 1)
	case kindWaiver:
		fixed := ""
		for _, line := range []string{`reason = "x"`, `expires = "2027-01-31"`} {
			if word, _, _ := strings.Cut(line, " "); word != name {
				fixed += line + "\n"
			}
		}
		text = strings.Replace(text, "{\n", "{\n"+fixed, 1) + strings.Replace(strings.TrimPrefix(one(""), head), `"s"`, `"finger"`, 1)
	}
	return head + "locals { office = [] }\nacl \"office\" {}\nlimit \"public\" {}\nprofile \"finger\" {}\n" + text
}

// walk calls f with each attribute of the language and the blocks around it.
func walk(blocks []Block, above []string, f func(at []string, a *Attribute)) {
	for i := range blocks {
		b := &blocks[i]
		at := append(slices.Clone(above), b.Name)
		for k := range b.Attributes {
			f(at, &b.Attributes[k])
		}
		walk(b.Blocks, at, f)
	}
}

// TestRowsAreRead: every example and every default of a row is read as the row
// says, and no block has a name twice.
func TestRowsAreRead(t *testing.T) {
	seen, layers := map[string]bool{}, map[string]bool{}
	walk(Reference(), nil, func(at []string, a *Attribute) {
		full := strings.Join(at, ".") + "." + a.Name
		if seen[full] {
			t.Errorf("%s is there twice", full)
		}
		seen[full], layers[a.Layer] = true, true
		for _, val := range []string{a.Example, a.Unset} {
			if val == "" {
				continue
			}
			files := []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(with(at, a.Name, val))}}
			if a.Name == extendsRow.Name {
				files = append(files, policy.SourceFile{Name: "inetd.conf", Data: []byte("telnet stream tcp nowait nobody /bin/cat cat\n")})
			}
			if a.Name == "hosts_access" {
				files = append(files, policy.SourceFile{Name: "hosts.deny", Data: []byte("ALL: ALL\n")})
			}
			doc, ds := Compile(files)
			for _, d := range ds {
				if d.Severity == policy.SeverityError && (d.Code < codeMeaning || strings.Contains(d.Summary, "out of range") || strings.Contains(d.Summary, "not known")) {
					t.Errorf("%s = %s: %s", full, val, show(ds))
				}
			}
			if doc == nil && len(ds) == 0 {
				t.Errorf("%s = %s: no document", full, val)
			}
		}
		if a.Doc == "" {
			t.Errorf("%s has no word about it", full)
		}
	})
	for _, l := range valid.Widenable {
		if !layers[l] {
			t.Errorf("no attribute widens %q", l)
		}
		delete(layers, l)
	}
	if delete(layers, ""); len(layers) > 0 {
		t.Errorf("layers that widens does not know: %v", layers)
	}
}

// TestRowsBounds: the bounds that a row shows are those that are checked.
func TestRowsBounds(t *testing.T) {
	refused := func(text string) bool {
		_, ds := compileText(text)
		return slices.ContainsFunc(ds, func(d policy.Diagnostic) bool {
			return strings.Contains(d.Summary, "out of range") || strings.Contains(d.Summary, "ambiguous") || strings.Contains(d.Summary, "cannot be 0") || strings.Contains(d.Summary, "no limit")
		})
	}
	tried := 0
	walk(Reference(), nil, func(at []string, a *Attribute) {
		least, most, ok := strings.Cut(a.Bounds, " to ")
		if !ok {
			return
		}
		for i, edge := range []string{least, most} {
			unit := strings.TrimLeft(edge, "0123456789")
			n, err := strconv.Atoi(strings.TrimSuffix(edge, unit))
			if err != nil {
				t.Fatalf("%s: bounds %q", a.Name, a.Bounds)
			}
			write := func(n int) string {
				if unit == "" {
					return strconv.Itoa(n)
				}
				return fmt.Sprintf("%q", strconv.Itoa(n)+unit)
			}
			if text := with(at, a.Name, write(n)); refused(text) {
				t.Errorf("%s = %s is refused, its bounds are %s", a.Name, write(n), a.Bounds)
			}
			if i == 0 && (n == 0 || n == 1 && unit != "") {
				continue // there is nothing below, or 0, which is none
			}
			if text := with(at, a.Name, write(n-1+2*i)); !refused(text) {
				t.Errorf("%s = %s is accepted, its bounds are %s", a.Name, write(n-1+2*i), a.Bounds)
			}
			tried++
		}
	})
	if tried < 30 {
		t.Errorf("%d bounds tried", tried)
	}
}

// TestRowsWords: the words that a row shows are those that are checked.
func TestRowsWords(t *testing.T) {
	walk(Reference(), nil, func(at []string, a *Attribute) {
		for _, w := range append(slices.Clone(a.Words), "no-such-word") {
			val := strconv.Quote(w)
			if strings.HasPrefix(a.Example, "[") {
				val = "[" + val + "]"
			}
			if len(a.Words) == 0 {
				continue
			}
			_, ds := compileText(with(at, a.Name, val))
			unknown := slices.ContainsFunc(ds, func(d policy.Diagnostic) bool {
				return d.Severity == policy.SeverityError && (strings.Contains(d.Summary, "not known") || strings.Contains(d.Summary, "is not a "))
			})
			if unknown != (w == "no-such-word") {
				t.Errorf("%s = %s: refused %v: %s", a.Name, val, unknown, show(ds))
			}
		}
	})
}

// TestFunctionsAreCalled: every function's example is a call that has a value, and the table is in order.
func TestFunctionsAreCalled(t *testing.T) {
	for i, f := range Functions() {
		if i > 0 && Functions()[i-1].Name >= f.Name {
			t.Errorf("%s is out of order", f.Name)
		}
		if !strings.HasPrefix(f.Example, f.Name+"(") || f.Doc == "" {
			t.Errorf("%+v", f)
		}
		text := head + "locals {\noffice = []\nstaff = []\nhere = []\nall = []\nfew = []\nsome = []\nothers = []\nx = " + f.Example + "\n}\n"
		if doc, ds := compileText(text); doc == nil {
			t.Errorf("%s: %s", f.Example, show(ds))
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/cmd/confine"
	"casemate/policy/explain"
	"casemate/policy/hostsaccess"
	"casemate/policy/input"
)

// hostTables are hosts.allow and hosts.deny as read, with the files that they name.
type hostTables struct {
	allow, deny *hostsaccess.Table
	files       map[string]string
	absent      []string // that are not there
	err         error
}

// maxPatternFiles is how many files tables may name.
const maxPatternFiles = 256

// readHostTables reads two tables, and with it the files of patterns that they name: once
// casemate is confined it reads nothing more.
func readHostTables(allow, deny string, named bool) *hostTables {
	t := &hostTables{files: map[string]string{}}
	for _, at := range []struct {
		name string
		to   **hostsaccess.Table
	}{{allow, &t.allow}, {deny, &t.deny}} {
		text, err := readTable(at.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			t.absent = append(t.absent, at.name)
			continue
		case errors.Is(err, fs.ErrPermission):
			*at.to = &hostsaccess.Table{Name: at.name, Unreadable: true}
			continue
		case err != nil:
			t.err = fmt.Errorf("read %s: %w", at.name, err)
			return t
		}
		*at.to = hostsaccess.Parse(at.name, text)
		if named {
			t.named(string(text))
		}
	}
	return t
}

// named reads the files that a text names with a "/" at the beginning of a word.
func (t *hostTables) named(text string) {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n\v\f:@", r) }) {
		if _, done := t.files[w]; done || w[0] != '/' || len(t.files) >= maxPatternFiles {
			continue
		}
		more, err := readTable(w)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // decided against the client
		}
		t.files[w] = string(more)
		t.named(string(more))
	}
}

// readTable reads a regular file of a bounded size.
func readTable(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() && path != os.DevNull {
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	text, err := io.ReadAll(io.LimitReader(f, input.MaxSourceFile+1))
	if err == nil && len(text) > input.MaxSourceFile {
		err = fmt.Errorf("larger than %d bytes", input.MaxSourceFile)
	}
	return text, err
}

// batchTables decides cases by raw tables: as libwrap does with compat, and else by what
// they come to as acls, where they have no faults.
func (a *app) batchTables(t *hostTables, compat bool) error {
	if t.err != nil {
		return t.err
	}
	a.absent(t)
	rules := hostsaccess.Translate(t.allow, t.deny)
	if compat {
		for _, f := range rules.Faults {
			if f.Kind == hostsaccess.Lost {
				fmt.Fprintf(a.err, "warning: %v\n", f)
			}
		}
		return a.batch(t.asLibwrap)
	}
	if len(rules.Faults) > 0 {
		for _, f := range rules.Faults {
			fmt.Fprintf(a.err, "error: %v\n", f)
		}
		first := rules.Faults[0]
		refused := explain.Verdict{Decision: acl.Deny, Origin: fmt.Sprintf("%s:%d", first.File, first.Line), Reason: "the tables are refused: " + first.What}
		err := a.batch(func(*explain.Case) (explain.Verdict, error) { return refused, nil })
		return errors.Join(err, fmt.Errorf("the tables are refused, so everybody is denied: repair the %d lines above, or decide as libwrap does with --compat", len(rules.Faults)))
	}
	return a.batch(translated(rules))
}

// absent tells of tables that are not there, for a path may be mistyped.
func (a *app) absent(t *hostTables) {
	for _, name := range t.absent {
		fmt.Fprintf(a.err, "warning: %s is not there: to tcp wrappers it is an empty table\n", name)
	}
}

// request is a case in libwrap's terms.
func request(c *explain.Case) hostsaccess.Request {
	q := hostsaccess.Request{Daemon: c.Service, Addr: c.Client, Name: c.Name, User: c.User, ServerAddr: c.Local, ServerPort: c.LocalPort}
	for _, s := range []*string{&q.Addr, &q.ServerAddr} {
		if addr, err := netip.ParseAddr(*s); err == nil {
			*s = hostsaccess.Text(addr)
		}
	}
	return q
}

func (t *hostTables) asLibwrap(c *explain.Case) (explain.Verdict, error) {
	w := &hostsaccess.World{File: func(path string) (string, bool) {
		text, ok := t.files[path]
		return text, ok
	}}
	d := hostsaccess.Decide(t.allow, t.deny, request(c), w)
	v := explain.Verdict{Decision: acl.Deny, Rule: decide.RuleDefault, Origin: "default", Reason: d.Why}
	if d.Allow {
		v.Decision = acl.Allow
	}
	if d.Unsure {
		v.Reason = "decided against the client: the host alone would tell"
	}
	switch {
	case d.Rule != nil:
		v.Rule, v.Origin = d.Rule.Number, tableLine(d.Table, d.Rule)
	case d.Table != nil && d.Table.Broken > 0:
		v.Origin = fmt.Sprintf("%s:%d", d.Table.Name, d.Table.Broken)
	case d.Table != nil:
		v.Origin = d.Table.Name
	}
	return v, nil
}

func tableLine(t *hostsaccess.Table, r *hostsaccess.Rule) string {
	return fmt.Sprintf("%s:%d", t.Name, r.Line)
}

// translated decides by acls, each compiled once.
func translated(rules *hostsaccess.Rules) func(*explain.Case) (explain.Verdict, error) {
	type at struct {
		daemon string
		port   int
	}
	type judge struct {
		match   *decide.Matcher
		origins []hostsaccess.Origin
	}
	judges := map[at]*judge{}
	return func(c *explain.Case) (explain.Verdict, error) {
		q := request(c)
		key := at{q.Daemon, q.ServerPort}
		j := judges[key]
		if j == nil {
			l, origins := rules.List(q.Daemon, q.ServerPort)
			m, err := decide.Compile(&l)
			if err != nil {
				return explain.Verdict{}, err
			}
			if j = (&judge{m, origins}); len(judges) < 4096 { // ports are the cases' own
				judges[key] = j
			}
		}
		d := j.match.Decide(q.Client())
		v := explain.Verdict{Decision: d.Verdict, Rule: d.Rule, Origin: "default"}
		if d.Rule >= 0 {
			o := j.origins[d.Rule]
			v.Rule, v.Origin = o.Rule.Number, tableLine(o.Table, o.Rule)
		}
		return v, nil
	}
}

// tablesGrant reads the tables before the confinement, which leaves nothing.
func tablesGrant(args []string, compat bool, to **hostTables) confine.Grant {
	if len(args) == 2 {
		*to = readHostTables(args[0], args[1], compat)
	}
	return confine.Grant{}
}

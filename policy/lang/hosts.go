package lang

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/hostsaccess"

	"github.com/hashicorp/hcl/v2"
)

// hosts is hosts.allow and hosts.deny among the sources, and the acls that they came to.
type hosts struct {
	allow, deny *hostsaccess.Table
	rules       *hostsaccess.Rules
	acls        map[string]string // name by the JSON of its list and the lines that it is of
}

// hostsSource takes hosts.allow and hosts.deny.
func (c *compiler) hostsSource(f policy.SourceFile) bool {
	to := map[string]**hostsaccess.Table{"hosts.allow": &c.hosts.allow, "hosts.deny": &c.hosts.deny}[path.Base(f.Name)]
	switch {
	case to == nil:
		return false
	case *to != nil:
		c.report(codeDuplicate, at(f, 0), "name one of them", "there is %s already", (*to).Name)
	default:
		*to = hostsaccess.Parse(f.Name, f.Data)
	}
	return true
}

// readHosts says both tables as rules, where entries ask them.
func (c *compiler) readHosts() {
	rules := &c.entryRules
	for _, t := range []*hostsaccess.Table{c.hosts.allow, c.hosts.deny} {
		if t != nil && rules.hostsAccess == "" && !rules.yields {
			c.report(codeMeaning, c.lineOf(t.Name, 1), "write inetd { hosts_access = true }, or leave the file out", "nothing asks %s", t.Name)
		}
	}
	if rules.hostsAccess == "" {
		return
	}
	rng := c.inetd.Body.Attributes["hosts_access"].Expr.Range()
	switch {
	case rules.acl != "" && rules.hostsAccessFor == nil:
		c.report(codeMeaning, rng, "remove one of the two; a service block may name an acl of its own", "acl and hosts_access both say who may connect to the entries")
	case c.hosts.allow == nil && c.hosts.deny == nil && !rules.yields:
		c.report(codeMissing, rng, "name the files themselves as sources too, also where they lie in a directory that is one: casemate check POLICY /etc/inetd.conf /etc/hosts.allow /etc/hosts.deny", "neither hosts.allow nor hosts.deny is among the sources")
	}
	c.hosts.rules = hostsaccess.Translate(c.hosts.allow, c.hosts.deny)
	c.hosts.acls = map[string]string{}
	for of := c.hosts.rules.Faults; len(of) > 0; {
		n := 1
		for n < len(of) && of[n].File == of[0].File && of[n].Line == of[0].Line {
			n++
		}
		c.hostsLine(of[:n])
		of = of[n:]
	}
}

// hostsLine says all that is wrong with a line, for of several findings about one place the first
// alone is shown.
func (c *compiler) hostsLine(faults []hostsaccess.Fault) {
	lost := slices.ContainsFunc(faults, func(f hostsaccess.Fault) bool { return f.Kind == hostsaccess.Lost })
	var what, instead []string
	for _, f := range faults {
		what = append(what, f.What)
		if !slices.Contains(instead, f.Instead) {
			instead = append(instead, f.Instead)
		}
	}
	rng := c.lineOf(faults[0].File, faults[0].Line)
	if lost && c.entryRules.hostsAccess == hostsStrict {
		instead = append(instead, `or write hosts_access = "compat": a pattern that no policy has admits nobody then, or denies, and no command of a line runs`)
		c.report(codeEntry, rng, strings.Join(instead, "; "), "%s", strings.Join(what, "; "))
		return
	}
	c.warn(codeLoss, rng, strings.Join(instead, "; "), "%s", strings.Join(what, "; "))
}

// hostsACL is the acl that the tables come to for an entry: the daemon is called as
// its program is, and an internal service by its own name.
func (c *compiler) hostsACL(e *inetdEntry, s *policy.Service) string {
	daemon, port := e.Daemon(), 0
	if len(s.Listen) > 0 {
		port = int(s.Listen[0].Port)
	}
	l, origins := c.hosts.rules.List(daemon, port)
	key, err := json.Marshal(l)
	if err != nil {
		return ""
	}
	lines := make([]int, len(origins))
	for i, o := range origins {
		if lines[i] = max(o.Table.Broken, 1); o.Rule != nil {
			lines[i] = o.Rule.Line
		}
		key = fmt.Appendf(key, "%s:%d\n", o.Table.Name, lines[i]) // equal rules of two lines are two: who asks is told which it was
	}
	if name, ok := c.hosts.acls[string(key)]; ok {
		return name
	}
	name := BlockName("hosts-"+daemon, "")
	for n := 2; c.knows(kindACL, name) || c.hasACL(name); n++ {
		name = BlockName("hosts-"+daemon, fmt.Sprintf("-%d", n))
	}
	l.Name = name
	at := "acls." + name
	rng := c.inetd.Body.Attributes["hosts_access"].Expr.Range()
	c.put(at, rng)
	c.put(at+".name", rng)
	c.put(at+".default", rng)
	c.inner[at] = true
	for i, o := range origins {
		c.put(fmt.Sprintf("%s.rules.%d", at, i), c.lineOf(o.Table.Name, lines[i]))
	}
	c.acls[name], c.hosts.acls[string(key)] = l, name
	return name
}

func (c *compiler) hasACL(name string) bool { _, ok := c.acls[name]; return ok }

// lineOf is the range of a line of a source.
func (c *compiler) lineOf(file string, line int) hcl.Range {
	text, start := c.sources[file], 0
	for n := 1; n < line && start < len(text); n++ {
		i := bytes.IndexByte(text[start:], '\n')
		if i < 0 {
			break
		}
		start += i + 1
	}
	end := len(text)
	if i := strings.IndexByte(string(text[start:]), '\n'); i >= 0 {
		end = start + i
	}
	return hcl.Range{Filename: file, Start: hcl.Pos{Line: line, Column: 1, Byte: start}, End: hcl.Pos{Line: line, Column: end - start + 1, Byte: end}}
}

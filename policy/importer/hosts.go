package importer

import (
	"slices"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/policy/hostsaccess"
)

// HostsAccess writes hosts.allow and hosts.deny as acls: one for each daemon that they name,
// and one for all others. A nil table is a file that is not there.
func HostsAccess(allow, deny *hostsaccess.Table) (*Result, error) {
	p := newPage()
	p.hosts(allow, deny)
	return p.result()
}

// hostACLs are the acls that tables came to.
type hostACLs struct {
	byDaemon map[string]string // by the daemon's name in lower case
	others   string
}

// hosts writes the acls of both tables, and reports what is wrong with them.
func (p *page) hosts(allow, deny *hostsaccess.Table) *hostACLs {
	rules := hostsaccess.Translate(allow, deny)
	p.hostFaults(allow, deny, slices.Concat(rules.Faults, rules.Doubts()))
	h := &hostACLs{byDaemon: map[string]string{}}
	written := map[*hostsaccess.Rule]bool{}
	h.others = p.hostACL(rules, "", "hosts-access", written)
	for _, d := range rules.Daemons() {
		h.byDaemon[d] = p.hostACL(rules, d, d, written)
	}
	p.unused(rules, written)
	return h
}

// unused carries over the rules that no acl has.
func (p *page) unused(rules *hostsaccess.Rules, written map[*hostsaccess.Rule]bool) {
	for _, t := range rules.Rules {
		if t.Rule != nil && !written[t.Rule] {
			p.begin(t.Table.Name, t.Rule.Line, t.Rule.Text)
			p.comment("%s:%d: %s", t.Table.Name, t.Rule.Line, t.Rule.Text)
			if len(t.Clients) == 0 {
				p.comment("comes to no client here, and has no place.")
				p.note(t.Table.Name, t.Rule.Line, t.Rule.Text, "", "the rule comes to no client here, and has no place")
				continue
			}
			p.comment("is about no service here, and has no place.")
			p.note(t.Table.Name, t.Rule.Line, t.Rule.Text, "", "the rule is about no service here, and has no place")
		}
	}
}

// hostFaults reports what is wrong with the tables, and carries their comments over.
func (p *page) hostFaults(allow, deny *hostsaccess.Table, faults []hostsaccess.Fault) {
	for _, t := range []*hostsaccess.Table{allow, deny} {
		if t != nil {
			p.files = append(p.files, t.Name)
			p.hostNotes(t)
		}
	}
	for _, f := range faults {
		kind := Note
		if f.Kind == hostsaccess.Lost {
			kind = Lost
		}
		p.add(Loss{f.File, f.Line, kind, textOf(allow, deny, f), printable(f.What), printable(f.Instead)})
	}
}

// hostNotes carries comments over.
func (p *page) hostNotes(t *hostsaccess.Table) {
	comments := t.Comments()
	if len(comments) > 0 {
		p.begin(t.Name, 1, "")
	}
	for _, c := range comments {
		p.comment("%s:%d: %s", t.Name, c.Line, c.Text)
	}
}

// textOf is the line that a fault is about.
func textOf(allow, deny *hostsaccess.Table, f hostsaccess.Fault) string {
	for _, t := range []*hostsaccess.Table{allow, deny} {
		if t != nil && t.Name == f.File {
			return printable(t.Text(f.Line))
		}
	}
	return ""
}

// hostACL writes the acl of one daemon, or of all that the tables do not name.
func (p *page) hostACL(rules *hostsaccess.Rules, daemon, name string, written map[*hostsaccess.Rule]bool) string {
	l, origins := rules.List(daemon, 0)
	name = p.name("acl", name)
	p.begin("", 0, "acl "+name)
	if daemon == "" {
		p.comment("Daemons that hosts.allow and hosts.deny do not name.")
	} else {
		p.comment("Daemon %s.", daemon)
	}
	p.open("acl %q", name)
	p.attr("default", quote(string(l.Default)))
	ended := false
	for i, r := range l.Rules {
		if o := origins[i]; o.Rule != nil {
			p.comment("%s:%d: %s", o.Table.Name, o.Rule.Line, o.Rule.Text)
			written[o.Rule] = true
		} else {
			p.comment("%s cannot be read to its end, so everybody is denied who gets here.", o.Table.Name)
		}
		ended = p.reached(&r, ended)
	}
	p.close()
	return name
}

// reached writes a rule that a client may get to, and tells whether none gets behind it.
// Of one that stands behind such a rule nothing is written but where it comes from.
func (p *page) reached(r *acl.Rule, ended bool) bool {
	if ended {
		p.comment("No client gets to that rule: one before it matches everybody.")
		return true
	}
	p.rule(r)
	return slices.Contains(r.From, acl.Any) && len(r.Except)+len(r.To)+len(r.During) == 0
}

// rule writes one rule of an acl.
func (p *page) rule(r *acl.Rule) {
	p.open("%s", r.Verdict)
	p.attr("from", quoted(r.From))
	if len(r.Except) > 0 {
		p.attr("except", quoted(r.Except))
	}
	if len(r.To) > 0 {
		to := make([]string, len(r.To))
		for i, pre := range r.To {
			if to[i] = pre.String(); pre.IsSingleIP() {
				to[i] = pre.Addr().String()
			}
		}
		p.attr("to", quoted(to))
	}
	if len(r.During) > 0 {
		p.attr("during", quoted(civil.Write(r.During)))
	}
	p.close()
}

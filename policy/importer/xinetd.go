package importer

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/policy"
	"casemate/policy/hostsaccess"
	"casemate/policy/netdb"
)

// Facts are what else an import may know of the host.
type Facts struct {
	// Hosts are the tables of tcp wrappers that a super-server asks as well, or nil.
	Hosts *Hosts
	// Services is its /etc/services, or nil for the names that the language has.
	Services []byte
	// Zone is that of its clocks, by the tz database's name, "" where it is not known.
	Zone string
	// Group is its /etc/group, or nil where the groups of users are not known.
	Group []byte
}

// page is an empty one for a host, and the host's tables.
func (f Facts) page() (*page, *tables) {
	p := newPage()
	p.zone = f.Zone
	p.group = f.Group
	if f.Services != nil {
		p.netdb, _ = netdb.ParseServices(f.Services)
	}
	return p, f.Hosts.tables()
}

// Hosts are hosts.allow and hosts.deny; a nil one is not there.
type Hosts struct{ Allow, Deny *hostsaccess.Table }

func (h *Hosts) tables() *tables {
	if h == nil {
		return nil
	}
	return &tables{h.Allow, h.Deny, hostsaccess.Translate(h.Allow, h.Deny), map[*hostsaccess.Rule]bool{}}
}

// tablesDone reports on the tables that services of the page were given rules of.
func (p *page) tablesDone(t *tables) {
	if t != nil {
		p.hostFaults(t.allow, t.deny, t.rules.Faults)
		p.unused(t.rules, t.used)
	}
}

// Xinetd writes the services of xinetd.conf files, and of directories of them, with what they
// include from fsys, whose root is "/".
func Xinetd(fsys fs.FS, paths []string, facts Facts) (*Result, error) {
	p, t := facts.page()
	p.xinetd(fsys, paths, t)
	p.tablesDone(t)
	return p.result()
}

func (p *page) xinetd(fsys fs.FS, paths []string, hosts *tables) {
	r := &xReader{p: p, fsys: fsys}
	for _, name := range paths {
		r.path(name, false, &xAttribute{file: name})
	}
	x := &xinetd{page: p, hosts: hosts, files: r.bounded, ids: map[string]bool{}, first: map[string]bool{}}
	before := map[*xSection]int{} // how many attributes of defaults stand before a service
	for _, s := range r.sections {
		if s.name == "" {
			x.addDefaults(s)
		}
		before[s] = len(x.defaults)
	}
	for _, s := range r.sections {
		if s.name != "" {
			x.service(s, before[s])
		}
	}
}

// XinetdIncludes are the files and directories that an xinetd.conf includes by itself.
func XinetdIncludes(text []byte) (out []string) {
	for l := range strings.Lines(string(text)) {
		if w := strings.Fields(l); len(w) == 2 && (w[0] == "include" || w[0] == "includedir") && path.IsAbs(w[1]) {
			out = append(out, w[1])
		}
	}
	return out
}

// xinetd is the state of one import.
type xinetd struct {
	*page
	hosts    *tables
	files    func(name string) ([]byte, error) // of the host, from its root
	defaults []xAttribute
	first    map[string]bool // files that have had their defaults
	ids      map[string]bool
	number   int // of the port of the service at hand
	s        *service
	sec      *xSection
	v        map[string]*xValue
}

// xValue is an attribute in force: its values, and the lines that it comes from.
type xValue struct {
	vals []string
	at   []xAttribute
	own  bool // set with = by the service itself
}

// cumulative are the attributes that += and -= are for.
var cumulative = []string{"only_from", "no_access", "log_on_success", "log_on_failure", "passenv", "env", "enabled", "disabled"}

// inDefaults are the attributes that defaults may have.
var inDefaults = []string{"log_type", "bind", "interface", "per_source", "umask", "log_on_success", "log_on_failure", "only_from", "no_access", "passenv",
	"instances", "disabled", "enabled", "banner", "banner_success", "banner_fail", "groups", "cps", "max_load", "v6only",
	"access_times", "deny_time"} // the last two by its manual alone

// addDefaults keeps what defaults say.
func (x *xinetd) addDefaults(s *xSection) {
	x.begin(s.file, s.line, s.text)
	x.comment("%s:%d: %s", s.file, s.line, s.text)
	if s.wrong != "" {
		x.lost(s.file, s.line, s.text, "repair it", "the section is not read to its end: %s", s.wrong)
		x.defaults = append(x.defaults, xAttribute{file: s.file, line: s.line, text: s.text, name: "?"})
	}
	if x.first[s.file] {
		x.lost(s.file, s.line, s.text, "write one defaults section", "xinetd takes the first defaults of a file alone")
	}
	for _, a := range s.attrs {
		x.comment("%s:%d:   %s", a.file, a.line, a.text)
		if x.first[s.file] {
			continue
		}
		if slices.Contains(inDefaults, a.name) {
			x.defaults = append(x.defaults, a)
		} else if a.name != "?" {
			x.lost(a.file, a.line, a.text, "write it in each service", "%q is no attribute of defaults, and xinetd does not look at it", a.name)
		}
	}
	x.first[s.file] = true
}

// apply adds an attribute to those in force.
func (x *xinetd) apply(a *xAttribute, own bool) {
	v := x.v[a.name]
	if v == nil {
		v = &xValue{}
	}
	switch {
	case !slices.Contains(cumulative, a.name):
		if a.op != "=" || len(v.at) > 0 && own == v.own {
			x.lost(a.file, a.line, a.text, "remove the line", "xinetd does not look at it: %s takes one =", a.name)
			return
		}
		v.vals, v.own, v.at = a.vals, own, nil
	case a.op == "-=" && a.name == "env":
		x.off(a, "env takes = and += alone")
	case a.op == "-=" && a.name == "only_from":
		v.vals = x.without(v.vals, a)
	case a.op == "-=":
		v.vals = slices.DeleteFunc(slices.Clone(v.vals), func(s string) bool { return slices.Contains(a.vals, s) })
	case a.op == "=" && own:
		v.vals = slices.Clone(a.vals)
	default:
		v.vals = append(slices.Clone(v.vals), a.vals...)
	}
	v.at = append(v.at, *a)
	x.v[a.name] = v
}

// without is an only_from without what a line takes out of it. What overlaps goes as well:
// what xinetd makes of it is its secret.
func (x *xinetd) without(vals []string, a *xAttribute) (out []string) {
	overlap := func(s, t string) bool {
		ps, _, _ := xAddress(s)
		qs, _, _ := xAddress(t)
		return slices.ContainsFunc(ps, func(p acl.Pattern) bool {
			return slices.ContainsFunc(qs, func(q acl.Pattern) bool {
				pp, ok := prefix(p)
				qq, ok2 := prefix(q)
				return p == q || ok && ok2 && pp.Overlaps(qq)
			})
		})
	}
	for _, s := range vals {
		if slices.Contains(a.vals, s) {
			continue
		}
		if slices.ContainsFunc(a.vals, func(t string) bool { return overlap(s, t) }) {
			x.lost(a.file, a.line, a.text, "write only_from = with what is left", "%s is left out of only_from as a whole", s)
			continue
		}
		out = append(out, s)
	}
	return out
}

// off says why the service is not served. Nothing is lost with one that is switched off.
func (x *xinetd) off(a *xAttribute, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	x.s.off = append(x.s.off, why)
	if x.s.disabled != "" {
		x.note(a.file, a.line, a.text, "", "%s stands in a comment alone: %s", x.s.name, why)
		return
	}
	x.lost(a.file, a.line, a.text, "repair the line and import again", "%s is not served: %s", x.s.name, why)
}

// at is the last line of an attribute in force, for reports.
func (v *xValue) line() *xAttribute { return &v.at[len(v.at)-1] }

// one is the only value of an attribute.
func (x *xinetd) one(name string) (string, *xAttribute) {
	v := x.v[name]
	if v == nil {
		return "", nil
	}
	if len(v.vals) != 1 {
		x.off(v.line(), "%s takes one value", name)
		return "", nil
	}
	return v.vals[0], v.line()
}

// service writes one service.
func (x *xinetd) service(sec *xSection, before int) {
	x.sec, x.v = sec, map[string]*xValue{}
	x.s = &service{file: sec.file, line: sec.line, text: sec.text, name: sec.name}
	x.s.lines = append(x.s.lines, fmt.Sprintf("%s:%d: %s", sec.file, sec.line, sec.text))
	for i := range x.defaults {
		if x.defaults[i].name == "?" {
			x.s.closed = append(x.s.closed, "defaults cannot be read")
			continue
		}
		if d := &x.defaults[i]; i < before || !slices.Contains(cumulative, d.name) || d.name == "enabled" || d.name == "disabled" {
			x.apply(d, false)
		}
	}
	for i := range sec.attrs {
		a := &sec.attrs[i]
		x.s.lines = append(x.s.lines, fmt.Sprintf("%s:%d:   %s", a.file, a.line, a.text))
		if a.name == "?" {
			continue
		}
		if _, known := attributes[a.name]; !known {
			x.lost(a.file, a.line, a.text, "remove the line", "xinetd has no attribute %q, and does not look at it", a.name)
			continue
		}
		x.apply(a, true)
	}
	if sec.wrong != "" {
		x.off(&xAttribute{file: sec.file, line: sec.line, text: sec.text}, "%s", sec.wrong)
	}
	id := sec.name
	if s, _ := x.one("id"); s != "" {
		id = s
	}
	x.s.name = id
	if x.ids[id] {
		x.off(&xAttribute{file: sec.file, line: sec.line, text: sec.text}, "there is a service %s already", id)
	}
	x.ids[id] = true
	x.switchedOff(id)
	for _, name := range order {
		if v := x.v[name]; v != nil {
			attributes[name](x, v)
		}
	}
	x.identity()
	x.where()
	x.program()
	x.access()
	x.rates()
	x.write(x.s)
}

// switchedOff: disable, or a list of the defaults. The service is written all the same, to be switched on.
func (x *xinetd) switchedOff(id string) {
	why := ""
	disable, _ := x.one("disable")
	if slices.Contains(x.flags(), "DISABLE") {
		disable = "yes"
	}
	switch {
	case strings.EqualFold(disable, "yes"):
		why = "it is switched off by disable"
	case disable != "" && !strings.EqualFold(disable, "no"):
		x.off(x.v["disable"].line(), "disable takes yes or no")
	case x.v["disabled"] != nil && slices.Contains(x.v["disabled"].vals, id):
		why = "it is in the list disabled of defaults"
	case x.v["enabled"] != nil && !slices.Contains(x.v["enabled"].vals, id):
		why = "it is not in the list enabled of defaults"
	}
	if why != "" {
		x.s.disabled = why
		x.note(x.s.file, x.s.line, x.s.text, "", "%s is not served: %s", id, why)
	}
}

func (x *xinetd) flags() (out []string) {
	if v := x.v["flags"]; v != nil {
		for _, f := range v.vals {
			out = append(out, strings.ToUpper(f))
		}
	}
	return out
}

func (x *xinetd) has(flag string) bool { return slices.Contains(x.flags(), strings.ToUpper(flag)) }

func (x *xinetd) is(kind string) bool {
	v := x.v["type"]
	return v != nil && slices.ContainsFunc(v.vals, func(s string) bool { return strings.EqualFold(s, kind) })
}

// access is only_from and no_access, and hosts.allow and hosts.deny behind them.
func (x *xinetd) access() {
	a := access{}
	for name, to := range map[string]*[]acl.Pattern{"only_from": &a.allow, "no_access": &a.deny} {
		v := x.v[name]
		if v == nil {
			continue
		}
		a.limited = a.limited || name == "only_from"
		for _, s := range v.vals {
			ps, what, instead := xAddress(s)
			if strings.Contains(s, ":") && len(x.s.listen) > 0 && strings.Contains(x.s.listen[0], "4://") {
				ps = nil // no client has such an address here
			}
			*to = append(*to, ps...)
			if what == "" {
				continue
			}
			at := v.line()
			if strings.HasSuffix(what, "matches nobody") {
				x.note(at.file, at.line, at.text, instead, "%q %s", s, what)
				continue
			}
			x.lost(at.file, at.line, at.text, instead, "%q %s", s, what)
			if name == "no_access" {
				x.s.closed = append(x.s.closed, fmt.Sprintf("%q of no_access %s", s, what))
			}
		}
	}
	a.allow, a.deny = compact(a.allow), compact(a.deny)
	list, where := x.wrappers()
	n := len(a.rules())
	zone := x.s.acl.Zone
	x.s.acl = a.list(list)
	x.s.origins = map[int]string{}
	if len(x.s.hours) > 0 {
		r := acl.Rule{Verdict: acl.Deny, From: []acl.Pattern{acl.Any}, During: x.s.hours}
		x.s.acl.Rules, x.s.acl.Zone = slices.Insert(x.s.acl.Rules, 0, r), zone
		x.s.origins[0] = "Outside of access_times."
		n++
	}
	for i, w := range where {
		x.s.origins[n+i] = w
	}
	if !a.limited && len(a.deny)+len(x.s.hours) == 0 && list == nil {
		x.s.anyone = true
	}
}

func compact(list []acl.Pattern) (out []acl.Pattern) {
	for _, p := range list {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// wrappers are the rules of hosts.allow and hosts.deny for the service.
func (x *xinetd) wrappers() (*acl.List, []string) {
	if x.has("NOLIBWRAP") {
		return nil, nil
	}
	daemon, at := x.one("libwrap")
	switch {
	case daemon != "":
	case x.is("INTERNAL"):
		daemon = x.sec.name
	case x.v["redirect"] != nil:
		daemon = x.sec.name
	case x.s.argv0 != "":
		daemon = path.Base(x.s.argv0)
	case len(x.s.command) > 0:
		daemon = path.Base(x.s.command[0])
	}
	if x.hosts != nil {
		return x.hosts.list(daemon, x.number)
	}
	const instead = "add --hosts-allow and --hosts-deny, or import host"
	if at != nil {
		x.s.closed = append(x.s.closed, "libwrap asks hosts.allow and hosts.deny, which this import was not given")
		x.lost(at.file, at.line, at.text, instead, "what hosts.allow and hosts.deny say of %s is not known", daemon)
	} else if !x.told {
		x.told = true
		x.note(x.s.file, x.s.line, x.s.text, instead, "an xinetd that is built with libwrap asks hosts.allow and hosts.deny as well, about this service and all others without NOLIBWRAP")
	}
	return nil, nil
}

// identity is user and group.
func (x *xinetd) identity() {
	if x.is("INTERNAL") || x.v["redirect"] != nil {
		return
	}
	x.s.user, _ = x.one("user")
	x.s.group, _ = x.one("group")
	if x.s.user == "" && len(x.s.off) == 0 {
		x.off(&xAttribute{file: x.s.file, line: x.s.line, text: x.s.text}, "it has no user")
	}
	if x.s.user == string(policy.Dynamic) {
		x.off(x.v["user"].line(), `a user of the name "dynamic" is none here`)
	}
}

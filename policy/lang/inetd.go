package lang

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/inetd"
	"casemate/policy/input"
	"casemate/policy/suggest"
	"casemate/policy/valid"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const kindInetd = "inetd"

// What unextended says of the entries that no service extends.
const (
	serveUnextended  = "serve"
	refuseUnextended = "refuse"
)

// What unreadable says of lines that cannot be read, and of entries that cannot be served.
const (
	refuseUnreadable = "refuse"
	skipUnreadable   = "skip"
)

// What hosts_access says of a line of hosts.allow or hosts.deny that a policy cannot say, beside true
// for the first.
const (
	hostsStrict = "strict" // it is an error
	hostsCompat = "compat" // it is a warning, and denies where it matters
)

// The words of hosts_access_for.
const (
	behindTcpd = "tcpd"
	programs   = "programs"
	internals  = "internal"
)

// entries is what inetd { ... } says: what those entries get that no service
// extends, and what those that one extends get where it says nothing.
type entries struct {
	acl, limit, profile string
	dialect             string
	unextended          string
	unreadable          string
	hostsAccess         string // how hosts.allow and hosts.deny are read; "" is not at all
	hostsAccessFor      []string
	address             netip.Addr
	backlog             int
	numbers             limit.Spec // of entries that write none
	yields              bool       // read by joinInetd
}

// inetdTable is inetd { ... }.
var inetdTable = table[entries]{{rows: []row[entries]{
	{yieldsRow, flag(true, func(e *entries) *bool { return &e.yields })},
	{Attribute{Name: "acl", Example: "acl.office", Doc: "of entries whose service block names none; needed where no block extends an entry"},
		reference(kindACL, func(e *entries) *string { return &e.acl })},
	{Attribute{Name: "hosts_access", Example: "true", Instead: "acl", Words: []string{hostsStrict, hostsCompat}, Doc: "who may connect to entries whose service block names no acl is asked of hosts.allow and hosts.deny, which are sources too. true or strict: a line that no acl can say is an error; compat: a warning, and what no acl can say of its clients admits nobody, or denies whom it might deny; spawn runs nothing"},
		hostsWord},
	{Attribute{Name: "hosts_access_for", Example: `["tcpd"]`, Words: []string{internals, programs, behindTcpd}, Doc: "which entries hosts_access is about: what stands behind tcpd, every program, what is internal; acl is about the others. Absent: all"},
		choices(func(e *entries) *[]string { return &e.hostsAccessFor })},
	{Attribute{Name: "limit", Example: "limit.public", Doc: "of entries whose service block names none; absent: limit.classic; limit.wait of a program with wait, and limit.default of an internal dgram entry"},
		reference(kindLimit, func(e *entries) *string { return &e.limit })},
	{Attribute{Name: "profile", Example: "profile.line", Doc: "of entries whose service block names none; absent: by what the entry runs, profile.classic, classic_wait, or for what becomes another user classic_login, classic_ftpd, classic_rshd, classic_data or classic_tftpd"},
		reference(kindProfile, func(e *entries) *string { return &e.profile })},
	{Attribute{Name: "dialect", Example: `"openbsd"`, Words: spelled(inetd.Dialects), Doc: "whose inetd.conf it is; absent: told apart by what only some of them write, else debian"},
		choice(func(e *entries) *string { return &e.dialect })},
	{Attribute{Name: "unextended", Example: `"refuse"`, Unset: `"serve"`, Words: []string{serveUnextended, refuseUnextended}, Doc: "refuse: an entry that no service block extends is an error"},
		choice(func(e *entries) *string { return &e.unextended })},
	{Attribute{Name: "unreadable", Example: `"skip"`, Unset: `"refuse"`, Words: []string{refuseUnreadable, skipUnreadable}, Doc: "skip: an entry that cannot be read or served is a warning, as to an inetd, and the others are served; not one that a service block extends"},
		choice(func(e *entries) *string { return &e.unreadable })},
	{Attribute{Name: "address", Example: `"192.0.2.1"`, Doc: "where entries listen that name no address"},
		oneAddress},
	{Attribute{Name: "backlog", Example: "128", Bounds: counts(0, valid.MaxBacklog), Doc: "of the sockets of stream entries; 0: the system's maximum"},
		between(0, valid.MaxBacklog, func(e *entries) *int { return &e.backlog })},
	{Attribute{Name: "concurrent", Example: "40", Bounds: counts(1, valid.MaxCount), Doc: "sessions at a time of each entry that writes no number of its own"},
		between(1, valid.MaxCount, func(e *entries) *int { return &e.numbers.Concurrent })},
	{Attribute{Name: "rate", Example: `"40/min"`, Doc: "new sessions of each entry that writes no number of its own"},
		measure(parseRate, func(e *entries) *limit.Rate { return &e.numbers.Rate })},
}}, {block: "per_source", rows: []row[entries]{
	{Attribute{Name: "concurrent", Example: "4", Bounds: counts(1, valid.MaxCount), Doc: "the same for each source; not of entries with wait, which take their clients themselves"},
		between(1, valid.MaxCount, func(e *entries) *int { return &e.numbers.PerSource.Concurrent })},
	{Attribute{Name: "rate", Example: `"10/min"`, Doc: "new sessions of one source, of each of these entries"},
		measure(parseRate, func(e *entries) *limit.Rate { return &e.numbers.PerSource.Rate })},
}}}

// yieldsRow is read before the blocks are joined.
var yieldsRow = Attribute{Name: "yields", Example: "true", Doc: "what another inetd block says takes the place of what this one says"}

// between reads a number of a range.
func between[T any](least, most int, at func(*T) *int) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.typed(a, kindNumber)
		if ok && (v.n < int64(least) || v.n > int64(most)) {
			b.c.report(codeValue, v.rng, "write "+a.Bounds, "%s = %d is out of range", a.Name, v.n)
		} else if ok {
			*at(to) = int(v.n)
		}
	}
}

// hostsWord reads true, false, or how the tables are read.
func hostsWord(b *block, a *Attribute, e *entries) {
	v, ok := b.attr(a)
	e.hostsAccess = hostsStrict // also of what cannot be read: the tables are asked
	switch {
	case !ok, v.kind == kindBool && v.b:
	case v.kind == kindBool:
		e.hostsAccess = ""
	case v.kind == kindString && slices.Contains(a.Words, v.s):
		e.hostsAccess = v.s
	case v.kind == kindString:
		b.c.report(codeValue, v.rng, didYouMean(v.s, a.Words, ""), "%s: %q is not known", a.Name, clip(v.s))
	default:
		b.c.report(codeType, v.rng, "write "+a.write()+`, or "compat"`, `%s must be true, false, "strict" or "compat", not %s`, a.Name, v.describe())
	}
}

// oneAddress reads address.
func oneAddress(b *block, a *Attribute, e *entries) {
	v, ok := b.typed(a, kindString)
	if !ok {
		return
	}
	addr, err := netip.ParseAddr(v.s)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		b.c.report(codeValue, v.rng, "write one of this host, as 192.0.2.1 or 2001:db8::1", "address: %q is no address", clip(v.s))
		return
	}
	e.address = addr
}

// choice reads one of an attribute's words.
func choice[T any](at func(*T) *string) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		v, ok := b.typed(a, kindString)
		if ok && !slices.Contains(a.Words, v.s) {
			b.c.report(codeValue, v.rng, didYouMean(v.s, a.Words, ""), "%s: %q is not known", a.Name, clip(v.s))
		} else if ok {
			*at(to) = v.s
		}
	}
}

// choices reads some of an attribute's words.
func choices[T any](at func(*T) *[]string) reader[T] {
	return func(b *block, a *Attribute, to *T) {
		items, ok := b.strs(a)
		for _, v := range items {
			if !slices.Contains(a.Words, v.s) {
				b.c.report(codeValue, v.rng, didYouMean(v.s, a.Words, ""), "%s: %q is not known", a.Name, clip(v.s))
			}
		}
		if ok {
			*at(to) = texts(items)
		}
	}
}

// inetdEntry is one of an inetd.conf, and what becomes of it.
type inetdEntry struct {
	*inetd.Entry
	extended string // the service block that extends it
}

// tellTables finds the sources that are an inetd.conf by their names, and what these include.
func (c *compiler) tellTables(files []policy.SourceFile) {
	if !slices.ContainsFunc(files, func(f policy.SourceFile) bool { return input.IsTable(f.Name) }) {
		return
	}
	var others []inetd.Source
	for _, f := range files {
		if !strings.HasSuffix(f.Name, input.SourceSuffix) {
			others = append(others, inetd.Source(f))
		}
	}
	c.isTable = inetd.Tables(others, input.IsTable)
}

// tables is every inetd.conf among the sources, and what becomes of them.
type tables struct {
	inetds     []*hclsyntax.Block // the inetd blocks, at most one a file
	inetd      *hclsyntax.Block   // what they say together
	entryRules entries            // what it says
	tableFiles []inetd.Source
	isTable    map[string]bool         // by the name of the source
	broken     bool                    // a line cannot be read
	skip       map[inetd.Range]finding // entries that an earlier compilation could not serve

	entries   []*inetdEntry            // of all files
	byKey     map[string][]*inetdEntry // by what extends may say
	unserved  map[string]inetd.Finding // by the keys of their entries
	guarded   []*inetdEntry            // by tcpd, and by nothing here
	unguarded []*inetdEntry            // by hosts.allow and hosts.deny, until hosts_access asks them
	losses    []inetd.Finding          // what entries say and nothing here does
}

// otherSource takes a source that is not of the policy language, by its name.
func (c *compiler) otherSource(f policy.SourceFile) bool {
	if !c.isTable[f.Name] {
		return c.hostsSource(f) || c.netdbSource(f) || c.bannerSource(f)
	}
	if len(f.Data) > input.MaxSourceFile {
		c.report(codeSize, at(f, 0), "split it into several files", "the file is larger than %d bytes", input.MaxSourceFile)
	}
	c.tableFiles = append(c.tableFiles, inetd.Source(f))
	return true
}

// readTables reads the inetd block and every inetd.conf.
func (c *compiler) readTables() {
	c.entryRules = inetdBlank()
	if c.inetd = c.joinInetd(); c.inetd != nil {
		b := inetdTable.open(c, c.inetd, "")
		inetdTable.read(b, &c.entryRules)
		for _, g := range inetdTable { // no values of the policy stand there
			delete(c.places, g.block)
			for _, r := range g.rows {
				delete(c.places, strings.TrimPrefix(g.block+"."+r.At(), "."))
			}
		}
	}
	c.readHosts()
	t := inetd.Parse(c.tableFiles, inetd.Dialect(c.entryRules.dialect))
	c.broken = t.Failed()
	c.unserved = map[string]inetd.Finding{}
	for _, f := range t.Findings {
		switch f.Level {
		case inetd.Error:
			if c.entryRules.unreadable == skipUnreadable && skippedLine(t, f.At) {
				c.warn(codeUnserved, hclRange(f.At), f.Next, "this line is not served: %s", f.Summary)
				continue
			}
			c.report(codeEntry, hclRange(f.At), f.Next, "%s", f.Summary)
		case inetd.Unserved:
			c.unserved[f.Key] = f
			c.warn(codeUnserved, hclRange(f.At), f.Next, "%s", f.Summary)
		case inetd.Loss:
			c.losses = append(c.losses, f)
		case inetd.Off: // a comment
		}
	}
	t.Entries = slices.DeleteFunc(t.Entries, func(e inetd.Entry) bool {
		f, skip := c.skip[e.At]
		if skip {
			c.warn(codeUnserved, f.rng, f.Detail, "this entry is not served: %s", f.Summary)
		}
		return skip
	})
	if n := len(t.Entries); n > valid.MaxServices {
		c.report(codeBounds, hclRange(t.Entries[valid.MaxServices].At), "serve fewer", "%d entries are more than the %d services that a policy may have", n, valid.MaxServices)
		t.Entries = t.Entries[:valid.MaxServices]
	}
	c.entries = make([]*inetdEntry, len(t.Entries))
	c.byKey = make(map[string][]*inetdEntry, len(t.Entries))
	for i := range t.Entries {
		e := &inetdEntry{Entry: &t.Entries[i]}
		c.entries[i] = e
		c.byKey[e.Key()] = append(c.byKey[e.Key()], e)
		if full := e.Full(); full != e.Key() {
			c.byKey[full] = append(c.byKey[full], e)
		}
	}
}

// skippedLine tells whether at is in an entry that is not in the table, and in nothing that
// others depend on.
func skippedLine(t *inetd.Table, at inetd.Range) bool {
	return slices.ContainsFunc(t.Directives, func(d inetd.Directive) bool {
		return d.Kind == "skipped" && d.At.Filename == at.Filename && d.At.Start.Byte <= at.Start.Byte && at.End.Byte <= d.At.End.Byte
	})
}

// hclRange is a place in an inetd.conf as diagnostics and origins take it.
func hclRange(at inetd.Range) hcl.Range {
	return hcl.Range{Filename: at.Filename, Start: hcl.Pos(at.Start), End: hcl.Pos(at.End)}
}

// extended finds the entry that a service block extends, or nil: reported.
func (b *block) extended() *inetdEntry {
	v, ok := b.typed(&extendsRow, kindString)
	if !ok {
		return nil
	}
	c, found := b.c, b.c.byKey[v.s]
	switch {
	case len(c.tableFiles) == 0:
		c.report(codeReference, v.rng, "name it as a source as well, beside this file or not: casemate check POLICY /etc/inetd.conf", "no inetd.conf is among the sources, so nothing is %q", clip(v.s))
	case len(found) == 0 && c.broken && c.entryRules.unreadable == skipUnreadable:
		c.report(codeReference, v.rng, "mend the lines of inetd.conf that cannot be read", "no entry that can be read is %q", clip(v.s))
	case len(found) == 0 && c.broken: // it may be the line that cannot be read
	case len(found) == 0 && c.unserved[v.s].Key != "":
		c.report(codeReference, v.rng, c.unserved[v.s].Next, "the entry at %s cannot be extended: %s", place(hclRange(c.unserved[v.s].At)), c.unserved[v.s].Summary)
	case len(found) == 0:
		c.report(codeReference, v.rng, c.meantEntry(v.s), "no entry is %q", clip(v.s))
	case len(found) > 1:
		var names []string
		for _, e := range found {
			names = append(names, fmt.Sprintf("%q at %s", e.Full(), place(hclRange(e.At))))
		}
		next := "write one of them: " + strings.Join(names, ", ")
		if slices.ContainsFunc(found[1:], func(e *inetdEntry) bool { return e.Full() == found[0].Full() }) {
			next = "remove one of the lines: " + strings.Join(names, ", ")
		}
		c.report(codeReference, v.rng, next, "%d entries are %q", len(found), v.s)
	case found[0].extended != "":
		other := c.blocks[kindService][found[0].extended]
		c.report(codeDuplicate, v.rng, "remove one of them; the first is at "+place(other.DefRange()), "service %q extends %q already", found[0].extended, v.s)
	default:
		found[0].extended = strings.TrimPrefix(b.path, "services.")
		return found[0]
	}
	return nil
}

// meantEntry suggests an entry.
func (c *compiler) meantEntry(s string) string {
	if len(c.found) >= maxDiagnostics {
		return "name an entry that exists"
	}
	keys := sortedKeys(c.byKey)
	if !strings.Contains(s, "/") {
		for _, protocol := range []string{"tcp", "udp", "tcp6", "udp6", "tcp4", "udp4", "tcp46", "unix"} {
			if c.byKey[s+"/"+protocol] != nil {
				return fmt.Sprintf("did you mean %q?", s+"/"+protocol)
			}
		}
	}
	if meant := suggest.Word(s, keys); meant != "" {
		return fmt.Sprintf("did you mean %q?", meant)
	}
	if len(keys) == 0 {
		return "the inetd.conf has no entry"
	}
	return "write service and protocol as the entry does: " + didYouMean(s, keys, "")
}

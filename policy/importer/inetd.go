package importer

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/inetd"
	"casemate/policy/lang"
)

// Inetd writes the entries of inetd.conf files. An empty dialect is told apart by what the
// files write.
func Inetd(sources []inetd.Source, dialect inetd.Dialect, facts Facts) (*Result, error) {
	p, h := facts.page()
	p.inetd(sources, dialect, h)
	p.tablesDone(h)
	return p.result()
}

// dialectBlock is how a policy says whose table it is; an import has a flag for it.
var dialectBlock = regexp.MustCompile(`inetd \{ dialect = "([a-z]+)" \}`)

// maxReported bounds what one file's findings come to.
const maxReported = 2000

// inetdText is a source by lines.
type inetdText struct {
	name  string
	lines []string
	taken []bool // by an entry or a directive
}

func (p *page) inetd(sources []inetd.Source, dialect inetd.Dialect, hosts *tables) {
	t, first := inetd.Parse(sources, dialect), len(p.units)
	texts := map[string]*inetdText{}
	for _, s := range sources {
		p.files = append(p.files, s.Name)
		lines := strings.Split(string(s.Data), "\n")
		texts[s.Name] = &inetdText{s.Name, lines, make([]bool, len(lines))}
	}
	// of takes the lines of a range, as comments.
	of := func(r inetd.Range) (out []string) {
		text := texts[r.Filename]
		for i := r.Start.Line; text != nil && i <= min(r.End.Line, len(text.lines)); i++ {
			text.taken[i-1] = true
			out = append(out, fmt.Sprintf("%s:%d: %s", r.Filename, i, text.lines[i-1]))
		}
		return out
	}
	for _, f := range t.Findings[:min(len(t.Findings), maxReported)] {
		kind := Lost
		if f.Level == inetd.Off {
			kind = Note
		}
		text := ""
		if at := texts[f.At.Filename]; at != nil && f.At.Start.Line <= len(at.lines) && f.At.Start.Line > 0 {
			text = at.lines[f.At.Start.Line-1]
		}
		p.add(Loss{f.At.Filename, f.At.Start.Line, kind, printable(text), printable(f.Summary), printable(dialectBlock.ReplaceAllString(f.Next, "--dialect $1"))})
	}
	entries := make([]*inetd.Entry, len(t.Entries))
	for i := range t.Entries {
		entries[i] = &t.Entries[i]
	}
	names := lang.EntryNames(entries)
	at := make([]func(), 0, len(t.Entries))
	for i := range t.Entries {
		e := &t.Entries[i]
		lines := of(e.At)
		at = append(at, func() { p.entry(e, names[i], lines, hosts) })
	}
	for _, d := range t.Directives {
		lines := of(d.At)
		p.begin(d.At.Filename, d.At.Start.Line, d.Kind)
		for _, l := range lines {
			p.comment("%s", l)
		}
		if d.Kind == "skipped" {
			p.comment("Not served: the report says why.")
		}
	}
	for _, s := range sources {
		p.others(texts[s.Name])
	}
	for _, write := range at {
		write()
	}
	order := map[string]int{}
	for i, src := range sources {
		order[src.Name] = i
	}
	slices.SortStableFunc(p.units[first:], func(a, b *unit) int {
		return cmp.Or(cmp.Compare(order[a.file], order[b.file]), cmp.Compare(a.line, b.line))
	})
}

// others carries over the lines that no entry takes: comments, services that are switched
// off, and what the report is about.
func (p *page) others(t *inetdText) {
	begun := false
	for i, l := range t.lines {
		if t.taken[i] || strings.TrimSpace(l) == "" {
			begun = false
			continue
		}
		if !begun {
			p.begin(t.name, i+1, l)
			begun = true
		}
		p.comment("%s:%d: %s", t.name, i+1, l)
	}
}

// entry writes one entry as a service.
func (p *page) entry(e *inetd.Entry, name string, lines []string, hosts *tables) {
	s := &service{name: name, file: e.At.Filename, line: e.At.Start.Line, text: strings.TrimSpace(lines[0][strings.Index(lines[0], ": ")+2:]), lines: lines, wait: e.Wait, anyone: true}
	n := &entryImport{page: p, e: e, s: s}
	n.listens()
	for i, size := range []int{e.SendBuffer.N, e.ReceiveBuffer.N} {
		if size > 0 {
			s.socket = append(s.socket, []string{"send_buffer", "receive_buffer"}[i]+" = "+quote(explain.ExactSize(int64(size))))
		}
	}
	n.program()
	n.limits()
	if s.user = e.User.Text; s.user == string(policy.Dynamic) {
		n.off("a user of the name \"dynamic\" is none here")
	}
	s.group = e.Group.Text
	if e.Class.Written() {
		n.lost(e.Class, "set the bounds in the profile's resources", "login classes are not known here: %q is not carried over", e.Class.Text)
	}
	n.wrapper(hosts)
	p.write(s)
}

// entryImport is one entry on its way.
type entryImport struct {
	*page
	e      *inetd.Entry
	s      *service
	number int // of the port
}

func (n *entryImport) off(format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	n.s.off = append(n.s.off, why)
	n.page.lost(n.s.file, n.s.line, n.s.text, "", "%s is not served: %s", n.e.Full(), why)
}

func (n *entryImport) lost(t inetd.Text, instead, format string, args ...any) {
	n.page.lost(t.At.Filename, t.At.Start.Line, n.s.text, instead, format, args...)
}

// listens is where the service is.
func (n *entryImport) listens() {
	e := n.e
	switch {
	case e.RPC:
		n.off("RPC services are not registered with rpcbind: run the program as a daemon of its own")
		return
	case e.Mux:
		n.s.listen = muxed(e.Service.Text, e.Plus)
		return
	case e.Network == "":
		n.off("socket type %s with %s has no counterpart", e.Socket.Text, e.Protocol.Text)
		return
	case strings.HasPrefix(e.Network, "unix"):
		n.s.listen = []string{e.Network + ":" + e.Service.Text}
		n.file()
		return
	}
	port, number, ok := n.port(e.Service.Text, e.Network)
	if !ok {
		n.off("the port of %q is not known here: %s", e.Service.Text, n.unknownPort("write its number"))
		return
	}
	n.number = number
	for _, a := range n.addresses() {
		text := strings.Trim(a.Text, "[]")
		host := hostOf(text)
		switch {
		case a.Text == "*":
			n.s.listen = append(n.s.listen, listenOn(e.Network, "", port))
			continue
		case host == "":
			n.off("%q is no address, and names are not looked up", a.Text)
			return
		}
		network := strings.TrimRight(e.Network, "46")
		family := "4"
		if strings.Contains(host, ":") {
			family = "6"
		}
		if e.Network != network && e.Network != network+family {
			n.off("%q is no address of %s", a.Text, e.Protocol.Text)
			return
		}
		if host == "0.0.0.0" || host == "::" {
			host = ""
		}
		n.s.listen = append(n.s.listen, listenOn(network+family, host, port))
	}
	if len(e.Addresses) == 0 {
		n.s.listen = []string{listenOn(e.Network, "", port)}
	}
}

// addresses are where the entry listens. localhost is the one name that means the same on
// every host.
func (n *entryImport) addresses() (out []inetd.Text) {
	for _, a := range n.e.Addresses {
		if a.Text != "localhost" {
			out = append(out, a)
			continue
		}
		if !strings.HasSuffix(n.e.Network, "6") {
			out = append(out, inetd.Text{Text: "127.0.0.1", At: a.At})
		}
		if !strings.HasSuffix(n.e.Network, "4") {
			out = append(out, inetd.Text{Text: "::1", At: a.At})
		}
	}
	return out
}

// file is the file of a unix socket.
func (n *entryImport) file() {
	u := &n.e.Unix
	mode := u.Mode
	if u.Unknown {
		mode = 0o600
		n.page.note(n.s.file, n.s.line, n.s.text, "write the mode that is meant", "the mode of %s depends on the umask that inetd was started with: it is 0600 here", n.e.Service.Text)
	}
	n.s.socket = append(n.s.socket, fmt.Sprintf(`mode = "%04o"`, mode))
	if u.Owner.Text != "" {
		n.s.socket = append(n.s.socket, "owner = "+quote(u.Owner.Text))
	}
	if u.Group.Text != "" {
		n.s.socket = append(n.s.socket, "group = "+quote(u.Group.Text))
	}
}

// noQuote is why a qotd that the inetd serves itself stays out.
const noQuote = "nothing tells its quotes: write says = [...]"

// program is what runs.
func (n *entryImport) program() {
	e := n.e
	if e.Internal != "" {
		if n.s.builtin = e.Internal; !slices.Contains(policy.Builtins, e.Internal) {
			n.off("there is no built-in %s", e.Internal)
		} else if e.Internal == "qotd" {
			n.off(noQuote)
		}
		n.s.wait = false
		return
	}
	n.s.command = []string{e.Program.Text}
	for i, a := range e.Args {
		if i > 0 {
			n.s.command = append(n.s.command, a.Text)
		} else if a.Text != path.Base(e.Program.Text) {
			n.s.argv0 = a.Text
		}
	}
}

// limits are the numbers of the entry.
func (n *entryImport) limits() {
	e := n.e
	spec, own := lang.EntryLimit(e, &policy.Service{Name: n.s.name, Wait: n.s.wait, Builtin: n.s.builtin})
	n.s.usual, n.s.ownLimit = &spec, own
	if e.PerSourceConcurrent.N+e.PerSourcePerMinute.N > 0 && n.s.wait {
		n.page.lost(n.s.file, n.s.line, n.s.text, "serve it with wait = false", "bounds for each source are not held: a program with wait takes its clients itself")
	}
	if e.PerMinute.N > 0 {
		n.page.note(n.s.file, n.s.line, n.s.text, "", "what is more than %d a minute is shed, and the service never closes", e.PerMinute.N)
	}
}

// wrapper is tcpd in front of the program, or an inetd that asks by itself: hosts.allow and
// hosts.deny decide.
func (n *entryImport) wrapper(hosts *tables) {
	e := n.e
	flag := n.page.libwrap && e.Internal == "" && e.Socket.Text == "stream" && !e.Wait
	if !e.Asks() && !flag || len(n.s.off) > 0 {
		return
	}
	daemon := e.Daemon()
	switch {
	case hosts == nil && !e.Wrapper.Written():
		if !n.page.told {
			n.page.told = true
			n.page.note(n.s.file, n.s.line, n.s.text, "add --hosts-allow and --hosts-deny, or import host", "the inetd of %s asks hosts.allow and hosts.deny itself, about this entry and others", e.Dialect)
		}
		return
	case hosts == nil:
		n.s.closed = append(n.s.closed, "tcpd asks hosts.allow and hosts.deny, which this import was not given")
		n.lost(e.Wrapper, "add --hosts-allow and --hosts-deny, or import host", "what hosts.allow and hosts.deny say of %s is not known", daemon)
		return
	}
	list, where := hosts.list(daemon, n.number)
	n.s.anyone, n.s.acl, n.s.origins = false, *list, map[int]string{}
	for i, w := range where {
		n.s.origins[i] = w
	}
	if !e.Wrapper.Written() {
		return
	}
	n.page.note(n.s.file, n.s.line, n.s.text, "", "tcpd is not run: casemate holds the rules of hosts.allow and hosts.deny for %s itself", daemon)
}

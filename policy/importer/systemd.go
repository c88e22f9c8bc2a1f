package importer

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/listener/endpoint"
	"casemate/policy"
)

// Systemd writes the services of systemd's socket units. Each .socket is given with the
// .service that it starts: NAME@.service with Accept=yes, NAME.service without, or the one of
// Service=.
func Systemd(sources []policy.SourceFile) (*Result, error) {
	p := newPage()
	p.systemd(sources)
	return p.result()
}

func (p *page) systemd(sources []policy.SourceFile) {
	units := map[string]*sdUnit{}
	var sockets []*sdUnit
	for _, f := range sources {
		p.files = append(p.files, f.Name)
		name := path.Base(f.Name)
		u := parseUnit(f.Name, name, string(f.Data), func(line int, text, why string) {
			p.lost(f.Name, line, text, "repair it", "the line is not read: %s", why)
		})
		switch {
		case strings.HasSuffix(name, ".socket"):
			sockets = append(sockets, u)
		case strings.HasSuffix(name, ".service"):
			units[name] = u
		default:
			p.lost(f.Name, 1, "", "give .socket files with their .service", "%s is neither a socket unit nor a service", name)
		}
	}
	used := map[*sdUnit]bool{}
	for _, u := range sockets {
		d := &systemdImport{page: p, s: &service{file: u.file, line: 1, text: u.name, name: strings.TrimSuffix(u.name, ".socket"), lines: u.lines}}
		d.unit(u, "Socket", sdSocket)
		name := d.starts
		if name == "" {
			name = d.s.name + ".service"
			if d.accept {
				name = d.s.name + "@.service"
			}
		}
		if to := units[name]; to != nil {
			used[to] = true
			d.s.lines = append(d.s.lines, to.lines...)
			d.unit(to, "Service", sdService)
		} else {
			d.off(u.file, 1, u.name, "%s is not among the files: give it as well", name)
		}
		d.finish()
		p.write(d.s)
	}
	for _, f := range sources {
		if u := units[path.Base(f.Name)]; u != nil && !used[u] {
			p.begin(u.file, 1, u.name)
			for _, l := range u.lines {
				p.comment("%s", l)
			}
			p.lost(u.file, 1, u.name, "give its .socket as well", "no socket unit starts %s", u.name)
		}
	}
}

// systemdImport is one socket unit with its service.
type systemdImport struct {
	*page
	s           *service
	accept      bool
	starts      string
	input       string // StandardInput, and so on
	output, err string
	six         bool // BindIPv6Only
	listens     []sdSet
	allow, deny []acl.Pattern
	mode        string
	trigger     [2]string // interval and burst
	triggerAt   *sdSet    // the last of both
	dynamic     bool
}

func (d *systemdImport) off(file string, line int, text, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	d.s.off = append(d.s.off, why)
	d.lost(file, line, text, "", "%s is not served: %s", d.s.name, why)
}

// unit reads a unit: the section of its own kind by rows, all else as what stands elsewhere.
func (d *systemdImport) unit(u *sdUnit, section string, rows map[string]sdRow) {
	for i := range u.sets {
		if set := &u.sets[i]; set.section == section {
			d.set(set, rows)
		} else {
			d.elsewhere(set)
		}
	}
}

// set does what a table says of a directive.
func (d *systemdImport) set(set *sdSet, table map[string]sdRow) {
	row, ok := table[set.key]
	switch {
	case !ok:
		d.lost(set.file, set.line, set.text, "see whether the service needs it", "%s= is not carried over", set.key)
	case row.do != nil:
		row.do(d, set)
	default:
		d.add(Loss{set.file, set.line, row.kind, printable(set.text), set.key + "= is not carried over: " + row.why, row.instead})
	}
}

// elsewhere is a directive of [Unit] or [Install].
func (d *systemdImport) elsewhere(set *sdSet) {
	switch {
	case set.key == "Description" || set.key == "Documentation" || set.section == "Install":
	case strings.HasPrefix(set.key, "Condition") || strings.HasPrefix(set.key, "Assert"):
		d.lost(set.file, set.line, set.text, "leave the service out where it is not meant", "%s= is not looked at", set.key)
	default:
		d.note(set.file, set.line, set.text, "", "%s= of [%s] orders units, and has no place here", set.key, set.section)
	}
}

// finish puts together what several directives say.
func (d *systemdImport) finish() {
	s := d.s
	s.wait = !d.accept
	for _, l := range d.listens {
		d.listen(&l)
	}
	if len(d.listens) == 0 && len(s.off) == 0 {
		d.off(s.file, 1, s.text, "it listens on nothing")
	}
	if slices.ContainsFunc(s.listen, func(l string) bool { return strings.HasPrefix(l, "unix") && !strings.Contains(l, ":@") }) {
		s.socket = append(s.socket, "mode = "+quote(cmpOr(d.mode, "0666")))
	} else {
		s.socket = slices.DeleteFunc(s.socket, func(a string) bool { return strings.HasPrefix(a, "owner") || strings.HasPrefix(a, "group") })
	}
	if !slices.ContainsFunc(s.listen, func(l string) bool { return strings.HasPrefix(l, "tcp") }) {
		d.option("keepalive", "")
		d.option("nodelay", "")
	}
	if !slices.ContainsFunc(s.listen, func(l string) bool { return strings.HasPrefix(l, "tcp") || strings.HasPrefix(l, "udp") }) {
		for _, name := range []string{"interface", "freebind", "transparent", "tos", "mark", "priority"} {
			d.option(name, "") // to systemd as well a unix socket or a vsock has none of them
		}
	}
	d.streams()
	d.rates()
	switch {
	case d.dynamic:
		s.user, s.group = string(policy.Dynamic), ""
	case s.user == "":
		s.user = "root"
	}
	s.anyone = len(d.deny) == 0
	if !s.anyone {
		s.acl = acl.List{Default: acl.Allow}
		if len(d.allow) > 0 {
			s.acl.Rules = append(s.acl.Rules, acl.Rule{Verdict: acl.Allow, From: compact(d.allow)})
		}
		s.acl.Rules = append(s.acl.Rules, acl.Rule{Verdict: acl.Deny, From: compact(d.deny)})
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// streams are what the program finds at its standard streams.
func (d *systemdImport) streams() {
	switch {
	case d.input != "socket":
		d.s.stdio = "listen_fds"
	case d.err == "socket":
		d.s.stdio = "socket-all"
	}
	word, _, _ := strings.Cut(d.output, "+")
	if slices.Contains([]string{"journal", "syslog", "kmsg"}, word) && d.err != "socket" {
		d.s.stdout = policy.StdoutLog
	} else if d.input == "socket" && d.output != "" && d.output != "socket" && d.output != "inherit" {
		d.lost(d.s.file, 1, d.s.text, "let the program write to the log", "StandardOutput=%s is not carried over: what the program writes goes to the client", d.output)
	}
}

// listen reads one address.
func (d *systemdImport) listen(l *sdSet) {
	kind := map[string][2]string{"ListenStream": {"tcp", "unix"}, "ListenDatagram": {"udp", "unixgram"}, "ListenSequentialPacket": {"", "unixpacket"}}[l.key]
	network, number := kind[0], l.value
	switch i := strings.LastIndexByte(l.value, ':'); {
	case l.value == "":
		d.s.listen = nil // an empty assignment forgets those before it
		return
	case l.value[0] == '/' || l.value[0] == '@':
		d.s.listen = append(d.s.listen, kind[1]+":"+l.value)
		return
	case l.key == "ListenStream" && strings.HasPrefix(l.value, "vsock:"):
		// vsock:CID:PORT, of which an empty CID is any (systemd.socket(5))
		cid, port, _ := strings.Cut(strings.TrimPrefix(l.value, "vsock:"), ":")
		text := strings.TrimPrefix(cid+":"+port, ":")
		if _, _, ok := endpoint.Numbers(text); !ok {
			d.off(l.file, l.line, l.text, "%q is no address", l.value)
			return
		}
		d.s.listen = append(d.s.listen, "vsock:"+text)
		return
	case network == "" || strings.HasPrefix(l.value, "vsock:"):
		d.off(l.file, l.line, l.text, "%s has no counterpart", l.text)
		return
	case i >= 0:
		host := hostOf(strings.Trim(l.value[:i], "[]"))
		if host == "" {
			d.off(l.file, l.line, l.text, "%q is no address", l.value)
			return
		}
		number = l.value[i+1:]
		network = map[bool]string{true: network + "6", false: network + "4"}[strings.Contains(host, ":")]
		switch {
		case host == "::" && !d.six:
			network, host = kind[0], ""
		case host == "::" || host == "0.0.0.0":
			host = ""
		}
		d.add1(l, network, host, number)
		return
	case d.six:
		network += "6"
	}
	d.add1(l, network, "", number)
}

func (d *systemdImport) add1(l *sdSet, network, host, number string) {
	if _, err := parsePort(number); err != nil {
		d.off(l.file, l.line, l.text, "%q is no port", number)
		return
	}
	d.s.listen = append(d.s.listen, listenOn(network, host, number))
}

// SystemdService is the service that a socket unit starts, and whether it does for each
// connection, by its text.
func SystemdService(socket string, text []byte) (service string, accept bool) {
	name := strings.TrimSuffix(path.Base(socket), ".socket")
	for _, set := range parseUnit(socket, name, string(text), func(int, string, string) {}).sets {
		switch set.key {
		case "Service":
			service = path.Base(set.value)
		case "Accept":
			accept = slices.Contains([]string{"yes", "true", "on", "1"}, strings.ToLower(set.value))
		}
	}
	switch {
	case strings.HasSuffix(service, ".service"):
	case accept:
		service = name + "@.service"
	default:
		service = name + ".service"
	}
	return service, accept
}

// SystemdUnits finds the socket units of a host, with their services, below directories of
// fsys in the order in which systemd prefers them: those that are enabled in the first of
// them, which is the administrator's, and not masked.
func SystemdUnits(fsys fs.FS, dirs []string) (out []policy.SourceFile) {
	r, seen := &xReader{fsys: fsys}, map[string]bool{}
	find := func(name string) (policy.SourceFile, bool) {
		for _, dir := range dirs {
			at := path.Join(dir, name)
			if text, err := r.bounded(at); err == nil {
				return policy.SourceFile{Name: "/" + at, Data: text}, len(text) > 0
			}
		}
		return policy.SourceFile{}, false
	}
	links, _ := fs.Glob(fsys, dirs[0]+"/*.wants/*.socket")
	for _, l := range links {
		name := path.Base(l)
		f, ok := find(name)
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		out = append(out, f)
		service, _ := SystemdService(name, f.Data)
		if g, ok := find(service); ok && !seen[service] {
			seen[service] = true
			out = append(out, g)
		}
	}
	return out
}

// bounded reads a regular file of a bounded size.
func (r *xReader) bounded(name string) ([]byte, error) {
	info, err := fs.Stat(r.fsys, name)
	if err != nil {
		return nil, err
	}
	return r.read(name, info)
}

package inetd

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"casemate/policy/suggest"
)

// raw are the words of an entry, as both forms of a line give them.
type raw struct {
	all                       Range
	hosts                     []Text // nil is the sticky ones
	service, socket, protocol Text
	wait                      Text
	user                      Text
	program                   Text
	args                      []Text
}

var (
	socketTypes = []string{"stream", "dgram", "raw", "rdm", "seqpacket"}
	waitWord    = regexp.MustCompile(`^(no)?wait([.:/]|$)`)
)

// positional reads an entry of which each word is in its place.
func (p *parser) positional(words []Text, all Range) {
	if len(words) < 6 {
		p.add(Error, all, "write: service, stream or dgram, protocol, wait or nowait, user, program, arguments", "the entry has %d words, and needs at least 6", len(words))
		return
	}
	w := raw{all: all, service: words[0], socket: words[1], protocol: words[2], wait: words[3], user: words[4], program: words[5], args: words[6:]}
	e := &Entry{Dialect: p.dialect, At: all}
	before := p.errors()
	p.wait(e, w.wait)
	p.user(e, w.user)
	p.finish(e, &w, before)
}

// errors counts the findings that keep an entry out of the table.
func (p *parser) errors() (n int) {
	if p.scouting {
		return 0
	}
	return len(p.table.Findings)
}

// kept tells whether an entry of which the first n findings say nothing is one to serve.
func (p *parser) kept(n int) bool {
	return !p.scouting && len(p.table.Findings) < maxFindings && !slices.ContainsFunc(p.table.Findings[min(n, len(p.table.Findings)):], func(f Finding) bool { return f.Level < Loss })
}

// finish reads what both forms of a line have, and adds the entry to the table.
func (p *parser) finish(e *Entry, w *raw, before int) {
	p.service(e, w)
	p.socket(e, w.socket)
	p.protocol(e, w.protocol)
	p.program(e, w)
	if p.kept(before) {
		p.table.Entries = append(p.table.Entries, *e)
		return
	}
	p.directive("skipped", e.At) // the findings say why
}

// service reads the first word: address, name or number, path of a unix socket.
func (p *parser) service(e *Entry, w *raw) {
	s := w.service
	e.Service = s
	switch {
	case strings.HasPrefix(s.Text, ":") && strings.Contains(s.Text, ":/"):
		p.uses(&unixOwner, s.At)
		parts := s.pieces(':')
		if len(parts) < 5 || !strings.HasPrefix(parts[4].Text, "/") {
			p.add(Error, s.At, "write :user:group:mode:/path", "%q is no unix socket with an owner", s.Text)
			return
		}
		if parts[1].Text != "" {
			e.Unix.Owner = parts[1]
		}
		if parts[2].Text != "" {
			e.Unix.Group = parts[2]
		}
		e.Service = s.part(len(parts[1].Text)+len(parts[2].Text)+len(parts[3].Text)+4, len(s.Text)) // a path may have colons
		mode, err := strconv.ParseUint(parts[3].Text, 8, 32)
		if err != nil || mode > 0o777 {
			p.add(Error, parts[3].At, "write it as 0660", "%q is no mode of a file", parts[3].Text)
		}
		e.Unix.Mode, e.Unix.ModeAt = uint32(mode), parts[3].At
		return
	case strings.HasPrefix(s.Text, "/"):
		e.Service = s
		return
	}
	hosts := w.hosts
	if i := lastColon(s.Text); i >= 0 {
		p.uses(&address, s.At)
		hosts, s = p.hosts(s.part(0, i)), s.part(i+1, len(s.Text))
	} else if hosts == nil {
		hosts = p.addresses
	}
	e.Addresses = hosts
	if mux, ok := strings.CutPrefix(s.Text, "tcpmux/"); ok {
		p.uses(&muxes, s.At)
		e.Mux, e.Plus = true, strings.HasPrefix(mux, "+")
		s = s.part(len(s.Text)-len(strings.TrimPrefix(mux, "+")), len(s.Text))
	}
	if s.Text == "" {
		p.add(Error, w.service.At, "write the name or the number of its port", "the entry has no service")
	} else if strings.Trim(s.Text, "0123456789") == "" {
		p.uses(&portNumber, s.At)
	}
	e.Service = s
}

// lastColon is the offset of the last colon that is not within brackets, or -1.
func lastColon(s string) int {
	bracket := strings.LastIndexByte(s, ']')
	i := strings.LastIndexByte(s[bracket+1:], ':')
	if i < 0 {
		return -1
	}
	return bracket + 1 + i
}

// hosts reads a list of addresses.
func (p *parser) hosts(w Text) []Text {
	list := w.pieces(',')
	if len(list) > 1 {
		p.uses(&addresses, w.At)
	}
	for _, h := range list {
		inner, bracketed := strings.CutPrefix(h.Text, "[")
		inner, closed := strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		switch {
		case h.Text == "":
			p.add(Error, w.At, "write an address, or * for all", "an address is missing")
		case strings.Contains(h.Text, ":") && !(bracketed && closed):
			p.add(Error, h.At, "write ["+inner+"]", "an IPv6 address stands in brackets")
		case bracketed != closed, bracketed && (err != nil || !a.Is6()):
			p.add(Error, h.At, "write it as [2001:db8::1]", "%q is no IPv6 address", h.Text)
		}
	}
	if len(list) == 1 && list[0].Text == "*" {
		return nil
	}
	return list
}

// socket reads the type with the limit and the accept filter behind it.
func (p *parser) socket(e *Entry, w Text) {
	if !w.Written() {
		return // reported where it is missing
	}
	w, filtered, filter := w.cut(":")
	w, limited, limit := w.cut(",")
	e.Socket = w
	if !slices.Contains(socketTypes, w.Text) {
		next := "write one of: " + strings.Join(socketTypes, ", ")
		if meant := suggest.Word(w.Text, socketTypes); meant != "" {
			next = "did you mean " + meant + "?"
		}
		p.add(Error, w.At, next, "there is no type of socket %q", w.Text)
	}
	if filtered != 0 {
		p.uses(&acceptWith, filter.At)
		p.filter(filter)
	}
	if limited != 0 {
		p.uses(&commaMax, limit.At)
		e.Concurrent = p.number(limit)
	}
}

func (p *parser) filter(w Text) {
	p.add(Loss, w.At, "bound clients that say nothing with idle, or session of a limit", "accept filter %q is not set: a client is served before it sends anything", w.Text)
}

// protocolWords are the protocols, and those that nobody here serves.
var (
	protocolWords = []string{"tcp", "tcp4", "tcp6", "tcp46", "tcp6only", "udp", "udp4", "udp6", "udp46", "udp6only", "unix", "rpc/tcp", "rpc/udp"}
	foreignWords  = []string{"sctp", "dccp", "icmp", "icmp6", "udplite", "ip", "ddp", "mptcp"}
)

// protocol reads the protocol with its options, and tells the network.
func (p *parser) protocol(e *Entry, w Text) {
	if !w.Written() {
		return
	}
	options := w.pieces(',')
	w = options[0]
	for _, o := range options[1:] {
		p.buffer(o)
	}
	e.Protocol = w
	kind, rpc := strings.CutPrefix(w.Text, "rpc/")
	family := strings.TrimPrefix(strings.TrimPrefix(kind, "tcp"), "udp")
	base := strings.TrimSuffix(kind, family)
	switch {
	case w.Text == "unix":
		p.unix(e)
		return
	case slices.Contains(foreignWords, w.Text):
		p.add(Unserved, w.At, "serve it with another program", "%s/%s is not served: there are tcp, udp and unix", e.Service.Text, w.Text)
		return
	case base != "tcp" && base != "udp" || !slices.Contains([]string{"", "4", "6", "46", "6only"}, family):
		next := "write one of: " + strings.Join(protocolWords, ", ")
		if meant := suggest.Word(w.Text, protocolWords); meant != "" {
			next = "did you mean " + meant + "?"
		}
		p.add(Error, w.At, next, "there is no protocol %q", w.Text)
		return
	case family == "46":
		p.uses(&dualFamily, w.At)
	case family == "6only":
		p.uses(&sixOnly, w.At)
	}
	switch want := map[string]string{"tcp": "stream", "udp": "dgram"}[base]; {
	case strings.HasPrefix(e.Service.Text, "/"):
		p.add(Error, w.At, "write unix", "a path is a unix socket, not %s", w.Text)
	case e.Socket.Text == "raw" || e.Socket.Text == "rdm" || e.Socket.Text == "seqpacket":
		p.add(Unserved, e.Socket.At, "serve it with another program", "%s/%s is not served: sockets of type %s need rights that no service has here", e.Service.Text, w.Text, e.Socket.Text)
	case e.Socket.Text != want && slices.Contains(socketTypes, e.Socket.Text):
		p.add(Error, e.Socket.At, "write "+want, "%s is %s, not %s", w.Text, want, e.Socket.Text)
	}
	both := family == "46" || family == "" && p.both || family == "6" && p.dual
	switch {
	case both:
	case strings.HasPrefix(family, "6"):
		base += "6"
	default:
		base += "4"
	}
	e.Network = base
	p.special(e, w, rpc)
}

// special reports the services that have no port of their own.
func (p *parser) special(e *Entry, w Text, rpc bool) {
	switch {
	case rpc:
		p.uses(&rpcs, w.At)
		e.RPC = true
		if name, sep, versions := e.Service.cut("/"); sep != 0 {
			e.Service, e.Versions = name, versions
		}
		p.add(Unserved, e.At, "serve it with a program that registers itself", "%s is not served: casemate registers nothing with rpcbind", e.Key())
	case strings.Contains(e.Service.Text, "/"):
		p.add(Error, e.Service.At, "write rpc/tcp or rpc/udp as its protocol", "%q has versions, which only RPC programs have", e.Service.Text)
	case e.Mux:
		p.add(Unserved, e.At, "give it a port of its own", "tcpmux/%s is not served", e.Service.Text)
	}
	if len(e.Addresses) > maxAddresses {
		p.add(Error, e.Addresses[maxAddresses].At, "make several entries of it", "an entry has at most %d addresses", maxAddresses)
	}
}

// maxAddresses is as many as a service listens on.
const maxAddresses = 256

// unix completes the entry of a unix socket.
func (p *parser) unix(e *Entry) {
	p.uses(&unixSockets, e.Protocol.At)
	if !strings.HasPrefix(e.Service.Text, "/") {
		p.add(Error, e.Service.At, "write the path of its socket in place of the service", "a unix socket has a path, and %q is none", e.Service.Text)
	}
	e.Network = map[string]string{"stream": "unix", "dgram": "unixgram", "seqpacket": "unixpacket"}[e.Socket.Text]
	if e.Network == "" && slices.Contains(socketTypes, e.Socket.Text) {
		p.add(Unserved, e.Socket.At, "write stream, dgram or seqpacket", "%s/unix is not served: there is no unix socket of type %s", e.Service.Text, e.Socket.Text)
	}
	if e.Unix.ModeAt.Filename != "" {
		return
	}
	e.Unix.Mode, e.Unix.Unknown = p.mode, p.mode == 0
	if p.owned {
		e.Unix.Owner, e.Unix.Group = e.User, e.Group
	}
}

// buffer reads sndbuf=N or rcvbuf=N.
func (p *parser) buffer(w Text) {
	p.uses(&buffers, w.At)
	key, sep, size := w.cut("=")
	if sep == 0 || key.Text != "sndbuf" && key.Text != "rcvbuf" {
		p.add(Error, w.At, "write sndbuf=16k or rcvbuf=16k", "%q is no option of a protocol", w.Text)
		return
	}
	p.size(key.Text, size)
}

var bufferSize = regexp.MustCompile(`^[0-9]{1,9}[kKmM]?$`)

func (p *parser) size(key string, w Text) {
	if !bufferSize.MatchString(w.Text) {
		p.add(Error, w.At, "write it as 16k", "%q is no size of a buffer", w.Text)
		return
	}
	p.add(Loss, w.At, "set net.core and net.ipv4.tcp_* of the host, if its kernel's sizes are not enough", "%s=%s is not set: the kernel chooses the sizes of buffers", key, w.Text)
}

// wait reads wait or nowait with the limits behind it.
func (p *parser) wait(e *Entry, w Text) {
	word, sep, rest := w.cut(".:/")
	e.Wait, e.WaitAt = word.Text == "wait", word.At
	if word.Text != "wait" && word.Text != "nowait" {
		p.add(Error, word.At, "write wait or nowait", "%q is neither wait nor nowait", word.Text)
		return
	}
	switch sep {
	case '.':
		p.uses(&dotMax, w.At)
		e.PerMinute = p.number(rest)
	case ':':
		p.uses(&colonMax, w.At)
		e.PerMinute = p.number(rest)
	case '/':
		p.uses(&slashLimits, w.At)
		limits := rest.pieces('/')
		if len(limits) > 3 {
			p.add(Error, rest.At, "write nowait/sessions/per-minute/sessions-per-address", "there are at most three limits")
			return
		}
		for i, to := range []*Number{&e.Concurrent, &e.PerSourcePerMinute, &e.PerSourceConcurrent}[:len(limits)] {
			*to = p.number(limits[i])
		}
	}
}

// number reads a limit.
func (p *parser) number(w Text) Number {
	n, err := strconv.ParseUint(w.Text, 10, 31)
	if err != nil || n > maxLimit {
		p.add(Error, w.At, "write a number up to "+strconv.Itoa(maxLimit)+", or 0 for no limit", "%q is no limit", w.Text)
	}
	return Number{N: int(n), At: w.At}
}

// maxLimit is the largest number that a limit of the policy has.
const maxLimit = 1000000

// user reads who the program runs as.
func (p *parser) user(e *Entry, w Text) {
	w, classed, class := w.cut("/")
	if classed != 0 {
		p.uses(&loginClass, class.At)
		e.Class = class
		p.add(Loss, class.At, "write what it bounds into resources { ... } of a profile", "login class %q is not applied", class.Text)
	}
	orders := []string{":", "."}
	switch {
	case p.dotFirst:
		orders = []string{".", ":"}
	case p.dialect == FreeBSD:
		orders = orders[:1]
	}
	e.User = w
	for _, sep := range orders {
		if user, found, group := w.cut(sep); found != 0 {
			e.User, e.Group = user, group
			break
		}
	}
	if e.User.Text == "" || e.Group.Written() && e.Group.Text == "" {
		p.add(Error, w.At, "write user, or user:group", "%q names no user", w.Text)
	}
}

// program reads what runs: a program with its arguments, or the inetd itself.
func (p *parser) program(e *Entry, w *raw) {
	if w.program.Text == "internal" {
		p.internal(e, w)
		return
	}
	e.Program, e.Args = w.program, w.args
	if !path.IsAbs(e.Program.Text) {
		p.add(Error, e.Program.At, "write its full path, as /usr/sbin/"+path.Base(path.Clean("/"+e.Program.Text)), "%q is no path of a program", e.Program.Text)
		return
	}
	for _, a := range e.Args {
		if strings.HasPrefix(a.Text, "#") {
			p.add(Loss, a.At, "put a comment on a line of its own", "what follows # are arguments of the program, and no comment")
			break
		}
	}
	for _, a := range e.Args {
		if p.quotes == unquoted && a.Text != "" && strings.ContainsRune(`"'`, rune(a.Text[0])) {
			p.add(Loss, a.At, "put the command into a script, or give it command = [...] in a block that extends the entry", "a quote is part of the argument for the inetd of %s, which takes words apart at blanks alone", p.dialect)
			break
		}
	}
	if path.Base(e.Program.Text) == "tcpd" {
		p.wrapped(e)
		return
	}
	if len(e.Args) > 0 {
		return
	}
	name := Text{path.Base(e.Program.Text), Range{w.all.Filename, w.all.End, w.all.End}}
	switch p.argv {
	case "path":
		name.Text = e.Program.Text
	case "":
		p.add(Error, e.Program.At, "write "+e.Program.Text+" "+name.Text, "the entry has no argv[0], which the inetd of %s does not supply", p.dialect)
	}
	e.Args = []Text{name}
}

// Internals are the services that an inetd serves itself and casemate has as well.
var Internals = []string{"chargen", "daytime", "discard", "echo", "time"}

// internal reads an entry that the inetd serves itself.
func (p *parser) internal(e *Entry, w *raw) {
	e.Internal, e.Program.At = strings.ToLower(e.Service.Text), w.program.At
	if e.Internal == "auth" || e.Internal == "ident" {
		p.uses(&identd, w.program.At)
	}
	if !slices.Contains(Internals, e.Internal) && !e.RPC && !e.Mux {
		p.add(Unserved, w.program.At, "name a program that serves it", "%s is not served: casemate itself serves %s", e.Key(), strings.Join(Internals, ", "))
	} else if len(w.args) > 0 {
		p.add(Loss, w.args[0].At, "remove it", "a service that the inetd serves itself takes no arguments")
	}
}

// wrapped replaces tcpd by what it would run.
func (p *parser) wrapped(e *Entry) {
	e.Wrapper = e.Program
	if len(e.Args) == 0 {
		p.add(Error, e.Program.At, "write the program behind it", "tcpd has no program to run")
		return
	}
	e.Args = slices.Clone(e.Args)
	e.Program = e.Args[0]
	if path.IsAbs(e.Program.Text) {
		e.Args[0].Text = path.Base(e.Program.Text)
	} else {
		e.Program.Text = path.Join("/usr/sbin", e.Program.Text)
	}
}

package inetd

import (
	"regexp"
	"slices"
	"strconv"
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
		p.directive("skipped", all)
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
	for i := before; !p.scouting && i < len(p.table.Findings); i++ {
		if f := &p.table.Findings[i]; f.Level == Unserved {
			f.Key = e.Key()
		}
	}
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

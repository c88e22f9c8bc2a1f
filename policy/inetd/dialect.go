package inetd

import (
	"fmt"
	"slices"
)

// quoting is what a dialect takes for a quote.
type quoting int

const (
	unquoted quoting = iota
	wholeWords
	shellLike
	escapes // shell-like, with backslashes
)

// traits are what the same words mean in a dialect.
type traits struct {
	// continues: a line that begins with a blank goes on with the entry above.
	continues bool
	quotes    quoting
	// both: tcp and udp are both families, not IPv4 alone.
	both bool
	// dual: tcp6 serves IPv4 clients as well.
	dual bool
	// dotFirst: in user.group:x the dot is looked for before the colon.
	dotFirst bool
	// argv: what argv[0] is where the line has none; "" is an error.
	argv string
	// mode of the file of a unix socket; 0 is not known.
	mode uint32
	// owned: that file belongs to the entry's user.
	owned bool
}

var dialects = map[Dialect]traits{
	Debian:  {continues: true, both: true, argv: "base", mode: 0o666, owned: true},
	OpenBSD: {continues: true, argv: "base", mode: 0o666, owned: true},
	FreeBSD: {continues: true, quotes: wholeWords, mode: 0o200},
	NetBSD:  {continues: true, quotes: shellLike},
	GNU:     {quotes: escapes, dual: true, argv: "base"},
	Busybox: {argv: "path", dotFirst: true},
}

// feature is a way to write that not all dialects know.
type feature struct {
	what string
	in   []Dialect
	// weak: it rules dialects out only where something of that dialect is not there as well.
	weak bool
}

var (
	keyValues   = feature{what: "`service on key = value;`", in: []Dialect{NetBSD}}
	includes    = feature{what: "an include", in: []Dialect{NetBSD}}
	colonMax    = feature{what: "a limit after a colon", in: []Dialect{NetBSD}}
	commaMax    = feature{what: "a limit of the socket type", in: []Dialect{NetBSD}}
	acceptWith  = feature{what: "an accept filter", in: []Dialect{NetBSD}}
	slashLimits = feature{what: "a limit after a slash", in: []Dialect{FreeBSD}}
	loginClass  = feature{what: "a login class", in: []Dialect{FreeBSD}}
	unixOwner   = feature{what: "`:user:group:mode:/path`", in: []Dialect{FreeBSD}}
	identd      = feature{what: "the internal auth", in: []Dialect{FreeBSD}}
	sixOnly     = feature{what: "tcp6only", in: []Dialect{GNU}}
	dotMax      = feature{"a limit after a dot", []Dialect{Debian, OpenBSD, NetBSD, GNU, Busybox}, true}
	address     = feature{"an address in front of a service", []Dialect{Debian, OpenBSD, NetBSD, GNU, Busybox}, true}
	addresses   = feature{"a list of addresses", []Dialect{Debian, OpenBSD, GNU}, true}
	portNumber  = feature{"the number of a port", []Dialect{Debian, OpenBSD, NetBSD, GNU, Busybox}, true}
	unixSockets = feature{"a unix socket", []Dialect{Debian, OpenBSD, FreeBSD, NetBSD, Busybox}, true}
	dualFamily  = feature{"one socket for both families", []Dialect{Debian, FreeBSD}, true}
	buffers     = feature{"the size of a buffer", []Dialect{Debian, OpenBSD, NetBSD}, true}
	rpcs        = feature{"an RPC program", []Dialect{Debian, OpenBSD, FreeBSD, NetBSD, Busybox}, true}
	muxes       = feature{"a tcpmux service", []Dialect{FreeBSD, NetBSD, GNU}, true}
)

// sign is a feature that the text has, and where.
type sign struct {
	feature
	at Range
}

// choose is the first dialect that knows what the text writes. Two signs of which no
// dialect knows both are returned as well: nobody can tell whose file that is.
func choose(signs []sign) (d Dialect, one, other *sign) {
	left := Dialects
	for _, weak := range []bool{false, true} {
		for i := range signs {
			s := &signs[i]
			if s.weak != weak {
				continue
			}
			fits := slices.DeleteFunc(slices.Clone(left), func(d Dialect) bool { return !slices.Contains(s.in, d) })
			if len(fits) > 0 {
				left = fits
				continue
			}
			for k := range signs {
				if !weak && !signs[k].weak && other == nil && !slices.Contains(s.in, signs[k].in[0]) {
					one, other = &signs[k], s
				}
			}
		}
	}
	return left[0], one, other
}

// uses notes that the text has a feature. Once the dialect is settled, one that it does
// not know is a loss: its inetd reads that line otherwise, or not at all.
func (p *parser) uses(f *feature, at Range) {
	if p.scouting {
		p.signs = append(p.signs, sign{*f, at})
	} else if !slices.Contains(f.in, p.dialect) {
		p.add(Loss, at, fmt.Sprintf("it is taken as %s means it; if that is whose file this is, write inetd { dialect = %q }", f.in[0], f.in[0]),
			"%s is nothing that the inetd of %s knows", f.what, p.dialect)
	}
}

package inetd

import (
	"slices"
	"strconv"
	"strings"

	"casemate/policy/suggest"
)

// keys are those of a definition `service on key = value, ...;` (netbsd).
var keys = []string{"bind", "socktype", "acceptfilter", "protocol", "sndbuf", "recvbuf", "wait", "service_max", "ip_max", "accept_max",
	"user", "group", "exec", "args", "ipsec"}

// definition reads a definition's pairs.
type definition struct {
	*parser
	start  int // the word on or off
	i      int // the next byte
	values map[string][]Text
	at     map[string]Range
	// wrong is why it cannot be read on, and where.
	wrong string
	where int
}

// keyValue reads the definition that begins in line n and returns its last line.
func (p *parser) keyValue(n int, words []Text) int {
	start, _ := p.ends(n)
	d := &definition{parser: p, start: words[1].At.Start.Byte, i: words[1].At.End.Byte, values: map[string][]Text{}, at: map[string]Range{}}
	before := p.errors()
	p.uses(&keyValues, words[1].At)
	d.pairs()
	if d.wrong != "" {
		for d.i < len(p.data) && p.data[d.i] != ';' {
			d.i++
		}
		d.i = min(d.i+1, len(p.data))
		p.add(Error, p.at(d.where, min(d.where+1, len(p.data))), "write service on key = value, key = value;", "%s", d.wrong)
		p.directive("skipped", p.at(start, d.i))
		return p.line(max(d.i-1, start))
	}
	all := p.at(words[0].At.Start.Byte, d.i)
	e := &Entry{Dialect: p.dialect, At: all}
	w := d.words(e, words[0], all)
	if words[1].Text == "off" && !p.scouting { // still to be sound
		kept := len(p.table.Entries)
		p.finish(e, w, before)
		p.table.Entries = p.table.Entries[:kept]
		p.add(Off, all, "write on to have it", "%s is switched off", e.Key())
	} else {
		p.finish(e, w, before)
	}
	last := p.line(d.i - 1)
	_, end := p.ends(last)
	if rest, _ := p.split(d.i, end, unquoted); len(rest) > 0 && !strings.HasPrefix(rest[0].Text, "#") {
		p.add(Error, rest[0].At, "begin it on a line of its own", "there is more on the line after the definition")
	}
	return last
}

// skip passes blanks, newlines and comments.
func (d *definition) skip() {
	for ; d.i < len(d.data); d.i++ {
		switch c := d.data[d.i]; {
		case c == '#':
			for d.i+1 < len(d.data) && d.data[d.i+1] != '\n' {
				d.i++
			}
		case !blank(c) && c != '\n' && c != '\r':
			return
		}
	}
}

func (d *definition) fail(what string, at int) bool {
	if d.wrong == "" {
		d.wrong, d.where = what, at
	}
	return false
}

// pairs reads up to the semicolon.
func (d *definition) pairs() bool {
	for first := true; ; first = false {
		d.skip()
		if d.i < len(d.data) && d.data[d.i] == ';' && first {
			d.i++
			return true
		}
		key, ok := d.token()
		if !ok {
			return d.fail("a key is missing", d.i)
		}
		if d.skip(); d.i >= len(d.data) || d.data[d.i] != '=' {
			return d.fail("= is missing after "+strconv.Quote(key.Text), min(d.i, len(d.data)))
		}
		d.i++
		var values []Text
		for {
			d.skip()
			v, ok := d.token()
			if !ok {
				break
			}
			values = append(values, v)
		}
		if d.wrong != "" {
			return false
		}
		d.take(key, values)
		switch {
		case d.i >= len(d.data):
			return d.fail("the definition does not end with ;", d.start)
		case d.data[d.i] == ';':
			d.i++
			return true
		case d.data[d.i] != ',':
			return d.fail("a comma is missing", d.i)
		}
		d.i++
	}
}

// take keeps a pair.
func (d *definition) take(key Text, values []Text) {
	switch {
	case !slices.Contains(keys, key.Text):
		next := "write one of: " + strings.Join(keys, ", ")
		if meant := suggest.Word(key.Text, keys); meant != "" {
			next = "did you mean " + meant + "?"
		}
		d.add(Error, key.At, next, "there is no key %q", key.Text)
	case d.at[key.Text].Filename != "":
		d.add(Error, key.At, "remove one of them", "%s is there twice", key.Text)
	case len(values) == 0:
		d.add(Error, key.At, "write "+key.Text+" = value", "%s has no value", key.Text)
	case len(values) > 1 && key.Text != "args" && key.Text != "ipsec":
		d.add(Error, values[1].At, "write one value, and a comma before the next key", "%s has several values", key.Text)
	}
	d.values[key.Text], d.at[key.Text] = values, key.At
}

// token reads a word or a quoted text with its escapes.
func (d *definition) token() (Text, bool) {
	start := d.i
	if start >= len(d.data) {
		return Text{}, false
	}
	if quote := d.data[start]; quote == '"' || quote == '\'' {
		var b strings.Builder
		for d.i++; d.i < len(d.data) && d.data[d.i] != quote; d.i++ {
			if d.data[d.i] == '\n' {
				break
			}
			if d.data[d.i] != '\\' {
				b.WriteByte(d.data[d.i])
			} else if !d.escape(&b) {
				return Text{}, d.fail("an escape is one of \\\\ \\n \\t \\r \\' \\\" and \\x with two digits", d.i)
			}
		}
		if d.i >= len(d.data) || d.data[d.i] != quote {
			return Text{}, d.fail("a quote is not closed", start)
		}
		d.i++
		if !d.printable(start, d.i) {
			return Text{}, d.fail("a text is not UTF-8", start)
		}
		return Text{b.String(), d.text.at(start, d.i)}, true
	}
	for d.i < len(d.data) && !strings.ContainsRune(" \t\r\n,;=#\"'", rune(d.data[d.i])) {
		d.i++
	}
	if d.i == start {
		return Text{}, false
	}
	if !d.printable(start, d.i) {
		return Text{}, d.fail("a word is not UTF-8", start)
	}
	return Text{string(d.data[start:d.i]), d.text.at(start, d.i)}, true
}

// escape reads the escape at the backslash under d.i, up to its last byte.
func (d *definition) escape(b *strings.Builder) bool {
	if d.i+1 >= len(d.data) {
		return false
	}
	d.i++
	if c, ok := map[byte]byte{'\\': '\\', 'n': '\n', 't': '\t', 'r': '\r', '\'': '\'', '"': '"'}[d.data[d.i]]; ok {
		return b.WriteByte(c) == nil
	}
	if d.data[d.i] != 'x' || d.i+2 >= len(d.data) {
		return false
	}
	c, err := strconv.ParseUint(string(d.data[d.i+1:d.i+3]), 16, 8)
	d.i += 2
	return err == nil && c != 0 && c < 0x80 && b.WriteByte(byte(c)) == nil
}

// one is the value of a key, or the zero Text.
func (d *definition) one(key string) Text {
	if v := d.values[key]; len(v) > 0 {
		return v[0]
	}
	return Text{}
}

// words gives a definition as the words of a line, and reads what only it has.
func (d *definition) words(e *Entry, service Text, all Range) *raw {
	w := &raw{all: all, service: service, socket: d.one("socktype"), protocol: d.one("protocol"), program: d.one("exec"), args: d.values["args"]}
	if bind := d.one("bind"); bind.Written() {
		if strings.Contains(bind.Text, ":") && !strings.HasPrefix(bind.Text, "[") {
			bind.Text = "[" + bind.Text + "]" // alone here, it needs none
		}
		if w.hosts = d.hosts(bind); w.hosts == nil {
			w.hosts = []Text{}
		}
	}
	for _, key := range []string{"socktype", "protocol"} {
		if d.at[key].Filename == "" {
			d.add(Error, service.At, "write "+map[string]string{"socktype": "socktype = stream", "protocol": "protocol = tcp"}[key], "%s has no %s", service.Text, key)
		}
	}
	internal := !w.program.Written()
	if internal {
		w.program = Text{"internal", service.At}
		if len(w.args) > 0 {
			d.add(Error, w.args[0].At, "write exec = /path, or remove args", "an internal service takes no arguments")
		}
	}
	switch wait := d.one("wait"); {
	case wait.Text == "yes" || wait.Text == "no":
		e.Wait, e.WaitAt = wait.Text == "yes", wait.At
	case wait.Written():
		d.add(Error, wait.At, "write yes or no", "wait is yes or no, not %q", wait.Text)
	case !internal:
		d.add(Error, service.At, "write wait = no", "%s has no wait", service.Text)
	}
	if user := d.one("user"); user.Written() {
		d.user(e, user)
	} else if !internal {
		d.add(Error, service.At, "write user = nobody", "%s has no user", service.Text)
	}
	if group := d.one("group"); group.Written() {
		e.Group = group
	}
	limits := []*Number{&e.PerMinute, &e.PerSourcePerMinute, &e.Concurrent}
	for i, key := range []string{"service_max", "ip_max", "accept_max"} {
		if n := d.one(key); n.Written() {
			*limits[i] = d.number(n)
		}
	}
	d.losses(e)
	return w
}

// losses reports the keys that have no counterpart, or none in part.
func (d *definition) losses(e *Entry) {
	if f := d.one("acceptfilter"); f.Written() {
		d.filter(f)
	}
	for _, key := range []string{"sndbuf", "recvbuf"} {
		if size := d.one(key); size.Written() {
			d.size(e, key, size)
		}
	}
	if s := d.one("ipsec"); s.Written() {
		d.add(Loss, s.At, "set it for the host, with the programs that its kernel has for IPsec", "IPsec policies are not set for sockets")
	}
}

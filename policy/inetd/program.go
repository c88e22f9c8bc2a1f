package inetd

import (
	"path"
	"slices"
	"strings"
)

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
var Internals = []string{"auth", "chargen", "daytime", "discard", "echo", "qotd", "tcpmux", "time"}

// internal reads an entry that the inetd serves itself.
func (p *parser) internal(e *Entry, w *raw) {
	e.Internal, e.Program.At = strings.ToLower(e.Service.Text), w.program.At
	if e.Internal == "auth" || e.Internal == "ident" {
		e.Internal = "auth"
		p.uses(&identd, w.program.At)
		if len(w.args) > 0 { // its argv[0]
			w.args = w.args[1:]
		}
		if len(w.args) > 0 {
			p.add(Loss, w.args[0].At, `write says = ["NAME"] in a service block that extends the entry for a name, or remove it`, "auth takes no options: it says of everybody that the user is hidden, and looks nobody up")
		}
		return
	}
	if e.Mux {
		p.add(Unserved, w.program.At, "give it a port of its own", "tcpmux/%s is not served: what is internal takes its clients itself", e.Service.Text)
		return
	}
	if !slices.Contains(Internals, e.Internal) && !e.RPC {
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

// Package inetd reads inetd.conf as each of the inetds reads it, and says what of it
// has no counterpart here. It is pure: no file, no account and no name is looked up.
//
// Everything of the text ends up in a Table: as an Entry, as a Directive that others
// depend on, or as a Finding that says where it stands and what is lost.
package inetd

import (
	"path"
	"slices"
)

// Dialect is whose inetd.conf it is. They share most of the grammar and differ in what
// the same words mean: which families tcp is, whether an indented line goes on with the
// one above, what a quote is, the mode of a unix socket.
type Dialect string

// The dialects, in the order in which one is chosen that fits the text.
const (
	Debian  Dialect = "debian"
	OpenBSD Dialect = "openbsd"
	FreeBSD Dialect = "freebsd"
	NetBSD  Dialect = "netbsd"
	GNU     Dialect = "gnu"
	Busybox Dialect = "busybox"
)

// Dialects are all of them.
var Dialects = []Dialect{Debian, OpenBSD, FreeBSD, NetBSD, GNU, Busybox}

// Source is a file as read; its name is the one that findings show.
type Source struct {
	Name string
	Data []byte
}

// Pos is a place in a source. Lines and columns count from 1, columns in characters;
// Byte is the offset.
type Pos struct{ Line, Column, Byte int }

// Range is a piece of a source's text. An entry goes from its first line to its last.
type Range struct {
	Filename   string
	Start, End Pos
}

// Text is a word of the file, without its quotes, and where it stands. One that was not
// written is the zero Text, and one that a dialect supplies stands where it was left out.
type Text struct {
	Text string
	At   Range
}

// Written tells whether the word is there.
func (t Text) Written() bool { return t.At.Filename != "" }

// Number is a limit of an entry: 0 that was written is no limit, like one that was not.
type Number struct {
	N  int
	At Range
}

// Written tells whether the number is there.
func (n Number) Written() bool { return n.At.Filename != "" }

// Entry is one service of the table.
type Entry struct {
	Dialect Dialect
	// At is all of it, from the first word to the last.
	At Range
	// Addresses are where it listens, as written: addresses, names of hosts, or "*". None is
	// all addresses. Those of an `address:` line above stand there.
	Addresses []Text
	// Service is the name or number of the port, the path of a unix socket, the name of an
	// RPC program without its versions, or the name of a tcpmux service.
	Service Text
	// Socket is stream, dgram, raw, rdm or seqpacket.
	Socket Text
	// Protocol is as written, without the options behind it: tcp, udp6, unix, rpc/tcp.
	Protocol Text
	// Network is what the dialect means by it, as listen addresses write it: tcp, tcp4,
	// tcp6, udp, udp4, udp6, unix, unixgram, unixpacket. "" has no counterpart.
	Network string
	// Wait: the program takes the listening socket over.
	Wait   bool
	WaitAt Range

	User, Group Text
	// Class is a login class (freebsd).
	Class Text

	// Internal is the service that inetd serves itself, in lower case, "" for a program. That
	// it does is said where Program stands.
	Internal string
	// Program is the path of what runs and Args its arguments, argv[0] first. Where the
	// line has tcpd in front of it, this is what tcpd would run.
	Program Text
	Args    []Text
	// Wrapper is the path of the tcpd in front of the program: who may connect is asked of
	// hosts.allow and hosts.deny.
	Wrapper Text

	// Concurrent is how many run at a time, PerMinute how many start in a minute, and the
	// others the same for one source address.
	Concurrent, PerMinute                   Number
	PerSourceConcurrent, PerSourcePerMinute Number

	// SendBuffer and ReceiveBuffer are the sizes in bytes of the socket's buffers.
	SendBuffer, ReceiveBuffer Number
	// Unix is what is said of the file of a unix socket.
	Unix Unix
	// RPC and Mux tell the two kinds of services that have no port of their own.
	RPC, Mux bool
	// Plus is a tcpmux service for which inetd itself answers the "+".
	Plus bool
	// Versions of an RPC program, "" for none.
	Versions Text
}

// Unix is the file of a unix socket.
type Unix struct {
	Owner, Group Text
	Mode         uint32
	// ModeAt is where the mode is written; without it Mode is the dialect's.
	ModeAt Range
	// Unknown: the dialect's mode depends on the umask that inetd was started with.
	Unknown bool
}

// Asks tells whether hosts.allow and hosts.deny decided for the entry where its inetd ran with
// the flags that it comes with: those of netbsd and freebsd (-wW) ask them themselves, for
// the others tcpd does.
func (e *Entry) Asks() bool {
	accepts, inet := e.Socket.Text == "stream" && !e.Wait, e.Protocol.Text != "unix"
	switch {
	case e.Wrapper.Written():
		return true
	case e.Dialect == NetBSD:
		return e.Internal == "" && accepts && inet
	case e.Dialect == FreeBSD:
		return inet && (accepts || e.Internal != "")
	}
	return false
}

// Daemon is what hosts.allow and hosts.deny call the entry: argv[0] of its program, without
// directories, or what is internal by its name.
func (e *Entry) Daemon() string {
	if e.Internal != "" || len(e.Args) == 0 {
		return e.Internal
	}
	return path.Base(e.Args[0].Text)
}

// Key is how an entry is named by who extends it: "telnet/tcp", "7971/tcp",
// "/run/x.sock/unix", "rstatd/rpc/udp", "tcpmux/date/tcp".
func (e *Entry) Key() string {
	if e.Mux {
		return "tcpmux/" + e.Service.Text + "/" + e.Protocol.Text
	}
	return e.Service.Text + "/" + e.Protocol.Text
}

// Full is Key with the addresses in front, where there are any.
func (e *Entry) Full() string {
	var hosts string
	for i, a := range e.Addresses {
		if i > 0 {
			hosts += ","
		}
		hosts += a.Text
	}
	if hosts == "" {
		return e.Key()
	}
	return hosts + ":" + e.Key()
}

// Level is how grave a Finding is.
type Level int

// The levels. An Error is no entry in any inetd of the dialect, or none that can be
// understood without a doubt. Unserved is an entry without a counterpart, which is not in
// the Table. Loss is a part of an entry without one, or one that means something else
// than it looks like. Off is a service that is switched off.
const (
	Error Level = iota
	Unserved
	Loss
	Off
)

// Finding is what is wrong or lost, where it stands, and one step that repairs it.
type Finding struct {
	Level   Level
	At      Range
	Summary string
	Next    string
	// Key is that of the entry that is Unserved, "" in all others.
	Key string
}

// Directive is a line that is no entry: an address for the entries below, an include, or
// what was skipped after an error.
type Directive struct {
	Kind string // address, include, skipped
	At   Range
}

// Table is everything that the sources hold, in their order.
type Table struct {
	Entries    []Entry
	Findings   []Finding
	Directives []Directive
	// Dialects are those of the files, declared or told apart.
	Dialects map[string]Dialect
}

// Failed tells whether a finding is an error.
func (t *Table) Failed() bool {
	return slices.ContainsFunc(t.Findings, func(f Finding) bool { return f.Level == Error })
}

// Bounds of what is kept. Sources within their own bounds cannot exceed maxFindings by
// accident.
const (
	maxFindings = 5000
	maxIncludes = 1024
)

// Parse reads sources in the order given. dialect "" is told apart for each file by what
// only some of them write, and is debian where nothing tells. A file that another one
// includes is read there, and not once more by itself.
func Parse(sources []Source, dialect Dialect) *Table {
	t := &Table{Dialects: map[string]Dialect{}}
	r := &reading{table: t, sources: sources, declared: dialect, included: map[string]bool{}}
	for i := range sources {
		r.scout(&sources[i])
	}
	for i := range sources {
		if !r.included[sources[i].Name] {
			r.file(&sources[i], sticky{})
		}
	}
	for i := range sources { // of a circle of files, each is included by another
		if _, seen := t.Dialects[sources[i].Name]; !seen {
			r.file(&sources[i], sticky{})
		}
	}
	return t
}

// Tables tells which sources are tables: those of which named says so, and what these include.
func Tables(sources []Source, named func(name string) bool) map[string]bool {
	r := &reading{table: &Table{}, sources: sources, included: map[string]bool{}}
	tables := map[string]bool{}
	for more := true; more; {
		more = false
		for i := range sources {
			if name := sources[i].Name; !tables[name] && (named(name) || r.included[name]) {
				tables[name], more = true, true
				r.scout(&sources[i])
			}
		}
	}
	return tables
}

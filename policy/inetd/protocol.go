package inetd

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"casemate/policy/suggest"
)

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
		p.buffer(e, o)
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
		p.add(Unserved, e.At, "start its program as a daemon of its own, by a unit or a script at boot: it registers its port with rpcbind itself", "%s is not served: casemate registers nothing with rpcbind", e.Key())
	case strings.Contains(e.Service.Text, "/"):
		p.add(Error, e.Service.At, "write rpc/tcp or rpc/udp as its protocol", "%q has versions, which only RPC programs have", e.Service.Text)
	case e.Mux && (!strings.HasPrefix(e.Network, "tcp") || e.Wait):
		p.add(Unserved, e.At, "write stream tcp nowait", "tcpmux/%s is not served: tcpmux hands over one tcp client at a time", e.Service.Text)
	case e.Mux && len(e.Addresses) > 0:
		p.add(Loss, e.Addresses[0].At, "write the address in front of tcpmux itself", "tcpmux hands over its clients wherever it listens itself, and %s has no address of its own", e.Service.Text)
		e.Addresses = nil
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
func (p *parser) buffer(e *Entry, w Text) {
	p.uses(&buffers, w.At)
	key, sep, size := w.cut("=")
	if sep == 0 || key.Text != "sndbuf" && key.Text != "rcvbuf" {
		p.add(Error, w.At, "write sndbuf=16k or rcvbuf=16k", "%q is no option of a protocol", w.Text)
		return
	}
	p.size(e, key.Text, size)
}

var bufferSize = regexp.MustCompile(`^[0-9]{1,9}[kKmM]?$`)

// size reads the size of a buffer, in bytes; k and m are powers of 1024.
func (p *parser) size(e *Entry, key string, w Text) {
	if !bufferSize.MatchString(w.Text) {
		p.add(Error, w.At, "write it as 16k", "%q is no size of a buffer", w.Text)
		return
	}
	digits := strings.TrimRight(w.Text, "kKmM")
	n, _ := strconv.Atoi(digits) // nine digits are a number
	n <<= map[string]int{"k": 10, "m": 20}[strings.ToLower(w.Text[len(digits):])]
	if n < MinBuffer || n > MaxBuffer {
		p.add(Loss, w.At, "write a size from 4k to 512m", "%s=%s is not set: the kernel chooses the size of the buffer", key, w.Text)
		return
	}
	if at := (Number{n, w.At}); key == "sndbuf" {
		e.SendBuffer = at
	} else {
		e.ReceiveBuffer = at
	}
}

// The sizes of buffers that are set, in bytes.
const (
	MinBuffer = 4 << 10
	MaxBuffer = 512 << 20
)

package broker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/control"
	"casemate/policy/granted"

	"golang.org/x/sys/unix"
)

// The bounds of one control connection.
const (
	maxRequest      = 16 << 10 // bytes of the request line
	controlDeadline = 5 * time.Second
	maxControls     = 16   // connections at once that are read and answered
	maxGuests       = 4    // of operators, which take no place of root's
	maxLoads        = 1024 // that wait for a load, each for a descriptor and 10 KiB
	// documentDeadline is for the largest document to a client on a busy machine.
	documentDeadline = 30 * time.Second
)

// door is the socket through which root speaks with the broker, and operators ask. It is
// accepted by the loop; each connection is answered by a goroutine of its own,
// since a reload takes its time.
type door struct {
	b    *Broker
	sock int
	live chan struct{} // one token for each connection that does not wait for a load
	// loads has one for each that does, guests for each of an operator, of the group of that id.
	loads, guests chan struct{}
	operators     uint32
	// watched says that the socket is in the loop.
	watched bool
	// sending is held by the one connection that is sent a document.
	sending sync.Mutex
	// recalling is held by the one connection that asks for a document that ran, until that is sent.
	recalling sync.Mutex
}

func newDoor(b *Broker, d *warden.Door) *door {
	return &door{b: b, sock: d.FD, operators: d.Operators,
		live: make(chan struct{}, maxControls), loads: make(chan struct{}, maxLoads), guests: make(chan struct{}, maxGuests)}
}

// watch puts the socket into the loop.
func (c *door) watch() error {
	err := c.b.loop.Add(c.sock, unix.EPOLLIN, c)
	c.watched = err == nil
	return err
}

// sync lets the socket rest with all other listeners, and while enough are answered: what
// waits in its backlog would make the loop spin.
func (c *door) sync() {
	if !c.watched {
		return
	}
	events := uint32(unix.EPOLLIN)
	if c.b.exhausted.Armed() || len(c.live) == cap(c.live) {
		events = 0
	}
	_ = c.b.loop.Mod(c.sock, events) // of a descriptor in the set, it does not fail
}

// Ready accepts on the loop.
func (c *door) Ready(uint32) {
	for range maxControls {
		if !take(c.live) {
			c.sync()
			return
		}
		// A reload hands its token back when it begins to wait.
		token := c.live
		conn, peer, err := inbound.Accept(c.sock)
		if err != nil {
			<-token
			if inbound.Exhausted(err) {
				c.b.exhaust(err)
			}
			return
		}
		guest := peer.UID != 0 && peer.UID != c.b.conf.Door.Owner
		if guest {
			<-token
			if token = c.welcome(conn, peer); token == nil {
				inbound.Refuse(conn)
				continue
			}
		}
		c.b.apart(func() error { c.serve(conn, &token, guest, peer.UID); return nil }, func(error) { c.give(token) })
	}
}

// welcome gives an operator a token of guests, and nobody else one.
func (c *door) welcome(conn int, peer inbound.Peer) chan struct{} {
	if c.operators == listener.KeepID || !inbound.InGroup(conn, peer, c.operators) || !take(c.guests) {
		return nil
	}
	return c.guests
}

// take takes a token, if one is left.
func take(tokens chan struct{}) bool {
	select {
	case tokens <- struct{}{}:
		return true
	default:
		return false
	}
}

// give gives a token back; whoever waits in the backlog may come.
func (c *door) give(token chan struct{}) {
	<-token
	_ = c.b.loop.Post(c.sync) // after the end of the loop nobody is accepted
}

// serve answers one connection, which holds a token of one channel all the time: of
// loads while it waits for one, so that whoever asks for less is not kept waiting.
func (c *door) serve(conn int, token *chan struct{}, guest bool, uid uint32) {
	if err := unix.SetNonblock(conn, true); err != nil {
		unix.Close(conn)
		return
	}
	f := os.NewFile(uintptr(conn), "control") // non-blocking, so deadlines work
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(controlDeadline))
	var answer control.Response
	var doc *policy.Document
	request, err := readRequest(f)
	if err != nil {
		answer.Error = err.Error()
	} else if guest && !request.Reads() {
		answer.Error = request.Verb + " takes root: operators may look at the status and the policy, and change nothing"
	} else if (request.Verb == control.VerbReload || request.Verb == control.VerbRollback) && !c.waits(token) {
		answer.Error = fmt.Sprintf("%d reloads are waiting already: ask again", maxLoads)
	} else {
		if request.Verb == control.VerbDocument && request.Digest != "" { // one at a time is read and decoded for this alone
			c.recalling.Lock()
			defer c.recalling.Unlock()
		}
		answer, doc = c.b.answer(request, uid)
	}
	answer.FormatVersion = control.Format
	text, err := json.Marshal(answer)
	if err != nil {
		return // no type in it can fail
	}
	// A client that does not read its answer has gone: nobody is left to tell.
	_ = f.SetWriteDeadline(time.Now().Add(controlDeadline))
	if _, err = f.Write(append(text, '\n')); err == nil && doc != nil {
		c.send(f, doc, guest)
	}
}

// waits changes the token of a connection that is to wait for a load for one of loads.
func (c *door) waits(token *chan struct{}) bool {
	if !take(c.loads) {
		return false
	}
	c.give(*token)
	*token = c.loads
	return true
}

// send writes a document, which may be of granted.MaxDocument and takes several
// times that while its bytes are made: one at a time, off the loop, and what it
// took goes back to the system. They are those that it was read from.
func (c *door) send(f *os.File, doc *policy.Document, guest bool) {
	c.sending.Lock()
	defer c.sending.Unlock()
	defer debug.FreeOSMemory()
	patience := documentDeadline
	if guest { // whom root's requests wait for
		patience = controlDeadline
	}
	text, err := canon.EncodeDocument(doc)
	if err != nil {
		return // what was decoded can be encoded
	}
	_ = f.SetWriteDeadline(time.Now().Add(patience))
	_, _ = f.Write(append(text, '\n'))
}

// readRequest reads one line strictly.
func readRequest(r io.Reader) (q control.Request, err error) {
	in := bufio.NewReader(io.LimitReader(r, 2*maxRequest)) // what is unread at the end would reset the answer
	line, err := in.ReadBytes('\n')
	switch {
	case len(line) > maxRequest:
		return q, fmt.Errorf("request is longer than %d bytes", maxRequest)
	case err != nil && (err != io.EOF || len(line) == 0):
		return q, fmt.Errorf("read request: %w", err)
	case in.Buffered() > 0:
		return q, errors.New("request: data after its line")
	}
	if err := granted.Unmarshal(line, &q); err != nil {
		return control.Request{}, fmt.Errorf("request: %w", err)
	}
	if q.FormatVersion != control.Format {
		return control.Request{}, fmt.Errorf("request has format_version %d, expected %d", q.FormatVersion, control.Format)
	}
	if err := conditions(&q); err != nil {
		return control.Request{}, fmt.Errorf("request: %w", err)
	}
	return q, nil
}

// conditions refuses a digest that is none, and where nobody would heed it.
func conditions(q *control.Request) error {
	load := q.Verb == control.VerbReload || q.Verb == control.VerbRollback
	for _, of := range []struct {
		name, digest string
		heeded       bool
	}{
		{"digest", q.Digest, q.Verb == control.VerbRollback || q.Verb == control.VerbDocument},
		{"if_digest", q.IfDigest, q.Verb == control.VerbReload}, {"if_running", q.IfRunning, load},
	} {
		switch {
		case of.digest != "" && !of.heeded:
			return fmt.Errorf("%s means nothing to the verb %q", of.name, q.Verb)
		case of.digest != "" && !granted.ValidDigest(of.digest), of.name == "digest" && of.digest == "" && q.Verb == control.VerbRollback:
			return fmt.Errorf("%s %q is no digest: write sha256: and 64 hexadecimal digits", of.name, of.digest)
		}
	}
	return nil
}

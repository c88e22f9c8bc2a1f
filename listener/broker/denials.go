package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// denials has casemate-worker denials answer and name the calls that services' filters deny. It
// is started for the first of them: a session without one costs nothing. When nobody holds the
// listener of a filter any more, the kernel itself denies those calls, with ENOSYS.
type denials struct {
	b      *Broker
	worker *worker
	kept   map[*unheard]bool
	watch  loop.Timer // of a worker that holds up who waits for its answers
	clean  bool       // it has answered all, and leaves the rest to the next one
}

// unheard is the listener of the filter that a zygote and its sessions have. From the first call
// that is denied on the worker answers, and this is for the next worker.
type unheard struct {
	d     *denials
	r     *runner
	fd    int
	asked bool // a call waits for an answer
}

func newDenials(b *Broker) *denials {
	d := &denials{b: b, kept: make(map[*unheard]bool)}
	d.watch.Owner = d
	d.worker = newWorker(b, "denials")
	d.worker.heard, d.worker.up, d.worker.down, d.worker.again = d.heard, d.up, d.down, d.again
	return d
}

// keep watches a listener, -1 for none, of r's zygote.
func (d *denials) keep(r *runner, fd int) {
	r.heard, r.deaf, r.unheard = false, false, fd < 0
	x := &unheard{d: d, r: r, fd: fd}
	if fd >= 0 && d.b.loop.Add(fd, unix.EPOLLIN, x) != nil {
		unix.Close(fd)
		r.unheard = true
	}
	if !r.unheard {
		d.kept[x] = true
	}
}

// Ready is called when a call is denied, and when no process has the filter any more.
func (x *unheard) Ready(events uint32) {
	if events&unix.EPOLLIN == 0 {
		x.close()
		return
	}
	x.asked = true
	_ = x.d.b.loop.Mod(x.fd, 0) // it stays readable until the worker has it
	x.d.give(x)
}

func (x *unheard) close() {
	x.d.b.loop.Del(x.fd)
	unix.Close(x.fd)
	delete(x.d.kept, x)
}

// give has the worker answer for a filter.
func (d *denials) give(x *unheard) {
	if !d.worker.running() {
		if d.worker.backoff.Armed() { // no program waits for a worker that may never come
			d.deny(x)
		}
		return
	}
	if !d.worker.pass(wire.Order{Kind: wire.Filter, Name: d.b.filtered(x.r.name)}.Encode(), x.fd) {
		d.b.limitedNote(x.r.name, "denials", "denied calls are not named", errors.New("the worker does not take them"))
		d.deny(x)
		return
	}
	x.r.heard = true
}

// deny lets go of a listener.
func (d *denials) deny(x *unheard) {
	x.r.deaf = true
	x.close()
}

// filtered is what a worker has to know of a service (denied.Service), as JSON.
func (b *Broker) filtered(name string) string {
	of := map[string]any{"service": name}
	if s := b.gen.service(name); s != nil { // else it has gone from the policy
		p := *s.gen.doc.Policy.Profile(s.spec.Profile)
		p.Files = sandbox.Files{} // the largest part, and of no use to it
		of["digest"], of["at"], of["profile"] = s.gen.digest, s.gen.doc.Origins.Lookup("profiles."+p.Name), p
	}
	text, _ := json.Marshal(of) // constants of the policy, which came as JSON
	if len(text) > wire.MaxOrder/2 {
		delete(of, "profile") // too much for a message: its calls are named, and nothing that grants them
		text, _ = json.Marshal(of)
	}
	return string(text)
}

// up gives a new worker what waits for it.
func (d *denials) up() {
	d.b.loop.After(&d.watch, deafAfter/2)
	for x := range d.kept {
		if x.asked {
			d.give(x)
		}
	}
}

// Expire looks after the worker.
func (d *denials) Expire(*loop.Timer) {
	if d.worker.silence(); d.worker.fd >= 0 {
		d.b.loop.After(&d.watch, deafAfter/2)
	}
}

// down is called when the worker has died. What it had taken and not answered would wait for ever: its
// listeners go too, and new sessions get a zygote with another filter.
func (d *denials) down() {
	if d.clean {
		d.clean = false
		return
	}
	for x := range d.kept {
		if x.asked {
			d.deny(x)
		}
	}
	for r := range d.b.runners {
		r.deaf = r.deaf || r.heard
	}
}

// again is called when another worker may be started.
func (d *denials) again() {
	for r := range d.b.runners {
		r.refresh()
	}
	for x := range d.kept {
		if x.asked {
			d.worker.running()
		}
	}
}

// heard takes one message of the worker.
func (d *denials) heard(r wire.Report) {
	switch r.Kind {
	case wire.Lines:
		d.b.log.Put(journal.Lines(bytes.Clone(r.LogText)))
	case wire.Last:
		d.clean = true
	case wire.Whose:
		d.worker.send(wire.Order{Kind: wire.Member, ID: d.whose(r.PIDs), Token: r.ID}.Encode())
	}
}

// whose is the session of the first that is a session's program, else of one that is its init; 0 is none.
func (d *denials) whose(pids []int32) uint64 {
	for _, pid := range pids {
		if s := d.b.sessions[pid]; s != nil {
			s.denied = true
			return s.id
		}
	}
	for _, s := range d.b.sessions { // inits are in no index: one look for all of the question's
		if s.init > 0 && slices.Contains(pids, s.init) {
			s.denied = true
			return s.id
		}
	}
	return 0
}

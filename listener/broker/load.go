package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"casemate/listener"
	"casemate/listener/journal"
	"casemate/listener/rest"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/sandbox/panics"
)

// loadGCPercent lets garbage be while there is a document to decode, most of which stays: it goes all
// at once at the end.
const loadGCPercent = 200

// loading is one load and its outcome, which is there when done is closed.
type loading struct {
	done chan struct{}
	outcome
}

type outcome struct {
	digest   string // in force afterwards
	replaced string // before
	ended    bool   // that was rolled back to
	unkept   string // why the history does not have it
	diags    []policy.Diagnostic
	narrowed []control.SessionStatus // that are to end, since it does not admit their clients
	err      error
}

// Load compiles the policy and puts it into force. On an error the old
// generation stays as it was; the diagnostics say what is wrong with the
// policy's text, and may hold warnings without an error. It blocks until the
// outcome is known. Loads run one after another, and all who ask before the next one
// begins share its outcome. The log is opened again first,
// so that the outcome stands where whoever moved the old one looks for it.
func (b *Broker) Load() (digest string, diags []policy.Diagnostic, err error) {
	out := b.fulfil(order{cause: warden.Cause{How: control.HowSignal, UID: listener.KeepID}})
	return out.digest, out.diags, out.err
}

// fulfil is Load for an order. One with conditions, or of a document that ran, has a load of its own.
func (b *Broker) fulfil(o order) outcome {
	l := &loading{done: make(chan struct{})}
	if o.plain() && !b.next.CompareAndSwap(nil, l) {
		if first := b.next.Load(); first != nil {
			<-first.done
			return first.outcome
		}
		return b.fulfil(o) // it began in between
	}
	b.load.Lock()
	defer b.load.Unlock()
	if o.plain() {
		b.next.Store(nil) // who comes from here on may have changed what this one reads
	}
	defer close(l.done)
	l.outcome = b.loadNow(o)
	return l.outcome
}

func (b *Broker) loadNow(o order) (out outcome) {
	var diags []policy.Diagnostic
	var err error
	runs := false // what is to be rolled back to
	usual := debug.SetGCPercent(loadGCPercent)
	defer func() {
		debug.SetGCPercent(usual)
		if err != nil {
			b.hands.Forget()
		}
		// What compiling and decoding took is given back to the system at once: a
		// reload must not leave the broker larger than the policy makes it.
		debug.FreeOSMemory()
		rest.AfterLoad() // workers that start and the document that is kept are of the load, too
	}()
	b.reopenLog()
	err = panics.Try(func() (err error) {
		var doc *policy.Document
		var running *generation
		if err = b.loop.Do(func() {
			if running = b.gen; running != nil {
				since, _ := b.rolledBack()
				out.replaced, out.ended = running.digest, !since.IsZero()
			}
		}); err != nil {
			return err
		}
		if err = o.after(running); err != nil {
			return err
		}
		switch {
		case running == nil:
			o.cause.How = control.HowStart
		case o.ran == running.digest:
			runs = true
			return o.admits(running.doc)
		}
		if doc, diags, err = b.compile(o.ran); err != nil {
			return err
		}
		if err = o.admits(doc); err != nil {
			return err
		}
		out.narrowed, err = b.install(doc, &o, &diags)
		return err
	})
	b.Bug(err)
	if err == nil && runs { // nothing is loaded, and it is no run more
		out.digest, out.ended = out.replaced, false
		return out
	}
	if err != nil {
		out.ended = false
	} else if kerr := b.remember(); kerr != nil {
		out.unkept = kerr.Error()
	}
	out.diags, out.err = diags, err
	out.digest = b.loaded(&o, diags, err)
	return out
}

// install makes a generation of doc and swaps it in. Sessions that it does not admit end, where they are to.
func (b *Broker) install(doc *policy.Document, o *order, diags *[]policy.Diagnostic) (narrowed []control.SessionStatus, err error) {
	c, err := b.build(doc)
	if err != nil {
		return nil, err
	}
	*diags = append(*diags, c.warned...)
	b.spares.Do(panics.SpareThreads) // before there is a client, whose program may take the last task
	if derr := b.loop.Do(func() {
		if err = b.commit(c, o); err != nil {
			return
		}
		if b.gen.narrows {
			narrowed = b.narrow()
		}
		for _, s := range c.gen.services {
			if o := s.loose(); o != nil {
				*diags = append(*diags, policy.Diagnostic{Severity: policy.SeverityWarning, Code: "CM605",
					Summary: "the acl of service " + strconv.Quote(s.name) + " may not hold yet", Detail: o.looseness()})
			}
		}
	}); derr != nil {
		err = derr
	}
	switch {
	case err == nil:
		if c.pruned {
			b.bans.keep()
		}
		b.names.worker.renew()
		b.logWorker.worker.renew()
		b.denials.worker.renew()
		b.relays.worker.renew()
		b.shields.worker.renew()
	case !c.inForce:
		c.discard()
	}
	return narrowed, err
}

// noteOf is note with what the order was.
func (b *Broker) noteOf(o *order, level slog.Level, msg string, attrs ...slog.Attr) *journal.Note {
	n := b.note(level, msg, attrs...)
	n.Attrs = append(n.Attrs, o.attrs()...) // after the empty ones are left out: uid 0 is somebody
	return n
}

// loaded notes the outcome and returns the digest in force.
func (b *Broker) loaded(o *order, diags []policy.Diagnostic, err error) (digest string) {
	// When the loop has ended there is no policy in force.
	_ = b.loop.Do(func() {
		if b.gen != nil {
			digest = b.gen.digest
		}
		if errors.As(err, new(*unmet)) { // nothing is wrong with the policy, nor with what it runs on
			b.log.Put(b.noteOf(o, slog.LevelWarn, "load refused, nothing changed", slog.String("error", err.Error()), slog.String("digest", digest)))
			return
		}
		b.lastReload, b.reloadFailed = "", time.Time{}
		b.logDiagnostics(diags) // warnings of a HUP have no other reader
		if err != nil {
			b.lastReload, b.reloadFailed = err.Error(), b.wall()
			if i := slices.IndexFunc(diags, func(d policy.Diagnostic) bool { return d.Severity == policy.SeverityError }); i >= 0 {
				b.lastReload = fmt.Sprintf("%v, the first: %s:%d:%d: %s", err, diags[i].File, diags[i].Line, diags[i].Column, diags[i].Summary)
			}
			b.log.Put(b.noteOf(o, slog.LevelError, "load failed, nothing changed", slog.String("error", err.Error()), slog.String("digest", digest)))
		}
	})
	return digest
}

package broker

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"casemate/policy"
	"casemate/sandbox/panics"
)

// loadGCPercent lets garbage be while there is a document to decode, most of which stays: it goes all
// at once at the end.
const loadGCPercent = 200

// loading is one load and its outcome, which is there when done is closed.
type loading struct {
	done   chan struct{}
	digest string
	diags  []policy.Diagnostic
	err    error
}

// Load compiles the policy and puts it into force. On an error the old
// generation stays as it was; the diagnostics say what is wrong with the
// policy's text, and may hold warnings without an error. It blocks until the
// outcome is known. Loads run one after another, and all who ask before the next one
// begins share its outcome. The log is opened again first,
// so that the outcome stands where whoever moved the old one looks for it.
func (b *Broker) Load() (digest string, diags []policy.Diagnostic, err error) {
	l := &loading{done: make(chan struct{})}
	if !b.next.CompareAndSwap(nil, l) {
		if first := b.next.Load(); first != nil {
			<-first.done
			return first.digest, first.diags, first.err
		}
		return b.Load() // it began in between
	}
	b.load.Lock()
	defer b.load.Unlock()
	b.next.Store(nil) // who comes from here on may have changed what this one reads
	defer close(l.done)
	l.digest, l.diags, l.err = b.loadNow()
	return l.digest, l.diags, l.err
}

func (b *Broker) loadNow() (digest string, diags []policy.Diagnostic, err error) {
	usual := debug.SetGCPercent(loadGCPercent)
	defer func() {
		debug.SetGCPercent(usual)
		if err != nil {
			b.hands.Forget()
		}
		// What compiling and decoding took is given back to the system at once: a
		// reload must not leave the broker larger than the policy makes it.
		debug.FreeOSMemory()
	}()
	b.reopenLog()
	err = panics.Try(func() (err error) {
		var doc *policy.Document
		if doc, diags, err = b.compile(); err != nil {
			return err
		}
		warned, err := b.install(doc)
		diags = append(diags, warned...)
		return err
	})
	b.Bug(err)
	return b.loaded(diags, err), diags, err
}

// install makes a generation of doc and swaps it in.
func (b *Broker) install(doc *policy.Document) ([]policy.Diagnostic, error) {
	c, err := b.build(doc)
	if err != nil {
		return nil, err
	}
	b.spares.Do(panics.SpareThreads) // before there is a client, whose program may take the last task
	if derr := b.loop.Do(func() { err = b.commit(c) }); derr != nil {
		err = derr
	}
	switch {
	case err == nil:
		b.names.worker.renew()
		b.logWorker.worker.renew()
		b.denials.worker.renew()
		b.relays.worker.renew()
	case !c.inForce:
		c.discard()
	}
	return c.warned, err
}

// loaded notes the outcome and returns the digest in force.
func (b *Broker) loaded(diags []policy.Diagnostic, err error) (digest string) {
	// When the loop has ended there is no policy in force.
	_ = b.loop.Do(func() {
		b.lastReload, b.reloadFailed = "", time.Time{}
		if b.gen != nil {
			digest = b.gen.digest
		}
		b.logDiagnostics(diags) // warnings of a HUP have no other reader
		if err != nil {
			b.lastReload, b.reloadFailed = err.Error(), b.wall()
			if i := slices.IndexFunc(diags, func(d policy.Diagnostic) bool { return d.Severity == policy.SeverityError }); i >= 0 {
				b.lastReload = fmt.Sprintf("%v, the first: %s:%d:%d: %s", err, diags[i].File, diags[i].Line, diags[i].Column, diags[i].Summary)
			}
			b.log.Put(b.note(slog.LevelError, "load failed, nothing changed", slog.String("error", err.Error()), slog.String("digest", digest)))
		}
	})
	return digest
}

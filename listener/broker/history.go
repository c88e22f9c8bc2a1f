package broker

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"casemate/listener"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/control"
	"casemate/policy/granted"
)

// order is what a load is for.
type order struct {
	cause warden.Cause
	ran   string // the digest of a document that ran before, which is loaded in place of the sources
	// Digests of the only policy that may come into force, and of the one that has to be in force until then; "" is any.
	ifDigest, ifRunning string
	ends                bool // sessions that the policy does not admit
}

// plain tells whether others may share the outcome.
func (o *order) plain() bool { return o.ran+o.ifDigest+o.ifRunning == "" && !o.ends }

// unmet is the error of a condition that does not hold.
type unmet struct{ condition, text string }

func (e *unmet) Error() string { return e.text }

// after checks the conditions on what is in force. It is asked before anything is done, and again on the loop at the swap itself.
func (o *order) after(running *generation) error {
	switch {
	case o.plain():
	case running == nil: // the first load is of what the broker before had in force
		return errors.New("no policy is in force yet: ask again")
	case o.ifRunning != "" && running.digest != o.ifRunning:
		return &unmet{"if_running", fmt.Sprintf("%s runs, not %s: look at the difference again", running.digest, o.ifRunning)}
	}
	return nil
}

// admits checks the conditions on what is to follow: when it is there, before anything is made for it, and again at the swap.
func (o *order) admits(doc *policy.Document) error {
	switch {
	case o.ifDigest != "" && doc.Digest != o.ifDigest:
		return &unmet{"if_digest", fmt.Sprintf("what there is to load has the digest %s, not %s: look at the difference again", doc.Digest, o.ifDigest)}
	case o.ran != "" && doc.Digest != o.ran:
		return fmt.Errorf("the document that came for %s has the digest %s", o.ran, doc.Digest)
	}
	return nil
}

// attrs are what a record says of the order.
func (o *order) attrs() []slog.Attr {
	out := []slog.Attr{slog.String("how", o.cause.How)}
	if o.cause.UID != listener.KeepID {
		out = append(out, slog.Uint64("asked_uid", uint64(o.cause.UID)))
	}
	return out
}

// remember has what is in force written down, and learns what ran. It is called off the loop, after a load.
func (b *Broker) remember() error {
	kept, err := b.hands.Past()
	_ = b.loop.Do(func() {
		if err != nil {
			b.log.Put(b.note(slog.LevelError, "history not kept", slog.String("error", err.Error())))
		}
		if kept != nil {
			b.past = runsOf(kept)
		}
		b.unkept = err
	})
	return err
}

// runsOf reads the names of kept documents. One that is none of casemated's is left out.
func runsOf(kept []warden.Kept) (out []control.Run) {
	var seen time.Time // of the one before
	for _, k := range kept {
		r, err := parseRun(k.Name)
		if err != nil {
			continue
		}
		if n := len(out); n > 0 {
			if out[n-1].Ended = r.Began; r.How == control.HowStart {
				out[n-1].Ended = seen.UTC().Truncate(time.Second)
			}
		}
		r.Bytes, seen = k.Size, k.Seen
		out = append(out, r)
	}
	return out
}

// parseRun reads a name of warden.Kept.
func parseRun(name string) (r control.Run, err error) {
	malformed := fmt.Errorf("%q is no name of a document that ran", name)
	f := strings.Split(strings.TrimSuffix(name, ".json"), "-")
	if len(f) != 6 || !granted.ValidName(f[2]) {
		return r, malformed
	}
	var began int64
	for _, n := range []struct {
		text string
		bits int
		set  func(int64)
	}{
		{f[0], 31, func(n int64) { r.Number = int(n) }},
		{f[1], 40, func(n int64) { began = n }},
		{f[3], 33, func(n int64) {
			if uid := uint32(n); uid != listener.KeepID {
				r.UID = &uid
			}
		}},
		{f[4], 31, func(n int64) { r.Services = int(n) }},
	} {
		v, err := strconv.ParseUint(n.text, 10, n.bits-1)
		if err != nil {
			return control.Run{}, malformed
		}
		n.set(int64(v))
	}
	r.Began, r.How, r.Digest = time.Unix(began, 0).UTC(), f[2], "sha256:"+f[5]
	if sum, err := hex.DecodeString(f[5]); err != nil || !granted.ValidDigest(r.Digest) || len(sum) == 0 || !strings.HasSuffix(name, ".json") {
		return control.Run{}, malformed
	}
	return r, nil
}

// rolledBack tells since when a policy is in force that was rolled back to, and what the sources said last, where that is another
// one: "" where that is not known any more. It is called on the loop.
func (b *Broker) rolledBack() (since time.Time, sources string) {
	n := len(b.past)
	if b.gen == nil || n == 0 || b.past[n-1].How != control.HowRollback || b.past[n-1].Digest != b.gen.digest {
		return since, ""
	}
	since = b.past[n-1].Began
	for n--; n >= 0; n-- {
		if r := &b.past[n]; r.How != control.HowRollback {
			if r.Digest == b.gen.digest {
				return time.Time{}, ""
			}
			return since, r.Digest
		}
	}
	return since, ""
}

// history lists what ran. What could not be written down is tried again.
func (b *Broker) history() (list []control.Run, err error) {
	unkept := false
	derr := b.loop.Do(func() { unkept = b.unkept != nil })
	if unkept {
		_ = b.remember()
	}
	derr = errors.Join(derr, b.loop.Do(func() {
		list = b.past
		if err = b.unkept; err != nil {
			err = fmt.Errorf("the history is not kept: %w", err)
		}
	}))
	return list, errors.Join(derr, err)
}

// recall is a document that ran before.
func (b *Broker) recall(digest string) (*policy.Document, error) {
	files, err := b.hands.Recall(digest)
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("the document of %s came in %d files", digest, len(files))
	}
	doc, err := canon.DecodeDocument(files[0].Data)
	if err == nil && doc.Digest != digest {
		err = fmt.Errorf("the document that is kept for %s has the digest %s", digest, doc.Digest)
	}
	return doc, err
}

package broker

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"casemate/acl/ban"
	"casemate/acl/decide"
	"casemate/listener"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"
	"casemate/policy/granted"

	"golang.org/x/sys/unix"
)

// bans is what operators have said beside the policy (package ban): it holds over reloads and, where it can be kept, for the brokers
// that follow. A state is not changed: the next one takes its place.
type bans struct {
	b       *Broker
	state   *ban.State
	index   *ban.Index // nil where nothing is said
	version uint64
	timer   loop.Timer // for the next ban whose time is over

	writes sync.Mutex // of slots
	slots  slots
}

func newBans(b *Broker) *bans {
	s := &bans{b: b, state: new(ban.State), slots: slots{file: b.conf.Said}}
	s.timer.Owner = loop.Func(s.expire)
	return s
}

// resume takes up what the broker before has kept.
func (s *bans) resume() {
	text, err := s.slots.read()
	kept := new(ban.State)
	if err == nil && text != nil {
		if err = granted.Unmarshal(text, kept); err == nil {
			err = kept.Check()
		}
	}
	if err != nil {
		s.b.log.Put(s.b.note(slog.LevelError, "bans that were kept are lost", slog.String("error", err.Error())))
		return
	}
	s.put(kept)
}

// put puts a state in force: here, in the kernel, and in the workers of built-ins.
func (s *bans) put(next *ban.State) {
	over, until := next.Expire(s.b.wall())
	for i := range over {
		s.log("ban is over", &over[i], listener.KeepID)
	}
	if s.b.loop.Disarm(&s.timer); !until.IsZero() {
		s.b.loop.After(&s.timer, min(max(until.Sub(s.b.wall()), 0)+time.Millisecond, time.Hour)) // the clock may be set
	}
	s.state, s.index = next, nil
	if len(next.Bans)+len(next.Drains) > 0 {
		s.index = ban.NewIndex(next)
	}
	s.version++
	for _, o := range s.b.sessions {
		s.mustTell(o)
	}
	for _, t := range s.b.tallies {
		if t.shield != nil {
			t.shield.renew()
		}
		s.dismiss(t)
	}
}

// expire forgets the bans whose time is over.
func (s *bans) expire() { s.put(s.copy()) }

func (s *bans) copy() *ban.State {
	return &ban.State{Bans: slices.Clone(s.state.Bans), Drains: slices.Clone(s.state.Drains)}
}

// dismiss lets those go that wait for a place and are refused now.
func (s *bans) dismiss(t *tally) {
	for _, q := range slices.Clone(t.queue) {
		if reason := s.refuses(&q.visit); reason != "" {
			q.rule = decide.RuleNoACL
			q.dismiss(reason)
		}
	}
}

// refuses is why nobody serves a client, whatever the policy says; "" where nothing speaks against it.
func (s *bans) refuses(v *visit) string {
	if s.index == nil {
		return ""
	}
	return s.index.Refuses(v.peer.Addr.Addr(), v.svc.name, s.b.wall())
}

// prefixes are those that the kernel may drop at a service's listeners.
func (s *bans) prefixes(service string) (out []netip.Prefix) {
	for _, b := range s.state.Of(service).Bans {
		out = append(out, b.Prefix)
	}
	return out
}

// introduce keeps the file of a built-in's worker that is to start, and writes the first of it.
func (s *bans) introduce(o *session, file int) (err error) {
	if o.counts == nil {
		return nil
	}
	if o.counts.said, err = unix.FcntlInt(uintptr(file), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return err
	}
	return s.tell(o)
}

// mustTell is tell for a worker that runs: one that cannot be told would serve whom it should not, and is ended. It reports whether it was told.
func (s *bans) mustTell(o *session) bool {
	err := s.tell(o)
	if err != nil {
		s.b.limitedNote(o.svc.name, "said "+o.svc.name, "ending a worker that cannot be told whom to serve", err)
		s.b.terminate(o, journal.Killed)
	}
	return err == nil
}

// catchUp tells a worker that runs now what was said since it was introduced. It may serve somebody already who is to end.
func (s *bans) catchUp(o *session) {
	if o.counts == nil || o.counts.heard == s.version {
		return
	}
	if s.mustTell(o) && slices.ContainsFunc(s.state.Of(o.svc.name).Bans, func(b ban.Ban) bool { return b.Ends }) {
		o.hint(wire.Shun)
	}
}

// tell writes what is said of its service into the file of a built-in's worker: the version last, so that it reads all or nothing of it.
func (s *bans) tell(o *session) error {
	if o.counts == nil || o.counts.said < 0 {
		return nil
	}
	text, err := wire.EncodeSaid(s.version, &wire.Said{State: s.state.Of(o.svc.name), Narrowed: o.counts.narrowed, Admits: o.counts.admits, Leave: o.counts.leave})
	if err != nil {
		return err
	}
	if _, err = unix.Pwrite(o.counts.said, text[wire.SaidVersion:], wire.SaidAt+wire.SaidVersion); err == nil {
		_, err = unix.Pwrite(o.counts.said, text[:wire.SaidVersion], wire.SaidAt)
	}
	if err == nil {
		o.counts.heard = s.version
	}
	return os.NewSyscallError("pwrite", err)
}

// prune forgets the drains of services that no policy has any more, on the loop. It tells whether there were any: then it is to be kept.
func (s *bans) prune(gen *generation) (any bool) {
	if any = slices.ContainsFunc(s.state.Drains, func(d ban.Drain) bool { return gen.service(d.Service) == nil }); any {
		next := s.copy()
		next.Drains = slices.DeleteFunc(next.Drains, func(d ban.Drain) bool { return gen.service(d.Service) == nil })
		s.put(next)
	}
	return any
}

// change makes another state of the one in force, unless f says why not, and keeps it; unkept is why that could not be. It is called off
// the loop, and f on it.
func (s *bans) change(f func(*ban.State) error) (unkept string, err error) {
	derr := s.b.loop.Do(func() {
		next := s.copy()
		if err = f(next); err == nil {
			s.put(next)
		}
	})
	if err = cmp.Or(derr, err); err != nil {
		return "", err
	}
	return s.keep(), nil
}

// keep writes down what is in force, for the broker that follows; unkept is why that could not be. It is called off the loop.
func (s *bans) keep() (unkept string) {
	if err := s.write(); err != nil {
		_ = s.b.loop.Do(func() { s.b.log.Put(s.b.note(slog.LevelError, "bans not kept", slog.String("error", err.Error()))) })
		return err.Error()
	}
	return ""
}

func (s *bans) write() (err error) {
	s.writes.Lock()
	defer s.writes.Unlock()
	var text []byte
	if derr := s.b.loop.Do(func() { text, err = json.Marshal(s.state) }); derr != nil || err != nil {
		return cmp.Or(derr, err)
	}
	return s.slots.write(text)
}

// log writes what becomes of one ban or, without a prefix, of a drained service.
func (s *bans) log(msg string, of *ban.Ban, uid uint32) {
	text := ""
	if of.Prefix.IsValid() {
		text = of.Prefix.String()
	}
	if !of.Until.IsZero() {
		text += " until " + of.Until.UTC().Format(time.RFC3339)
	}
	n := s.b.note(slog.LevelInfo, msg, slog.String("service", of.Service), slog.String("text", text))
	if uid != listener.KeepID {
		n.Attrs = append(n.Attrs, slog.Uint64("asked_uid", uint64(uid))) // 0 is somebody
	}
	s.b.log.Put(n)
}

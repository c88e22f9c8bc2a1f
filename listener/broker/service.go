package broker

import (
	"fmt"
	"log/slog"
	"os"
	"slices"

	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/listener/wire"
	"casemate/policy"
	"casemate/policy/granted"
)

// service is one service of one generation. Sessions keep pointing at the
// service they were admitted by, so that their records tell the right digest. Its
// sandbox is made anew when the host has changed (renew.go).
type service struct {
	b       *Broker
	name    string
	spec    *policy.Service
	gen     *generation
	rules   rules       // who
	limit   *limit.Spec // how often, and how long
	dynamic bool
	uid     uint32
	run     *runner
	tally   *tally
	// others start the programs of rules for this one, whose sockets and tally they share: they are of it.
	others  []*service
	of      *service
	listen  []*listening
	sockets []granted.Socket
	told    []byte // brief, once it was asked for
	// fault is why it could not be prepared last; again is when that is tried next.
	fault error
	tries int
	again loop.Timer
}

// brief is what a builtin's worker is told of its service, as a file that is that worker's alone, in front of its keptFile; -1 for other services.
func (s *service) brief() (fd int, err error) {
	if s.spec.Builtin == "" {
		return -1, nil
	}
	if s.told == nil {
		if s.told, err = briefOf(s.spec, s.gen.doc).Encode(); err != nil {
			return -1, err
		}
		s.told = append(s.told, '\n') // what follows is wire.SaidAt's
	}
	return warden.FileOf(s.told)
}

// briefOf is what the worker of s, a builtin of doc, is told.
func briefOf(s *policy.Service, doc *policy.Document) *wire.Builtin {
	return &wire.Builtin{Service: s.Name, Builtin: s.Builtin, Says: s.Says, Amplify: s.Amplify, Mux: handsOver(doc.Policy, s), ACL: doc.Policy.ACL(s.ACL),
		Limit: *doc.Policy.Limit(s.Limit), Idle: s.Idle, Linger: s.Linger, Log: string(s.Log), Digest: doc.Digest, Origins: doc.RuleOrigins(s.ACL)}
}

// put writes a record of the service, unless its policy leaves such ones out.
func (s *service) put(r journal.Record) {
	if !journal.Omits(string(s.spec.Log), r) {
		s.b.log.Put(r)
	}
}

// tally is what a service's name keeps across reloads: its limiter, its
// counters, and how much of its refusal log was left out.
type tally struct {
	name      string
	limiter   *admission.Limiter
	live      int
	peak      int
	admitted  uint64
	failed    uint64
	refused   uint64
	refusedBy map[string]uint64
	endedBy   map[string]uint64 // other than by their own exit
	// What the workers of a built-in have counted; live and peak are their own number.
	clients, mostClients int
	quiet                journal.Thinned // records of refusals
	unsaid               loop.Timer      // writes how many were left out
	// faults counts wait programs of this service that failed in a row.
	faults int
	shield *shielding // nil for none
	kept   *os.File   // see keptFile; nil until a built-in's worker needed it
	queue  []*queued  // in their order
	turn   loop.Timer // serves them
}

// count adds to one of a service's counters by reason.
func count(by *map[string]uint64, reason string, n uint64) {
	if *by == nil {
		*by = make(map[string]uint64)
	}
	(*by)[reason] += n
}

func (t *tally) refuse(reason string, n uint64) {
	t.refused += n
	count(&t.refusedBy, reason, n)
}

// broken reports whether the service has no sandbox at all.
func (s *service) broken() bool {
	_, no := s.run.cell.(hands.NoCell)
	return no
}

// failed notes why a service could not be prepared, and when it is tried again.
func (s *service) failed(err error) {
	if s.fault == nil || s.fault.Error() != err.Error() {
		n := s.b.note(slog.LevelError, "service not served, trying again", slog.String("service", s.name), slog.String("error", err.Error()))
		if !s.broken() {
			n.Level, n.Msg = slog.LevelWarn, "service cannot be prepared as the host is now, serving as before"
		}
		s.b.log.Put(n)
	}
	s.fault = err
	s.tries++
	s.b.loop.After(&s.again, backoffAfter(s.tries, firstRetry, maxRetry))
}

// tellServing tells the service manager how many services are served, when that
// has changed.
func (b *Broker) tellServing() {
	n, all := 0, len(b.gen.doc.Policy.Services)
	for _, s := range b.gen.services[:all] {
		if s.serving() {
			n++
		}
	}
	if text := fmt.Sprintf("STATUS=serving %d of %d services", n, all); text != b.told {
		b.told = text
		if b.conf.Tell != nil {
			b.conf.Tell(text)
		}
	}
}

// runner starts the program of a client that a rule has admitted, which may be one of the policy before (adopt).
func (s *service) runner(rule int) *runner {
	for _, o := range s.others {
		if rule >= 0 && rule < len(s.rules.list.Rules) && slices.Equal(o.spec.Command, s.rules.list.Rules[rule].Command) {
			return o.run
		}
	}
	return s.run
}

// full tells whether the listeners of the service should rest.
func (s *service) full() bool {
	return s.run.full() || slices.ContainsFunc(s.others, func(o *service) bool { return o.run.full() })
}

// serving reports whether clients can come to the service.
func (s *service) serving() bool {
	for _, at := range s.listen {
		if at.sock != nil && !s.broken() {
			return true
		}
	}
	return len(s.spec.Mux) > 0 && !s.broken()
}

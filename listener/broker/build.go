package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"casemate/acl/limit"
	"casemate/listener/inbound"
	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/listener/wire"
	"casemate/policy"
	"casemate/policy/granted"
	"casemate/sandbox/panics"
)

// maxWarm is up to how many services keep the zygote that proved their sandbox
// at load. With more of them, the memory is worth more than the millisecond.
const maxWarm = 64

// candidate is a generation being made. Nothing of it is in force: discard
// undoes all of it, commit puts all of it into force.
type candidate struct {
	b      *Broker
	gen    *generation
	plans  []planned
	mu     sync.Mutex                // of fresh, proven and proofs, while prepare works
	fresh  []*runner                 // made for this generation
	proven map[*runner]hands.Starter // the zygotes that proved them
	proofs map[string]bool           // and what else they have proved
	opened map[string]*inbound.Socket
	// later are sockets that cannot be opened beside the old generation's, and
	// are opened in its place by commit.
	later map[string]granted.Socket
	// retry are busy addresses of services with retry = true.
	retry map[string]error
	// missing are optional sockets of a family that this host does not have.
	missing map[string]error
	site    hands.Ground
	shut    map[shutBy]shut // as far as it was asked
	now     inForce         // what serves meanwhile
	lenient bool            // nothing does: what can be served is
	warned  []policy.Diagnostic
	left    []warden.Survivor // by the broker before this one
	inForce bool              // committed: what it made is the broker's now
	pruned  bool              // and a service has gone that was drained
}

// planned is one service of a candidate.
type planned struct {
	svc *service
	warden.Found
	fault  error // why there is no sandbox of it: it is tried again
	run    *runner
	rules  string // builtinRules
	shield *shielding
}

// build makes a candidate of a compiled policy: users and groups, sandboxes,
// one start of each zygote, new listeners. It blocks and never runs on the loop.
func (b *Broker) build(doc *policy.Document) (*candidate, error) {
	now, err := b.snapshot(doc)
	if err != nil {
		return nil, err
	}
	c := b.candidate(&generation{number: now.number + 1, digest: doc.Digest, doc: doc})
	defer c.site.Close()
	c.now, c.lenient = now, now.number == 0 && doc.Policy.OnBroken != policy.BrokenRefuse
	done := false
	defer func() {
		if !done { // also after a panic
			c.discard()
		}
	}()
	if now.number == 0 {
		if c.left, err = b.hands.Left(); err != nil {
			return nil, err
		}
	}
	if err := c.plan(doc); err != nil {
		return nil, err
	}
	if err := c.prepare(now.runners); err != nil {
		return nil, err
	}
	if err := c.open(now.sockets); err != nil {
		return nil, err
	}
	if err := c.serves(); c.lenient && err != nil {
		return nil, err
	}
	done = true
	return c, nil
}

// candidate is an empty one, for services of g.
func (b *Broker) candidate(g *generation) *candidate {
	return &candidate{
		b: b, gen: g, proven: make(map[*runner]hands.Starter), proofs: make(map[string]bool), opened: make(map[string]*inbound.Socket),
		later: make(map[string]granted.Socket), retry: make(map[string]error), missing: make(map[string]error), shut: make(map[shutBy]shut), site: b.hands.Site(g.doc),
	}
}

// plan resolves every service of doc. All errors are reported, not only the first.
func (c *candidate) plan(doc *policy.Document) error {
	var errs []error
	compiled := make(map[string]rules)
	c.site.All()
	if doc != c.now.doc {
		if err := c.site.Read(); err != nil {
			return err
		}
	}
	for i, s := range doc.Policy.Programs() {
		p, same, err := c.unchanged(doc, i, s, compiled)
		if !same && err == nil {
			if err = c.site.Read(); err != nil {
				return err
			}
			if p, err = c.planService(doc, s, compiled); err == nil {
				if err = c.find(&p); p.svc.of != nil {
					p.Sockets = nil
				}
				err = c.excuse(&p, c.gen.placed(p.svc, err))
			}
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.svc.sockets, p.shield = p.Sockets, c.shielding(&p)
		c.plans = append(c.plans, p)
		c.gen.services = append(c.gen.services, p.svc)
	}
	return errors.Join(errs...)
}

// find looks the service up on this host. A builtin's worker is also made from what it is told.
func (c *candidate) find(p *planned) (err error) {
	if p.Found, err = c.site.Find(p.svc.spec); err == nil && p.svc.spec.Builtin != "" {
		p.rules = builtinRules(p)
		p.Key += p.rules
	}
	return err
}

// unchanged plans a service that the policy in force has as well, as it is there, if what it was made from lies
// on the disk as it did then. Whom it admits may be others.
func (c *candidate) unchanged(doc *policy.Document, i int, s *policy.Service, compiled map[string]rules) (p planned, ok bool, err error) {
	if c.now.doc != doc {
		i = c.now.alike.place(i, s)
	}
	if i < 0 || i >= len(c.now.had) || c.now.had[i].svc == nil || c.site.Stamp(s) != c.now.had[i].stamp {
		return p, false, nil
	}
	k := c.now.had[i]
	if c.now.doc == doc {
		p.svc = c.newService(s, k.svc.rules, *doc.Policy.Limit(s.Limit))
	} else if p, err = c.planService(doc, s, compiled); err != nil {
		return p, false, err
	}
	p.Sockets, p.Key, p.rules, p.Stamp, p.UID, p.Dynamic = k.svc.sockets, k.run.key, k.run.rules, k.stamp, k.uid, k.dynamic
	return p, true, nil
}

func (c *candidate) newService(s *policy.Service, r rules, l limit.Spec) *service {
	svc := &service{b: c.b, name: s.Name, spec: s, gen: c.gen, rules: r, limit: &l}
	svc.again.Owner = svc
	if len(c.gen.services) >= len(c.gen.doc.Policy.Services) { // the services themselves are there
		svc.of = c.gen.service(s.Name)
		svc.of.others = append(svc.of.others, svc)
	}
	return svc
}

func (c *candidate) planService(doc *policy.Document, s *policy.Service, compiled map[string]rules) (p planned, err error) {
	r, ok := compiled[s.ACL]
	if !ok {
		if r, err = compileRules(doc, s.ACL); err != nil {
			return p, err
		}
		compiled[s.ACL] = r
	}
	p.svc = c.newService(s, r, *doc.Policy.Limit(s.Limit))
	return p, nil
}

// atOnce is how many sandboxes are made side by side: most of the time goes by
// waiting for the kernel (namespaces and mounts come and go by RCU).
const atOnce = 4

// prepare makes the sandboxes that are not in use yet, and proves each one: a
// layer that fails only in a zygote refuses the service now, not at its first client.
func (c *candidate) prepare(keep map[string]*runner) error {
	var todo []*planned
	for i := range c.plans {
		p := &c.plans[i]
		if p.fault != nil {
			continue
		}
		if p.svc.run = keep[p.Key]; p.svc.run == nil {
			todo = append(todo, p)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	jobs := make([]*warden.Job, len(todo))
	for i, p := range todo {
		jobs[i] = p.Job
	}
	if err := c.b.plan(jobs...); err != nil {
		return err
	}
	errs := make([]error, len(todo))
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(atOnce, len(todo)) {
		wg.Add(1)
		c.b.apart(func() error {
			for i := next.Add(1) - 1; int(i) < len(todo); i = next.Add(1) - 1 {
				errs[i] = panics.Try(func() (err error) { todo[i].svc.run, err = c.newRunner(todo[i]); return c.gen.placed(todo[i].svc, err) })
			}
			return nil
		}, func(error) { wg.Done() })
	}
	wg.Wait()
	for i, p := range todo {
		errs[i] = c.excuse(p, errs[i])
	}
	return errors.Join(errs...)
}

func (c *candidate) newRunner(p *planned) (*runner, error) {
	s := p.svc.spec
	box, err := c.b.cells(p.Job)
	if err != nil {
		return nil, err
	}
	z, err := c.prove(box)
	if err != nil {
		_ = box.Close()
		return nil, fmt.Errorf("services.%s: profile %q: %w", s.Name, s.Profile, err)
	}
	r := newRunner(c.b, s.Name, box)
	r.key, r.stamp, r.linger = p.Key, p.Stamp, s.Linger
	kind := wire.Text
	if s.Builtin != "" {
		kind, r.rules = wire.Records, p.rules
	}
	r.logs = append(r.logs, []wire.Kind{kind, wire.Stdout}[:p.Outputs]...)
	if box.Log() {
		r.logs = append(r.logs, wire.Syslog)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh = append(c.fresh, r)
	if z != nil {
		c.proven[r] = z
	}
	return r, nil
}

// prove starts a zygote, which stays where there are few. Where there are many, one proves
// all that would do the same.
func (c *candidate) prove(box hands.Cell) (hands.Starter, error) {
	if len(c.plans) <= maxWarm {
		return c.b.hands.Spawn(box)
	}
	proof, err := box.Proof()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	known := c.proofs[proof]
	c.mu.Unlock()
	if known {
		return nil, nil
	}
	z, err := c.b.hands.Spawn(box)
	if err != nil {
		return nil, err
	}
	c.b.hands.Retire(z)
	c.mu.Lock()
	c.proofs[proof] = true
	c.mu.Unlock()
	return nil, nil
}

// builtinRules names what a running builtin worker must be replaced for.
func builtinRules(p *planned) string {
	doc := p.svc.gen.doc.Policy
	text, err := json.Marshal([]any{p.svc.spec, p.svc.limit, doc.ACL(p.svc.spec.ACL), handsOver(doc, p.svc.spec), *doc.Profile(p.svc.spec.Profile), []byte(p.Files)})
	if err != nil {
		return "" // what was decoded can be encoded
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// discard undoes a candidate that does not come into force.
func (c *candidate) discard() {
	for _, z := range c.proven {
		c.b.hands.Retire(z)
	}
	for _, r := range c.fresh {
		_ = r.cell.Close()
	}
	for _, s := range c.opened {
		// It was never announced; a leftover socket file is replaced next time.
		_ = s.Close()
	}
}

// excuse makes an error of one service its own affair where the others are served all
// the same: at the start, and later if it is as it was and was not to be had
// before. A bug is nobody's affair.
func (c *candidate) excuse(p *planned, err error) error {
	i := slices.IndexFunc(c.now.faulty, func(old *service) bool {
		return err != nil && reflect.DeepEqual(old.spec, p.svc.spec) && reflect.DeepEqual(old.gen.doc.Policy.Profile(old.spec.Profile), c.gen.doc.Policy.Profile(p.svc.spec.Profile))
	})
	switch {
	case err == nil || errors.As(err, new(*panics.Error)):
		return err
	case c.lenient:
		p.svc.run = newRunner(c.b, p.svc.name, hands.NoCell{Err: err})
	case i >= 0:
		old := c.now.faulty[i]
		p.svc.run, p.UID, p.Dynamic = old.run, old.uid, old.dynamic
		c.warned = append(c.warned, policy.Diagnostic{Severity: policy.SeverityWarning, Code: "CM602", Summary: err.Error(),
			Detail: "it could not be prepared before, and its block is the same: the others are in force"})
	default:
		return err
	}
	p.fault = err
	return nil
}

package diff

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/reach"
	"casemate/policy"
)

// Reach is clients who get in now and did not before, or the other way round; Differs in its Verdict are clients who get
// something else than before.
type Reach struct {
	Verdict Verdict `json:"verdict"`
	// Clients are the fewest prefixes and addresses that hold them, and users and machines as uid=FIRST-LAST: the first 200,
	// and LeftOut how many more there are.
	Clients []string `json:"clients"`
	LeftOut int      `json:"clients_left_out,omitempty"`
	// Counts are how many: decimal numbers, by ipv4, ipv6, uid, cid.
	Counts map[string]string `json:"counts"`
	// When is the circumstances under which it is so.
	When reach.Circumstances `json:"when,omitzero"`
	// Witness is one of them.
	Witness Witness `json:"witness"`
}

// Witness is one client, as casemate explain takes it, and what it gets.
type Witness struct {
	Client string `json:"client"`
	Name   string `json:"name,omitempty"`
	Local  string `json:"local,omitempty"`
	At     string `json:"at,omitempty"`
	// Old and New are what decides: file:line:column, or "" where nobody listens.
	Old Decided `json:"old"`
	New Decided `json:"new"`
}

// Decided is what a policy has for a witness.
type Decided struct {
	Decision acl.Verdict `json:"decision"`
	Rule     string      `json:"rule"` // as people name it: rule 2 of acl "office"
	Origin   string      `json:"origin,omitempty"`
}

// Flags are the arguments behind casemate explain SERVICE that ask about the witness.
func (w *Witness) Flags() []string {
	out := []string{w.Client}
	for _, f := range [][2]string{{"--name", w.Name}, {"--local", w.Local}, {"--at", w.At}} {
		if f[1] != "" {
			out = append(out, f[0], f[1])
		}
	}
	return out
}

// comes are the kinds of clients who can come to a service.
func comes(s *policy.Service) (out []reach.Kind) {
	if s == nil {
		return nil
	}
	has := map[reach.Kind]bool{}
	for _, e := range endpoints(s) {
		switch {
		case e.Network == "tcpmux":
			has[reach.IPv4], has[reach.IPv6] = true, true
		case e.Unix():
			has[reach.User] = true
		case e.Network == "vsock":
			has[reach.Machine] = true
		case strings.HasSuffix(e.Network, "4"):
			has[reach.IPv4] = true
		default:
			has[reach.IPv6] = true
		}
	}
	return slices.Sorted(maps.Keys(has))
}

// mostClients is how many of Clients there are.
const mostClients = 200

// aclResult is the difference of two lists for clients of some kinds: who gets in, and who gets another program.
type aclResult struct {
	reach   []Reach
	differs []string
	err     error
}

// matchers decide by lists, each made once.
type matchers map[*acl.List]*decide.Matcher

func (m matchers) decide(l *acl.List, c decide.Client) (decide.Decision, error) {
	have, ok := m[l]
	if !ok {
		var err error
		if have, err = decide.Compile(l); err != nil {
			return decide.Decision{}, err
		}
		m[l] = have
	}
	return have.Decide(c), nil
}

// reach compares who gets in. program tells of who got in before as well and gets another program, or another environment.
func (c *comparison) reach(s string, a, b *policy.Service) (d, program Dimension, err error) {
	d.Name = "reach"
	from, to := comes(a), comes(b)
	was, is := list(c.old.Policy, a), list(c.new.Policy, b)
	if is != nil {
		d.By = fmt.Sprintf("acl %q", is.Name)
	}
	key := fmt.Sprint(name(was), from, name(is), to)
	if was == nil || is == nil { // what decides is the service itself
		key = fmt.Sprint(key, a != nil, b != nil, s)
	}
	r := c.acls[key]
	if r == nil {
		r = c.aclPair(a, b, was, is)
		c.acls[key] = r
	}
	if errors.Is(r.err, reach.ErrTooMany) {
		d.Differs = append(d.Differs, fmt.Sprintf("who gets in may be other, nobody can tell: %v", r.err))
		return d, program, nil
	}
	d.Reach, program.Differs = r.reach, slices.Clone(r.differs)
	return d, program, r.err
}

func (c *comparison) aclPair(a, b *policy.Service, was, is *acl.List) *aclResult {
	r := &aclResult{}
	var changes []reach.Change
	if changes, r.err = c.lists.Compare(was, is, comes(a), comes(b)); r.err != nil {
		return r
	}
	for _, ch := range changes {
		entry, err := c.changed(a, b, was, is, ch)
		if err != nil {
			return &aclResult{err: err}
		}
		if entry.Verdict == Incomparable {
			r.differs = append(r.differs, others(entry, ch))
		} else {
			r.reach = append(r.reach, entry)
		}
	}
	slices.SortStableFunc(r.reach, func(x, y Reach) int { return slices.Index(Verdicts, x.Verdict) - slices.Index(Verdicts, y.Verdict) })
	return r
}

func name(l *acl.List) string {
	if l == nil {
		return "-"
	}
	return l.Name
}

// list is the acl of a service, nil for none and for no service.
func list(p *policy.Policy, s *policy.Service) *acl.List {
	if s == nil {
		return nil
	}
	return p.ACL(s.ACL)
}

// others says of clients that they get another program or environment.
func others(r Reach, ch reach.Change) string {
	who := strings.Join(r.Short(4), ", ")
	if when := ch.When.String(); when != "" {
		who += " (" + when + ")"
	}
	return fmt.Sprintf("for %s: %s, was %s", who, gives(ch.Is.Does), gives(ch.Was.Does))
}

// gives says what a rule gives besides letting in.
func gives(does string) string {
	var v struct {
		env     map[string]string
		command []string
	}
	if does == "" {
		return "nothing of a rule's own"
	}
	_ = json.Unmarshal([]byte(does), &[]any{&v.env, &v.command}) // reach made it
	var parts []string
	if len(v.command) > 0 {
		parts = append(parts, "runs "+strings.Join(v.command, " "))
	}
	for _, k := range slices.Sorted(maps.Keys(v.env)) {
		parts = append(parts, fmt.Sprintf("env %s=%s", k, v.env[k]))
	}
	return strings.Join(parts, ", ")
}

// Short are the first n of Clients, and how many more there are.
func (r *Reach) Short(n int) []string {
	all := len(r.Clients) + r.LeftOut
	if all <= n+1 {
		return r.Clients
	}
	return append(slices.Clone(r.Clients[:n]), fmt.Sprintf("%d more", all-n))
}

// changed makes an entry of a change, and holds its example to what decides in earnest.
func (c *comparison) changed(a, b *policy.Service, was, is *acl.List, ch reach.Change) (Reach, error) {
	r := Reach{Verdict: Incomparable, Clients: ch.Clients.Patterns(), Counts: map[string]string{}, When: ch.When}
	if n := len(r.Clients); n > mostClients {
		r.Clients, r.LeftOut = r.Clients[:mostClients:mostClients], n-mostClients
	}
	for i, k := range []reach.Kind{reach.IPv4, reach.IPv6, reach.User, reach.Machine} {
		if n := ch.Clients.Count(k); n.Sign() > 0 {
			r.Counts[[]string{"ipv4", "ipv6", "uid", "cid"}[i]] = n.String()
		}
	}
	if ch.Was.Verdict != ch.Is.Verdict {
		r.Verdict = Narrowed
		if ch.Is.Verdict == acl.Allow {
			r.Verdict = Widened
		}
	}
	e, err := c.asked(ch.Example, was, is)
	if err != nil {
		return r, err
	}
	r.Witness = witness(e)
	if e.At.IsZero() {
		e.At = sometime
	}
	if r.Witness.Old, err = c.decided(c.old, a, was, e, ch.Was.Verdict); err == nil {
		r.Witness.New, err = c.decided(c.new, b, is, e, ch.Is.Verdict)
	}
	return r, err
}

// witness is a client as casemate explain takes it.
func witness(e decide.Client) Witness {
	w := Witness{Client: string(e.Peer), Name: nameWord(e.Name)}
	if e.Peer == "" {
		w.Client = e.Addr.String()
	}
	if e.Local.IsValid() {
		w.Local = e.Local.String()
	}
	if !e.At.IsZero() {
		w.At = e.At.UTC().Format(time.RFC3339)
	}
	return w
}

// asked gives an example a name, any one, where a list does not answer without: it asks for one as soon as two rules could each go
// two ways, also where no name takes both.
func (c *comparison) asked(e decide.Client, lists ...*acl.List) (decide.Client, error) {
	at := e
	if at.At.IsZero() {
		at.At = sometime
	}
	for _, l := range lists {
		d, err := c.matchers.decide(l, at)
		if err != nil {
			return e, err
		}
		if d.NeedName {
			e.Name = decide.Name{State: decide.Unknown}
			return e, nil
		}
	}
	return e, nil
}

// sometime stands for any time, and not for one that nobody knows.
var sometime = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// nameWord is a name as --name has it.
func nameWord(n decide.Name) string {
	switch n.State {
	case decide.Known:
		return n.Host
	case decide.Unknown:
		return "unknown"
	case decide.Paranoid:
		return "paranoid"
	case decide.NoAnswer:
		return "no-answer"
	}
	return ""
}

// decided asks what decides about a client. An answer that is not the one that was worked out is a fault of ours, and no
// difference is told that rests on it.
func (c *comparison) decided(doc *policy.Document, s *policy.Service, l *acl.List, e decide.Client, want acl.Verdict) (Decided, error) {
	if s == nil || !slices.Contains(comes(s), kind(e)) {
		out := Decided{Decision: acl.Deny, Rule: "nobody of its kind comes there"}
		if s == nil {
			out.Rule = "the service is not served"
		}
		return out, same(e, acl.Deny, want)
	}
	d, err := c.matchers.decide(l, e)
	if err != nil {
		return Decided{}, err
	}
	out := Decided{Decision: d.Verdict}
	switch {
	case d.Rule >= 0:
		out.Rule = fmt.Sprintf("rule %d of acl %q", d.Rule+1, l.Name)
		if own := decide.RuleName(l, d.Rule); own != "" {
			out.Rule = fmt.Sprintf("rule %q of acl %q", own, l.Name)
		}
		out.Origin = doc.Origins.Lookup(fmt.Sprintf("acls.%s.rules.%d", l.Name, d.Rule))
	case l == nil:
		out.Rule, out.Origin = "there is no acl", doc.Origins.Lookup("services."+s.Name)
	default:
		out.Rule, out.Origin = fmt.Sprintf("the default of acl %q", l.Name), doc.Origins.Lookup("acls."+l.Name+".default")
	}
	if d.NeedName {
		return out, fmt.Errorf("internal error, please report it: whether %v gets in depends on its name", e)
	}
	return out, same(e, d.Verdict, want)
}

func same(e decide.Client, got, want acl.Verdict) error {
	if got != want {
		return fmt.Errorf("internal error, please report it: the answer for %+v is %s, and was taken for %s", e, got, want)
	}
	return nil
}

// kind is that of a client.
func kind(c decide.Client) reach.Kind {
	switch {
	case strings.HasPrefix(string(c.Peer), "uid="):
		return reach.User
	case c.Peer != "":
		return reach.Machine
	case c.Addr.Is4():
		return reach.IPv4
	}
	return reach.IPv6
}

// Number writes how many addresses there are for people: exactly, or as a power of two.
func Number(decimal string) string {
	n, ok := new(big.Int).SetString(decimal, 10)
	if !ok || n.BitLen() <= 40 {
		return decimal
	}
	power := fmt.Sprintf("2^%d", n.BitLen()-1)
	if n.TrailingZeroBits() == uint(n.BitLen()-1) {
		return power
	}
	return "more than " + power
}

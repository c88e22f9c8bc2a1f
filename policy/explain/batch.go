package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/trace"
	"casemate/policy"
)

// Case is one question of many: who comes to which service.
type Case struct {
	Service string `json:"service"`
	// Client is an IPv4 or IPv6 address, or a client without one, as ParsePeer reads it.
	Client string `json:"client"`
	// Name is as Query.Name.
	Name string `json:"name"`
	// Local and LocalPort are where the client came to; User is what an ident server says
	// of it, for tables that ask for one: an acl does not.
	Local     string `json:"local"`
	LocalPort int    `json:"local_port"`
	User      string `json:"user"`
	// At is when the client comes, RFC 3339; "" is now.
	At string `json:"at"`
}

// Verdict answers a Case. Rule counts as Explanation.Rule does.
type Verdict struct {
	Decision acl.Verdict `json:"decision"`
	Rule     int         `json:"rule"`
	RuleName string      `json:"rule_name,omitempty"`
	Origin   string      `json:"origin"`
	// NeedsName: the decision depends on a name that the case does not have.
	NeedsName bool `json:"needs_name,omitempty"`
	// Reason is what else than a rule that matched decided.
	Reason string `json:"reason,omitempty"`
}

// Batch answers many cases about one document. It is made for one goroutine.
type Batch struct {
	doc      *policy.Document
	services map[string]*judge
}

// judge is one service, ready.
type judge struct {
	service *policy.Service
	list    *acl.List
	match   *decide.Matcher
	origins map[int]string
}

// NewBatch prepares a document's services as they are asked for.
func NewBatch(doc *policy.Document) *Batch {
	return &Batch{doc: doc, services: map[string]*judge{}}
}

func (b *Batch) judge(service string) (*judge, error) {
	if j := b.services[service]; j != nil {
		return j, nil
	}
	s, err := Find(b.doc.Policy, service)
	if err != nil {
		return nil, err
	}
	j := &judge{service: s, list: b.doc.Policy.ACL(s.ACL), origins: map[int]string{}}
	if j.match, err = decide.Compile(j.list); err != nil {
		return nil, fmt.Errorf("acl %q: %w", s.ACL, err)
	}
	b.services[service] = j
	return j, nil
}

// Ask answers one case with the matcher that the broker decides with.
func (b *Batch) Ask(c *Case) (Verdict, error) {
	j, err := b.judge(c.Service)
	if err != nil {
		return Verdict{}, err
	}
	client, err := c.client()
	if err == nil {
		err = Comes(j.service, j.list, client.Peer)
	}
	if err != nil {
		return Verdict{}, err
	}
	return b.decide(j, client), nil
}

// Decide answers for a client who can come to a service.
func (b *Batch) Decide(service string, client decide.Client) (Verdict, error) {
	j, err := b.judge(service)
	if err != nil {
		return Verdict{}, err
	}
	return b.decide(j, client), nil
}

func (b *Batch) decide(j *judge, client decide.Client) Verdict {
	if j.service.Disable {
		return Verdict{Decision: acl.Deny, Rule: RuleDisabled, Origin: b.doc.Origins.Lookup(OffAt(j.service.Name)), Reason: "the service is disabled"}
	}
	d := j.match.Decide(client)
	v := Verdict{Decision: d.Verdict, Rule: number(d.Rule), RuleName: decide.RuleName(j.list, d.Rule), NeedsName: d.NeedName}
	origin, ok := j.origins[d.Rule]
	if !ok {
		origin = b.doc.Origins.Lookup(originOf(j.service, d.Rule))
		j.origins[d.Rule] = origin
	}
	v.Origin = origin
	return v
}

// client is the case as the rules see it.
func (c *Case) client() (out decide.Client, err error) {
	if out.Peer, err = ParsePeer(c.Client); err != nil {
		return out, err
	}
	if out.Peer == "" {
		if out.Addr, err = ParseAddr("client", c.Client); err != nil {
			return out, err
		}
	}
	if c.Local != "" {
		if out.Local, err = ParseAddr("local", c.Local); err != nil {
			return out, err
		}
	}
	if out.Name, err = trace.ParseName(c.Name); err != nil {
		return out, fmt.Errorf("name: %w", err)
	}
	if out.At = time.Now(); c.At != "" {
		out.At, err = ParseTime(c.At)
	}
	return out, err
}

// ParseTime reads a time as RFC 3339 has it.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Unix() <= 0 {
		return t, fmt.Errorf("at %q is not a time: write it as in 2026-11-26T18:30:00Z, or with +01:00 in place of Z", s)
	}
	return t, nil
}

// ParseAddr reads the address of a field, in the one spelling that rules take.
func ParseAddr(field, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, errors.New(field + " " + fmt.Sprintf("%q", s) + " is not an address")
	}
	return a.Unmap().WithZone(""), nil
}

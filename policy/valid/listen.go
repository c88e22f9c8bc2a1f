package valid

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"casemate/listener/address"
	"casemate/listener/address/spell"
	"casemate/policy"
)

// listen checks one address.
func (c *checker) listen(at string, l address.Listen) {
	var bad *spell.Error
	if errors.As(spell.Check(l), &bad) {
		c.add(at, bad.Next, "%s", bad.Summary)
	}
}

// socket checks the options of the listening sockets.
func (c *checker) socket(at string, s *policy.Service) {
	o := &s.Socket
	between(c, at+".backlog", o.Backlog, 0, MaxBacklog)
	if !slices.ContainsFunc(s.Listen, address.Listen.File) {
		if o.Mode != 0 || o.Owner != "" || o.Group != "" {
			c.add(at, "remove mode, owner and group, or listen on unix:/run/name.sock", "only the file of a unix socket has a mode and an owner")
		}
		return
	}
	if o.Mode > 0o777 {
		c.add(at+".mode", `write a mode from "0000" to "0777"`, "%#o is not a file mode", o.Mode)
	}
	if o.Owner != "" {
		c.account(at+".owner", o.Owner)
	}
	if o.Group != "" {
		c.account(at+".group", o.Group)
	}
}

// taken is what has an endpoint of a policy, for the collision check.
type taken struct {
	at string
	l  address.Listen
}

// collisions finds listens that the kernel would refuse to open together.
func (c *checker) collisions(p *policy.Policy) {
	used, count := map[string]taken{}, 0
	for i := range p.Services {
		for k, l := range p.Services[i].Listen {
			at := fmt.Sprintf("services.%s.listen.%d", p.Services[i].Name, k)
			ends := l.Endpoints()
			if count += len(ends); count > policy.MaxSockets {
				c.add(at, "listen on fewer ports", "the policy opens more than %d sockets", policy.MaxSockets)
				return
			}
			c.collide(used, ends, at, l)
		}
	}
}

// collide reports the first of ends that is taken, and takes them otherwise: its port or path as
// a whole, and there its address, or all of them.
func (c *checker) collide(used map[string]taken, ends []address.Endpoint, at string, l address.Listen) {
	keys := func(e address.Endpoint) (whole, one, all string, is bool) {
		if e.Unix() {
			return e.Path, e.Path, e.Path, true
		}
		whole = e.Network + strconv.Itoa(int(e.Addr.Port()))
		return whole, whole + " " + e.Addr.Addr().String(), whole + " all", e.Addr.Addr().IsUnspecified()
	}
	for _, e := range ends {
		whole, one, all, is := keys(e)
		other, hit := used[one]
		if is {
			other, hit = used[whole]
		} else if !hit {
			other, hit = used[all]
		}
		if hit {
			if e := c.add(at, "remove one of the two, or give each its own address", "%s is already taken by %s", l, other.l); e != nil {
				e.Other = other.at
			}
			return
		}
	}
	for _, e := range ends {
		whole, one, all, is := keys(e)
		if is {
			one = all
		}
		for _, k := range []string{whole, one} {
			if _, ok := used[k]; !ok {
				used[k] = taken{at, l}
			}
		}
	}
}

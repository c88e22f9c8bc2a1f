package valid

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"casemate/listener/address"
	"casemate/listener/address/spell"
	"casemate/listener/endpoint"
	"casemate/policy"
	"casemate/policy/granted"
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
	c.packets(at, s)
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

// packets checks what the options say of packets: of tcp and udp, but for the buffers.
func (c *checker) packets(at string, s *policy.Service) {
	o := &s.Socket
	for name, n := range map[string]uint32{".send_buffer": o.SendBuffer, ".receive_buffer": o.ReceiveBuffer} {
		if n != 0 {
			between(c, at+name, int64(n), LeastBuffer, MostBuffer)
		}
	}
	between(c, at+".priority", int64(o.Priority), 0, MaxPriority)
	if o.TOS > 252 || o.TOS%4 != 0 {
		c.add(at+".tos", `write a name, as tos = "ef", or a multiple of 4 up to 252`, "%d is no tos: its last two bits are congestion's", o.TOS)
	}
	if o.Interface != "" && (len(o.Interface) > 15 || strings.ContainsAny(o.Interface, "/:%") || strings.ContainsFunc(o.Interface, endpoint.Unprintable) || strings.ContainsFunc(o.Interface, unicode.IsSpace)) {
		c.add(at+".interface", "write a name as `ip link` shows it, up to 15 bytes", "%q is no name of an interface", o.Interface)
	}
	unixes := !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Inet() })
	if rest := (policy.Socket{Mode: o.Mode, Owner: o.Owner, Group: o.Group, Backlog: o.Backlog, Keepalive: o.Keepalive, NoDelay: o.NoDelay,
		SendBuffer: o.SendBuffer, ReceiveBuffer: o.ReceiveBuffer}); unixes && *o != rest {
		c.add(at, "remove interface, freebind, transparent, tos, mark and priority", "only tcp and udp sockets have them")
	}
	if o.Priority != 0 && s.Wait && slices.ContainsFunc(s.Listen, tcp) {
		c.add(at+".priority", "remove priority, or serve it with wait = false", "a program with wait takes its tcp clients itself, and their sockets do not have the priority of the one they come by")
	}
	if o.NoDelay && !slices.ContainsFunc(s.Listen, tcp) {
		c.add(at+".nodelay", "remove nodelay", "only tcp clients have segments")
	}
}

// tcp tells whether l takes connections of tcp.
func tcp(l address.Listen) bool { return l.Inet() && !l.Datagram() }

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
			ends := p.Services[i].Endpoints(l)
			if count += len(ends); count > granted.MaxSockets {
				c.add(at, "listen on fewer ports", "the policy opens more than %d sockets", granted.MaxSockets)
				return
			}
			c.collide(used, ends, at, l)
		}
	}
}

// collide reports the first of ends that is taken, and takes them otherwise: its port or path as
// a whole, and there its address, or all of them; each on its interface, or on all.
func (c *checker) collide(used map[string]taken, ends []endpoint.Endpoint, at string, l address.Listen) {
	keys := func(e endpoint.Endpoint) (whole, one, all string, is bool) {
		if e.Unix() {
			return e.Path, e.Path, e.Path, true
		}
		if cid, port, ok := endpoint.Numbers(e.Path); ok {
			whole = fmt.Sprint(e.Network, port)
			return whole, fmt.Sprint(whole, " ", cid), whole + " all", cid == math.MaxUint32
		}
		whole = e.Network + strconv.Itoa(int(e.Addr.Port()))
		return whole, whole + " " + e.Addr.Addr().String(), whole + " all", e.Addr.Addr().IsUnspecified()
	}
	const anywhere = "%"
	find := func(key string, e endpoint.Endpoint) (taken, bool) {
		if e.Interface == "" {
			other, hit := used[key+anywhere]
			return other, hit
		}
		other, hit := used[key+anywhere+e.Interface]
		if !hit {
			other, hit = used[key]
		}
		return other, hit
	}
	for _, e := range ends {
		whole, one, all, is := keys(e)
		other, hit := find(one, e)
		if is {
			other, hit = find(whole, e)
		} else if !hit {
			other, hit = find(all, e)
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
			on := k // on all interfaces
			if e.Interface != "" {
				on += anywhere + e.Interface
			}
			for _, k := range []string{k + anywhere, on} {
				if _, ok := used[k]; !ok {
					used[k] = taken{at, l}
				}
			}
		}
	}
}

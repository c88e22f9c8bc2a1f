package lang

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/inetd"

	"github.com/hashicorp/hcl/v2"
)

// extendsRow is read before all others of a service, for they change what the entry says.
var extendsRow = Attribute{Name: "extends", Example: `"telnet/tcp"`, Doc: "service and protocol of an entry of inetd.conf, with the address in front where lines differ in that alone: it says what this block does not"}

// reasonOfEntry explains root where nobody else does. It names no file: the digest is the
// same wherever the file is.
const reasonOfEntry = "its entry in inetd.conf says so"

// unextended makes a service of each entry that no block extends.
func (c *compiler) unextended() (out []policy.Service) {
	refused := c.entryRules.unextended == refuseUnextended
	names := c.entryNames()
	asked := false
	for i, e := range c.entries {
		if e.extended != "" {
			continue
		}
		at := hclRange(e.At)
		switch {
		case refused:
			c.report(codeMissing, at, fmt.Sprintf("write service %q { extends = %q ... }", names[i], c.shortest(e)), `no service extends %q, and inetd { unextended = "refuse" }`, c.shortest(e))
			continue
		case c.entryRules.acl == "" && !c.entryRules.asks(e) && !asked:
			asked = true
			rng, next := at, "write inetd { acl = acl.anyone }, as an inetd does, or another acl"
			if c.inetd != nil {
				rng, next = c.inetd.DefRange(), "write acl = acl.anyone, as an inetd does, or another acl"
			}
			c.report(codeMissing, rng, next, "nothing says who may connect to the entries that no service extends, as %q", c.shortest(e))
		}
		if other := c.blocks[kindService][names[i]]; other != nil {
			c.report(codeDuplicate, at, fmt.Sprintf("write extends = %q there, or give the block another name; it is at %s", c.shortest(e), place(other.DefRange())),
				"service %q does not extend the entry of its name", names[i])
			continue
		}
		s := serviceBlank()
		s.Name = names[i]
		prefix := "services." + s.Name
		c.put(prefix, at)
		c.inner[prefix] = true
		c.put(prefix+".name", hclRange(e.Service.At))
		c.entry(e, &s)
		if s.Builtin != "" {
			handOver(&s)
		}
		c.settle(e, &s)
		out = append(out, s)
	}
	return out
}

// entry puts what an entry says into a service, with its places.
func (c *compiler) entry(e *inetdEntry, s *policy.Service) {
	at := "services." + s.Name
	put := func(name string, where inetd.Range) { c.put(at+"."+name, hclRange(where)) }
	c.listenOf(e, s)
	put("listen", e.Service.At)
	if e.Internal != "" {
		s.Builtin, s.User = e.Internal, policy.Dynamic
		put("builtin", e.Program.At)
		return
	}
	s.Wait = e.Wait
	put("wait", e.WaitAt)
	s.User, s.Group = policy.Account(e.User.Text), policy.Account(e.Group.Text)
	put("user", e.User.At)
	if e.Group.Written() {
		put("group", e.Group.At)
	}
	s.Command = []string{e.Program.Text}
	put("command", e.Program.At)
	put("command.0", e.Program.At)
	for i, a := range e.Args[1:] {
		s.Command = append(s.Command, a.Text)
		put("command."+strconv.Itoa(i+1), a.At)
	}
	if argv0 := e.Args[0]; argv0.Text != path.Base(e.Program.Text) {
		s.Argv0 = argv0.Text
		put("argv0", argv0.At)
	}
}

// listenOf puts where an entry listens into a service.
func (c *compiler) listenOf(e *inetdEntry, s *policy.Service) {
	at := "services." + s.Name
	if e.Mux {
		s.Mux = []string{strings.ToLower(e.Service.Text)}
		if e.Plus {
			s.Mux[0] = "+" + s.Mux[0]
		}
		c.put(at+".mux", hclRange(e.Service.At))
		return
	}
	for name, n := range map[string]inetd.Number{"send_buffer": e.SendBuffer, "receive_buffer": e.ReceiveBuffer} {
		if n.Written() {
			c.put(at+".socket."+name, hclRange(n.At))
		}
	}
	s.Socket.SendBuffer, s.Socket.ReceiveBuffer = uint32(e.SendBuffer.N), uint32(e.ReceiveBuffer.N)
	if strings.HasPrefix(e.Network, "unix") {
		s.Listen = []address.Listen{{Network: e.Network, Path: e.Service.Text}}
		c.put(at+".listen.0", hclRange(e.Service.At))
		s.Socket.Mode = socketMode
		if !e.Unix.Unknown {
			s.Socket.Mode = e.Unix.Mode
			c.put(at+".socket.mode", hclRange(cmp.Or(e.Unix.ModeAt, e.Protocol.At)))
		}
		s.Socket.Owner, s.Socket.Group = e.Unix.Owner.Text, e.Unix.Group.Text
		for name, t := range map[string]inetd.Text{"owner": e.Unix.Owner, "group": e.Unix.Group} {
			if t.Written() {
				c.put(at+".socket."+name, hclRange(t.At))
			}
		}
		return
	}
	port, ok := c.portOf(e)
	if !ok {
		return
	}
	add := func(network string, a netip.Addr, rng hcl.Range) {
		l := address.Listen{Network: network, Addr: a, Port: port, LastPort: port}
		if !l.Valid() {
			c.report(codeValue, rng, "write an address that fits "+e.Protocol.Text, "%s cannot be listened on by %s", a, e.Protocol.Text)
			return
		}
		c.put(fmt.Sprintf("%s.listen.%d", at, len(s.Listen)), rng)
		s.Listen = append(s.Listen, l)
	}
	narrow := func(a netip.Addr, rng hcl.Range) {
		network := e.Network
		if a.IsUnspecified() {
			network = strings.TrimRight(network, "46") + map[bool]string{true: "4", false: "6"}[a.Is4()]
			a = netip.Addr{}
		}
		add(network, a, rng)
	}
	switch usual := c.entryRules.address; {
	case len(e.Addresses) > 0:
		for _, host := range e.Addresses {
			for _, a := range c.addressOf(e, host) {
				narrow(a, hclRange(host.At))
			}
		}
	case usual.IsValid():
		narrow(usual, hclRange(e.Service.At))
	default:
		add(e.Network, netip.Addr{}, hclRange(e.Service.At))
	}
	if rules := &c.entryRules; rules.backlog > 0 && e.Socket.Text == "stream" {
		s.Socket.Backlog = rules.backlog
		c.put(at+".socket.backlog", c.inetd.Body.Attributes["backlog"].Expr.Range())
	}
}

// portOf is the port of an entry, by its number or name.
func (c *compiler) portOf(e *inetdEntry) (uint16, bool) {
	name := e.Service.Text
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		if n == 0 || n > 65535 {
			c.report(codeEntry, hclRange(e.Service.At), "write a number from 1 to 65535", "there is no port %s", clip(name))
			return 0, false
		}
		return uint16(n), true
	}
	port, ok := c.ports(transport(e.Network), hclRange(e.Service.At))(name)
	if !ok {
		c.report(codeEntry, hclRange(e.Service.At), c.portNext(name, "write its number, or name the host's /etc/services among the sources"), "port %q is not known", clip(name))
	}
	return port, ok
}

// addressOf is what an entry writes for an address. localhost is the one name that means
// the same on every host.
func (c *compiler) addressOf(e *inetdEntry, host inetd.Text) []netip.Addr {
	four, six := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	switch text := strings.Trim(host.Text, "[]"); {
	case text == "*":
		return []netip.Addr{{}}
	case text == "localhost" && strings.HasSuffix(e.Network, "4"):
		return []netip.Addr{four}
	case text == "localhost" && strings.HasSuffix(e.Network, "6"):
		return []netip.Addr{six}
	case text == "localhost":
		return []netip.Addr{four, six}
	default:
		a, err := netip.ParseAddr(text)
		if err != nil {
			c.report(codeEntry, hclRange(host.At), "write its address", "%q is no address: nobody is asked for names", clip(text))
			return nil
		}
		return []netip.Addr{a}
	}
}

package lang

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl/limit"
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
		case c.entryRules.acl == "" && !c.entryRules.hostsAccess && !asked:
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
		if !answers(&s) {
			s.Answers = limit.Rate{}
		}
		c.settle(e, &s)
		out = append(out, s)
	}
	return out
}

// shortest is how a block names e: without its address where that is enough.
func (c *compiler) shortest(e *inetdEntry) string {
	if len(c.byKey[e.Key()]) == 1 {
		return e.Key()
	}
	return e.Full()
}

// entryNames are the names of the services that entries make, in their order. One is what
// the entry calls its service ("telnet", "port-7971" for a number, "run-x-sock" for a
// path). Where several do, that of tcp keeps the name, and the others have their protocol
// behind it, then their addresses, then a number ("echo-udp", "echo-udp-127-0-0-1").
func (c *compiler) entryNames() []string {
	names := make([]string, len(c.entries))
	taken := map[string]bool{}
	for _, step := range []func(e *inetdEntry) string{
		func(e *inetdEntry) string { return "" },
		func(e *inetdEntry) string { return "-" + e.Protocol.Text },
		func(e *inetdEntry) string {
			return "-" + e.Protocol.Text + "-" + strings.TrimSuffix(e.Full(), ":"+e.Key())
		},
	} {
		for _, tcp := range []bool{true, false} {
			for i, e := range c.entries {
				if names[i] != "" || e.Protocol.Text == "tcp" != tcp {
					continue
				}
				if name := nameOf(e.Service.Text, step(e)); !taken[name] {
					names[i], taken[name] = name, true
				}
			}
		}
	}
	next := map[string]int{} // by what it is called
	for i, e := range c.entries {
		for n := max(next[e.Service.Text], 2); names[i] == ""; n++ {
			if name := nameOf(e.Service.Text, "-"+strconv.Itoa(n)); !taken[name] {
				names[i], taken[name], next[e.Service.Text] = name, true, n+1
			}
		}
	}
	return names
}

// nameOf makes a name of a block out of what an entry calls its service.
func nameOf(service, more string) string {
	valid := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
				return r
			case r >= 'A' && r <= 'Z':
				return r + 'a' - 'A'
			}
			return '-'
		}, s)
	}
	name := strings.Trim(valid(service), "-")
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		name = "port-" + name
	}
	const longest = 63
	more = strings.TrimRight(valid(more), "-")
	if len(more) > longest/2 {
		more = more[:longest/2]
	}
	return strings.TrimRight(name[:min(len(name), longest-len(more))]+more, "-")
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
	if len(e.Addresses) == 0 {
		add(e.Network, netip.Addr{}, hclRange(e.Service.At))
	}
	for _, host := range e.Addresses {
		for _, a := range c.addressOf(e, host) {
			network := e.Network
			if a.IsUnspecified() {
				network = strings.TrimRight(network, "46") + map[bool]string{true: "4", false: "6"}[a.Is4()]
				a = netip.Addr{}
			}
			add(network, a, hclRange(host.At))
		}
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

// settle gives the service of an entry what neither the entry nor a block says, and the
// entry's own limits.
func (c *compiler) settle(e *inetdEntry, s *policy.Service) {
	at, rules := "services."+s.Name, &c.entryRules
	take := func(name, value string, to *string) {
		if *to == "" && value != "" {
			*to = value
			field := name
			if name == "hosts_access" {
				field = kindACL
			}
			c.put(at+"."+field, c.inetd.Body.Attributes[name].Expr.Range())
		}
	}
	take("acl", rules.acl, &s.ACL)
	if rules.hostsAccess && s.ACL == "" {
		take("hosts_access", c.hostsACL(e, s), &s.ACL)
	}
	program := s.Builtin == ""
	if !s.Wait || !program {
		take("limit", rules.limit, &s.Limit)
	}
	if program {
		take("profile", rules.profile, &s.Profile)
		s.Profile = cmp.Or(s.Profile, classic(s))
	}
	if s.Because == "" && (s.User.Root() || s.Group.Root()) {
		s.Because = reasonOfEntry
		c.put(at+".because", hclRange(e.User.At))
	}
	usual := "default"
	if s.Wait && program {
		usual = "wait"
		c.unenforced(e, s)
	}
	s.Limit = cmp.Or(s.Limit, usual)
	c.ownLimit(e, s)
}

// unenforced reports an acl of all entries for one whose program accepts by itself.
func (c *compiler) unenforced(e *inetdEntry, s *policy.Service) {
	l := c.list(s.ACL)
	if l == nil || l.AllowsAll() || c.inetd == nil {
		return
	}
	for _, name := range []string{"acl", "hosts_access"} {
		if a := c.inetd.Body.Attributes[name]; a != nil && c.places["services."+s.Name+"."+"acl"] == a.Expr.Range() {
			c.report(codeMeaning, hclRange(e.WaitAt), fmt.Sprintf("write service %q { extends = %q ... } with wait = false, or with acl = acl.anyone", s.Name, c.shortest(e)),
				"%s of inetd is not enforceable for %q, whose program accepts its clients itself", name, c.shortest(e))
		}
	}
}

// loginPrograms let somebody in as another user, and need root's powers for that.
var loginPrograms = []string{"in.telnetd", "telnetd", "telnetlogin", "in.rlogind", "rlogind", "in.rshd", "rshd", "in.rexecd", "rexecd", "login", "sshd", "dropbear",
	"in.ftpd", "ftpd", "vsftpd", "proftpd", "pure-ftpd", "popa3d", "in.qpopper", "ipop3d", "ipop2d", "imapd", "uucico", "in.uucpd"}

// classic is the shipped profile for what an entry runs.
func classic(s *policy.Service) string {
	switch {
	case s.Wait:
		return "classic_wait"
	case s.User.Root() && len(s.Command) > 0 && (slices.Contains(loginPrograms, path.Base(s.Command[0])) || slices.Contains(loginPrograms, path.Base(s.Argv0))):
		return "classic_login"
	}
	return "classic"
}

// ownLimit makes a limit of the service's own where its entry has numbers: of each number
// the smaller of the two.
func (c *compiler) ownLimit(e *inetdEntry, s *policy.Service) {
	spec, ok := c.limits[s.Limit]
	if !ok {
		spec, ok = c.base.limits[s.Limit]
	}
	if !ok {
		return // reported
	}
	places := map[string]inetd.Range{}
	smaller := func(n inetd.Number, to *int, path string) {
		if n.N > 0 && (*to == 0 || n.N < *to) {
			*to, places[path] = n.N, n.At
		}
	}
	slower := func(n inetd.Number, rate *limit.Rate, burst *int, path string) {
		if n.N > 0 && (rate.Events == 0 || float64(n.N)*float64(rate.Per) < float64(rate.Events)*float64(time.Minute)) {
			*rate, places[path] = limit.Rate{Events: n.N, Per: time.Minute}, n.At
			if *burst == 0 || *burst > n.N {
				*burst, places[strings.Replace(path, "rate", "burst", 1)] = n.N, n.At
			}
		}
	}
	slower(e.PerMinute, &spec.Rate, &spec.Burst, "rate")
	if s.Wait && s.Builtin == "" {
		for _, n := range []inetd.Number{e.PerSourcePerMinute, e.PerSourceConcurrent} {
			if n.N > 0 {
				c.warn(codeLoss, hclRange(n.At), "serve it with nowait, or bound it with the program's own means", "nothing counts the sources of %q, whose program accepts its clients itself", c.shortest(e))
			}
		}
	} else {
		smaller(e.Concurrent, &spec.Concurrent, "concurrent")
		smaller(e.PerSourceConcurrent, &spec.PerSource.Concurrent, "per_source.concurrent")
		slower(e.PerSourcePerMinute, &spec.PerSource.Rate, &spec.PerSource.Burst, "per_source.rate")
	}
	if len(places) == 0 {
		return
	}
	from := "limits." + spec.Name
	for n := 1; spec.Name == s.Limit || c.knows(kindLimit, spec.Name) || c.hasLimit(spec.Name); n++ {
		if spec.Name = s.Name; n > 1 {
			spec.Name = nameOf(s.Name, "-inetd-"+strconv.Itoa(n))
		}
	}
	c.copyPlaces(from, "limits."+spec.Name)
	c.put("limits."+spec.Name+".name", hclRange(e.WaitAt))
	for path, at := range places {
		c.put("limits."+spec.Name+"."+path, hclRange(at))
	}
	c.limits[spec.Name] = spec
	s.Limit = spec.Name
}

func (c *compiler) hasLimit(name string) bool { _, ok := c.limits[name]; return ok }

// copyPlaces gives a limit the places of the one that it was copied from.
func (c *compiler) copyPlaces(from, to string) {
	source := c
	if _, ok := c.places[from]; !ok {
		source = c.base
	}
	move := func(path string) {
		if rng, ok := source.places[from+path]; ok {
			c.put(to+path, rng)
			if source.inner[from+path] {
				c.inner[to+path] = true
			}
		}
	}
	move("")
	for _, g := range limitTable {
		prefix := ""
		if g.block != "" {
			prefix = "." + g.block
			move(prefix)
		}
		for _, r := range g.rows {
			move(prefix + "." + r.path())
		}
	}
}

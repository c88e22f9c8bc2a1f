package policy

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Networks are the words a listen address may begin with.
var Networks = []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram", "unixpacket"}

// maxRange is how many ports one listen address may cover.
const maxRange = 1024

// Unix tells whether l is a socket of the unix family.
func (l Listen) Unix() bool { return strings.HasPrefix(l.Network, "unix") }

// Datagram tells whether l receives datagrams, not connections.
func (l Listen) Datagram() bool {
	return strings.HasPrefix(l.Network, "udp") || l.Network == "unixgram"
}

// families returns whether l listens on IPv4 and on IPv6.
func (l Listen) families() (v4, v6 bool) {
	switch {
	case l.Unix():
		return false, false
	case l.Addr.IsValid():
		return l.Addr.Is4(), l.Addr.Is6()
	}
	return !strings.HasSuffix(l.Network, "6"), !strings.HasSuffix(l.Network, "4")
}

// String returns l as the policy language writes it.
func (l Listen) String() string {
	var b strings.Builder
	b.WriteString(l.Network + "://")
	if !l.Unix() {
		if l.Addr.Is6() {
			b.WriteString("[" + l.Addr.String() + "]")
		} else if l.Addr.IsValid() {
			b.WriteString(l.Addr.String())
		}
		fmt.Fprintf(&b, ":%d", l.Port)
		if l.LastPort != l.Port {
			fmt.Fprintf(&b, "-%d", l.LastPort)
		}
		return b.String()
	}
	b.WriteString(l.Path)
	if strings.HasPrefix(l.Path, "@") {
		return b.String()
	}
	fmt.Fprintf(&b, "?mode=%04o", l.Mode)
	if l.Owner != "" {
		b.WriteString("&owner=" + l.Owner)
	}
	if l.Group != "" {
		b.WriteString("&group=" + l.Group)
	}
	return b.String()
}

// listen checks one address.
func (c *checker) listen(at string, l *Listen) {
	if !c.oneOf(at, l.Network, Networks...) {
		return
	}
	if l.Unix() {
		c.listenUnix(at, l)
		return
	}
	if l.Path != "" || l.Mode != 0 || l.Owner != "" || l.Group != "" {
		c.add(at, "remove path, mode, owner and group", "%s has no file", l.Network)
	}
	switch {
	case l.Addr == netip.Addr{}:
	case l.Addr.Zone() != "" || l.Addr.Is4In6():
		c.add(at, "write a plain IPv4 or IPv6 address without a zone", "%v cannot be listened on", l.Addr)
	case l.Addr.IsUnspecified():
		c.add(at, "leave the address out, as tcp4://:79", "%v is the wildcard", l.Addr)
	case strings.HasSuffix(l.Network, "4") && !l.Addr.Is4(), strings.HasSuffix(l.Network, "6") && !l.Addr.Is6():
		c.add(at, "change the network or the address", "%v is not an address of %s", l.Addr, l.Network)
	case l.Addr.IsMulticast():
		c.add(at, "use a unicast address", "%v is a multicast address", l.Addr)
	}
	switch {
	case l.Port == 0:
		c.add(at, "name the port, as tcp://:7979", "port 0 cannot be listened on")
	case l.LastPort < l.Port:
		c.add(at, fmt.Sprintf("write %d-%d", l.LastPort, l.Port), "the range %d-%d runs backwards", l.Port, l.LastPort)
	case int(l.LastPort)-int(l.Port) >= maxRange:
		c.add(at, fmt.Sprintf("cover at most %d ports", maxRange), "the range %d-%d is too wide", l.Port, l.LastPort)
	}
}

// listenUnix checks a unix socket: sun_path holds 108 bytes with its end.
func (c *checker) listenUnix(at string, l *Listen) {
	if l.Addr.IsValid() || l.Port != 0 || l.LastPort != 0 {
		c.add(at, "write only a path", "%s has no address and no port", l.Network)
	}
	if !c.text(at, l.Path, 107) {
		return
	}
	if strings.HasPrefix(l.Path, "@") {
		if l.Path == "@" || l.Mode != 0 || l.Owner != "" || l.Group != "" {
			c.add(at, "write unix://@name alone", "an abstract socket has a name and no file mode or owner")
		}
		return
	}
	if !path.IsAbs(l.Path) || path.Clean(l.Path) != l.Path || l.Path == "/" {
		c.add(at, "write an absolute path, as unix:///run/name.sock", "%q is not an absolute, clean path", l.Path)
	}
	if l.Mode > 0o777 {
		c.add(at, "write a mode from 0000 to 0777", "%#o is not a file mode", l.Mode)
	}
	for _, who := range []string{l.Owner, l.Group} {
		if who != "" {
			c.account(at, who)
		}
	}
}

// socket is one listening socket for the collision check.
type socket struct {
	addr netip.Addr
	at   string
	l    *Listen
}

// collisions finds listens that the kernel would refuse to open together: the
// same port with the same address, or with the wildcard of its family.
func (c *checker) collisions(p *Policy) {
	used, count := map[string][]socket{}, 0
	for i := range p.Services {
		for k := range p.Services[i].Listen {
			l := &p.Services[i].Listen[k]
			at := fmt.Sprintf("services.%s.listen.%d", p.Services[i].Name, k)
			keys := l.keys()
			if count += len(keys); count > MaxSockets {
				c.add(at, "listen on fewer ports", "the policy opens more than %d sockets", MaxSockets)
				return
			}
			c.collide(used, keys, socket{addr: l.Addr, at: at, l: l})
		}
	}
}

func (c *checker) collide(used map[string][]socket, keys []string, s socket) {
	for _, key := range keys {
		other := slices.IndexFunc(used[key], func(o socket) bool {
			return !o.addr.IsValid() || !s.addr.IsValid() || o.addr == s.addr
		})
		if other >= 0 {
			c.add(s.at, "remove one of the two, or give each its own address", "%s is already taken by %s", s.l, used[key][other].l)
			if n := len(c.errs); n > 0 {
				c.errs[n-1].Other = used[key][other].at
			}
			return
		}
	}
	for _, key := range keys {
		used[key] = append(used[key], s)
	}
}

// keys names the kernel tables that l takes a place in; a network that is not
// known, which listen reports, takes none.
func (l *Listen) keys() (keys []string) {
	switch {
	case !slices.Contains(Networks, l.Network):
		return nil
	case l.Unix():
		return []string{"unix" + l.Path}
	}
	v4, v6 := l.families()
	for port := int(l.Port); port <= int(l.LastPort) && len(keys) <= 2*maxRange; port++ {
		if v4 {
			keys = append(keys, l.Network[:3]+"4:"+strconv.Itoa(port))
		}
		if v6 {
			keys = append(keys, l.Network[:3]+"6:"+strconv.Itoa(port))
		}
	}
	return keys
}

package lang

import (
	"fmt"
	"path"
	"strings"

	"casemate/policy"
	"casemate/policy/netdb"
	"casemate/policy/suggest"

	"github.com/hashicorp/hcl/v2"
)

// named is a name of a port that the policy uses.
type named struct {
	name, protocol string
	port           uint16
	rng            hcl.Range
}

// netdbSource takes the host's /etc/services and /etc/protocols.
func (c *compiler) netdbSource(f policy.SourceFile) bool {
	var bad []netdb.Bad
	switch path.Base(f.Name) {
	case "services":
		if c.netdb != nil {
			c.report(codeDuplicate, at(f, 0), "name one of them", "there is a services file already")
			return true
		}
		c.netdb, bad = netdb.ParseServices(f.Data)
		for _, b := range bad {
			c.warn(codeLoss, c.lineOf(f.Name, b.Line), "write it as: telnet 23/tcp", "%s", b.Summary)
		}
	case "protocols":
		for _, b := range netdb.CheckProtocols(f.Data) {
			c.report(codeEntry, c.lineOf(f.Name, b.Line), "write it as: tcp 6 TCP", "%s", b.Summary)
		}
	default:
		return false
	}
	return true
}

// ports gives the names of ports by a protocol, as the policy is to read them at rng: those of
// a services file among the sources, or else the table that is shipped.
func (c *compiler) ports(protocol string, rng hcl.Range) func(string) (uint16, bool) {
	return func(name string) (port uint16, ok bool) {
		if c.netdb != nil {
			port, ok = c.netdb.Port(name, protocol)
		} else {
			port, ok = namedPort(name)
		}
		if ok {
			c.named = append(c.named, named{name, protocol, port, rng})
		}
		return port, ok
	}
}

// transport is the protocol of a listen address or an entry's network.
func transport(network string) string {
	if strings.HasPrefix(network, "udp") {
		return "udp"
	}
	return "tcp"
}

// portNext is the next step for a port that is not known.
func (c *compiler) portNext(name, next string) string {
	if c.netdb == nil {
		return portHint(name, next)
	}
	if w := suggest.Word(name, c.netdb.Names()); w != "" && w != name {
		return fmt.Sprintf("did you mean %q, or write its number", w)
	}
	return "write its number: the services file among the sources has it not"
}

// HostServices says where a host's services(5) gives another port to a name than the
// policy of these files does. It is pure: the host's file is an argument.
func HostServices(files []policy.SourceFile, services []byte) (out []policy.Diagnostic) {
	host, _ := netdb.ParseServices(services)
	c := newCompiler(shipped())
	if c.compile(files) == nil || c.netdb != nil {
		return nil
	}
	c.found = nil
	for _, n := range c.named {
		if port, ok := host.Port(n.name, n.protocol); ok && port != n.port {
			c.warn(codeHost, n.rng, "name /etc/services among the sources, or write the number",
				"%s/%s is port %d here, and %d in the services of this host", n.name, n.protocol, n.port, port)
		}
	}
	return c.diagnostics()
}

package valid

import (
	"fmt"
	"slices"
	"strings"

	"casemate/listener/address"
	"casemate/policy"
	"casemate/sandbox"
)

// RelayProfile is the shipped profile of a service with redirect.
const RelayProfile = "relay"

// redirect checks what casemate-worker is to carry, and where.
func (c *checker) redirect(at string, s *policy.Service) {
	if s.ProxyProtocol != "" {
		oneOf(c, at+".proxy_protocol", s.ProxyProtocol, policy.ProxyProtocols...)
	}
	switch {
	case !s.Redirects():
		c.add(at+".proxy_protocol", "remove proxy_protocol", "only the target of a redirect is told who connected")
	case len(s.Command) > 0 || s.Builtin != "":
		c.add(at+".redirect", "remove it, or command and builtin", "a service is a command, a builtin or a redirect, not two of them")
	case !s.Redirect.Target():
		c.add(at+".redirect", `write it as "192.0.2.1:80", "[2001:db8::1]:80" or "unix:/run/x.sock"`, "%s is not one address with its port, nor a socket's file", s.Redirect)
	case s.Wait || s.Stdio != sandbox.StdioFDs:
		c.add(at+".redirect", "remove wait and stdio", "the relay of a redirect takes its sockets by number")
	case !s.Streams():
		c.add(at+".listen", "listen on tcp or unix, and serve the rest otherwise", "a redirect carries streams of bytes, and no datagrams or packets")
	}
}

// relay checks that the profile lets casemate-worker be a relay, and that the
// connection does not come back.
func (c *checker) relay(at string, p *policy.Policy, s *policy.Service) {
	if !s.Redirect.Target() {
		return // reported, if it is to be one
	}
	f, to := p.Profile(s.Profile), s.Redirect
	if f != nil && f.Name != RelayProfile && !slices.Contains(f.Base, RelayProfile) {
		c.add(at+".profile", "remove it, or begin the profile with base = profile."+RelayProfile, "profile %q is not made for the relay of a redirect", s.Profile)
	} else if f != nil && to.Unix() && (f.Network.Mode != sandbox.NetworkHost || !shows(&f.Files, to.Path)) {
		c.add(at+".redirect", fmt.Sprintf("name a profile with base = profile.%s, widens = [\"network\"], because = \"...\", network { mode = \"host\"  sockets = [\"unix\"] } and files { read = [%q] }, which opens no port", RelayProfile, to.Path),
			"profile %q does not let the relay connect to %s: the server of a unix socket asks who does, so casemated does not", s.Profile, to.Path)
	}
	way := []string{s.Name}
	for to := next(p, s); to != nil && to.Redirects(); to = next(p, to) {
		if to == s {
			c.add(at+".redirect", "name another target", "what comes in goes round in a circle: %s", strings.Join(append(way, s.Name), " -> "))
			return
		}
		if slices.Contains(way, to.Name) {
			return // a circle without s
		}
		way = append(way, to.Name)
	}
}

// shows tells whether a path is among files, or below one of them.
func shows(f *sandbox.Files, name string) bool {
	return slices.ContainsFunc(slices.Concat(f.Read, f.Exec, f.Write), func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") })
}

// next is the service that listens where s redirects to, or nil.
func next(p *policy.Policy, s *policy.Service) *policy.Service {
	for i := range p.Services {
		if slices.ContainsFunc(p.Services[i].Listen, func(l address.Listen) bool { return takes(l, s.Redirect) }) {
			return &p.Services[i]
		}
	}
	return nil
}

// takes tells whether a connection to that target comes to a listen address. Which
// addresses besides the loopback ones are this host's, a policy does not know.
func takes(l, to address.Listen) bool {
	if !l.Inet() || !to.Inet() {
		return l.Network == to.Network && l.Path == to.Path
	}
	if l.Datagram() || to.Port < l.Port || to.Port > l.LastPort {
		return false
	}
	family := l.Network == "tcp" || strings.HasSuffix(l.Network, "4") == to.Addr.Is4()
	return l.Addr == to.Addr || !l.Addr.IsValid() && family && to.Addr.IsLoopback()
}

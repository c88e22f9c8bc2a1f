package denied

import (
	"fmt"
	"slices"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/spoken"
)

// onSocket are calls on a socket whose family the filter does not see: the profile's own, or the
// client's, which reaches the host's network.
var onSocket = []string{"connect", "bind", "listen", "setsockopt"}

// IsNote tells whether a Grant grants nothing: it is a comment, which says what there is to know.
func IsNote(grant string) bool {
	_, text, _ := strings.Cut(grant, ": ")
	return strings.HasPrefix(text, "#")
}

// familyless is the lines for a call that only the host's network brings if it is about an internet socket, where
// the profile makes no such sockets: a unix socket is the likelier one, and the host's network
// is no answer to that. With the host's network and UDP sockets alone it is about one of these, and ports of TCP are
// no answer. ok is false for every other call.
func familyless(p *sandbox.Profile, rules []seccomp.Rule, c spoken.Call) (lines []string, ok bool) {
	host := p.Network.Mode == sandbox.NetworkHost
	if p.Network.Mode == sandbox.NetworkPrivate && c.Name() != "socket" {
		return nil, false // whatever its sockets are, they are its own
	}
	if host && c.Name() != "setsockopt" && slices.Contains(onSocket, c.Name()) && !advise.TCP(rules) {
		return without(p, c.Name(), exact(c)), true // and with no port listed no TCP socket is let through
	}
	blind := c.Name() == "socket" && c.Blind
	if !blind && !slices.Contains(onSocket, c.Name()) || advise.Internet(rules) {
		return nil, false
	}
	switch {
	case blind:
		return []string{`# the kind of socket is not known: a unix socket takes network { sockets = ["unix"] }, any other the host's network`}, true
	case c.Name() == "setsockopt" && (host || len(advise.Reach([]seccomp.Rule{exact(c)}, "@socket-accept")) == 0):
		return nil, false
	case c.Name() == "setsockopt":
		return []string{`# casemate grants this option of a socket with the host's network alone`}, true
	}
	list, but := "bind", ""
	if c.Name() == "connect" {
		list, but = "connect", " but /dev/log (files { log = true })"
	}
	return []string{fmt.Sprintf(`# the socket's family is not known: of a unix socket casemate grants no %s without the host's network%s; `+
		`of a TCP or UDP socket it is network { mode = "host", %s = ["PORT"] }`, c.Name(), but, list)}, true
}

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
// is no answer to that. ok is false for every other call.
func familyless(p *sandbox.Profile, rules []seccomp.Rule, c spoken.Call) (lines []string, ok bool) {
	blind := c.Name() == "socket" && c.Blind
	if !blind && !slices.Contains(onSocket, c.Name()) || advise.Internet(rules) {
		return nil, false
	}
	host := p.Network.Mode == sandbox.NetworkHost
	switch {
	case blind:
		return []string{`# the kind of socket is not known: a unix socket takes network { sockets = ["unix"] }, any other the host's network`}, true
	case c.Name() == "setsockopt" && (host || len(advise.Reach([]seccomp.Rule{exact(c)}, "@socket-accept")) == 0):
		return nil, false
	case host:
		return without(p, c.Name(), exact(c)), true // and with no port listed no TCP socket is let through
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

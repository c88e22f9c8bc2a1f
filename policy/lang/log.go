package lang

import (
	"fmt"
	"slices"

	"casemate/listener/address"
	"casemate/policy"
	"casemate/sandbox/seccomp"
)

// logCalls are what syslog(3) and logger(1) call to reach /dev/log.
var logCalls = []string{"connect", "sendmsg", "socket"}

// logDenied reports a profile whose deny takes away what its log = true brings.
func (c *compiler) logDenied(b *block, p *profile) {
	denied, err := c.resolveCalls(p.Syscalls.Deny, nil)
	if !p.Files.Log || err != nil { // reported by its reader
		return
	}
	for _, name := range logCalls {
		if slices.ContainsFunc(denied, func(r seccomp.Rule) bool { return r.Name == name }) {
			c.report(codeValue, b.syn.DefRange(), "write files { log = false }, or take it out of deny", "deny has %s, which log = true brings", name)
			return
		}
	}
}

// deafLog warns of a service whose profile has a /dev/log and that has none.
func (c *compiler) deafLog(at string, s *policy.Service) {
	f := c.profiles[s.Profile]
	if f != nil && f.Files.Log && !s.Ours() && !s.Syslog(&f.Profile) {
		i := slices.IndexFunc(s.Listen, address.Listen.Datagram)
		c.warn(codeHabit, c.near(fmt.Sprintf("%s.listen.%d", at, i)), "serve its streams as a service of its own; log = false in its profile says that it is meant",
			"service %q has no /dev/log: with the connect(2) of syslog(3) a datagram socket would reach any address", s.Name)
	}
}

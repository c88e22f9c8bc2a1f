package lint

import (
	"slices"
	"time"

	"casemate/acl/limit"
)

// cleartext are protocols of logins whose passwords everybody on the way reads.
var cleartext = protocols{
	programs: []string{"ftpd", "in.ftpd", "in.rexecd", "in.rlogind", "in.rshd", "in.telnetd", "popa3d", "rexecd", "rlogind", "rshd", "telnetd"},
	ports:    []uint16{21, 23, 110, 512, 513, 514},
}

// logins are others.
var logins = protocols{programs: []string{"dropbear", "sshd"}, ports: []uint16{22}}

// guesses is how many sessions a minute a source may have for its guesses not to matter.
const guesses = 10

// passwords looks at services that ask for passwords.
func (l *linter) passwords(s *service) {
	for i, a := range s.Listen {
		if !a.Inet() || a.Datagram() {
			continue
		}
		if s.beyond && cleartext.is(s.Service, a) {
			l.add(codePlaintext, s.Name, path(s.at+".listen", i), "admit private networks alone, or put TLS in front of it", "service %q takes passwords as they are typed from beyond private networks", s.Name)
			return
		}
		login := logins.is(s.Service, a) || s.profile.Name == "login" || slices.Contains(s.profile.Base, "login")
		if s.world && login && !s.accepts() && !slow(s.limit.PerSource.Rate) {
			l.add(codeLogin, s.Name, s.at+".limit", `admit the networks of its users, or write per_source { rate = "6/min" }`, "everybody may try passwords at service %q, as often as limit %q lets a source come", s.Name, s.limit.Name)
			return
		}
	}
}

func slow(r limit.Rate) bool {
	return r.Events > 0 && time.Duration(r.Events)*time.Minute <= guesses*r.Per
}

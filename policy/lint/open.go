package lint

import (
	"slices"
	"strings"

	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/listener/address"
	"casemate/listener/endpoint"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/valid"
)

// accepts tells whether the service's own program takes its clients: the broker counts no sources and ends no sessions there.
func (s *service) accepts() bool { return s.Wait && s.Builtin == "" }

// datagrams tells whether datagrams are all that comes to the service.
func (s *service) datagrams() bool {
	return !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return !l.Datagram() }) && len(s.Mux) == 0
}

// shippedFiles is how the names of the files begin whose blocks are shipped: what they give up is not the policy's choice.
const shippedFiles = "shipped/"

// open looks at a service that everybody reaches.
func (l *linter) open(s *service) {
	if !s.world {
		return
	}
	l.bounds(s)
	// What shares the memory, the log and the processor keeps nobody in a sandbox.
	weak := slices.DeleteFunc(slices.Clone(s.profile.BestEffort), func(layer string) bool {
		return layer == "files.log" || strings.HasPrefix(layer, "cgroup") || strings.HasPrefix(layer, "processor")
	})
	if file, _, _ := l.place("profiles." + s.profile.Name + ".best_effort"); len(weak) > 0 && !strings.HasPrefix(file, shippedFiles) {
		l.add(codeBestEffort, s.Name, s.at+".profile", "remove best_effort: a host that lacks the layer refuses the service then",
			"service %q is open to any, and its profile %q gives up %s where a host lacks it", s.Name, s.profile.Name, strings.Join(weak, ", "))
	}
	switch {
	case valid.Root(s.User) || valid.Root(s.Group):
		l.add(codePrivileged, s.Name, s.at+".user", "admit fewer clients, or let another user do", "service %q is open to any and runs as root", s.Name)
	case len(s.profile.Capabilities) > 0:
		l.add(codePrivileged, s.Name, s.at+".profile", "admit fewer clients, or leave the capabilities out", "service %q is open to any and has %s", s.Name, strings.Join(s.profile.Capabilities, ", "))
	}
}

// bounds looks at the limit of a service that everybody reaches. A builtin's datagrams have a limit of their own, by
// networks, which cannot be left out.
func (l *linter) bounds(s *service) {
	if s.Builtin != "" && s.datagrams() {
		return
	}
	lim, at := &s.limit, s.at+".limit"
	none := limit.Rate{}
	if lim.Concurrent == 0 && lim.Rate == none {
		l.add(codeUnlimited, s.Name, at, "write concurrent and rate, or take limit.default", "service %q is open to any, and limit %q bounds neither how many sessions there are nor how fast they come", s.Name, lim.Name)
	}
	if s.accepts() {
		return
	}
	per := &lim.PerSource
	switch {
	case per.Concurrent == 0 && per.Rate == none:
		l.add(codeNoSource, s.Name, at, "write per_source { concurrent and rate }, or take limit.default", "service %q is open to any, and limit %q counts no source by itself", s.Name, lim.Name)
	case lim.Concurrent > 1 && (per.Concurrent == 0 || per.Concurrent >= lim.Concurrent) && !s.datagrams():
		l.add(codeAllPlaces, s.Name, at, "write per_source { concurrent } as a small part of concurrent", "service %q is open to any, and one source may have all %d places of limit %q", s.Name, lim.Concurrent, lim.Name)
	}
	six := slices.ContainsFunc(s.Listen, func(a address.Listen) bool { return slices.ContainsFunc(a.Endpoints(), isIPv6) })
	if per.Prefix6 > 64 && six && (per.Concurrent > 0 || per.Rate != none) {
		l.add(codeNarrowIPv6, s.Name, "limits."+lim.Name+".per_source.prefix6", "write ipv6_prefix = 64 or less", "service %q is open to any, and each client has a source of its own for each of its addresses of IPv6 (/%d)", s.Name, per.Prefix6)
	}
	if lim.Session == 0 && s.Idle == 0 && lim.Concurrent > 0 && !s.datagrams() {
		l.add(codeForEver, s.Name, at, "write session, or idle for the service", "service %q is open to any, and its %d places may be kept for ever by who says nothing", s.Name, lim.Concurrent)
	}
}

// mute looks for clients who are to send something to a service that speaks and does not listen.
func (l *linter) mute(s *service) {
	if s.limit.FirstByte > 0 && slices.Contains([]string{"chargen", "daytime", "qotd", "time"}, s.Builtin) {
		l.add(codeNoWord, s.Name, s.at+".limit", "use a limit without first_byte, which bounds these clients by session", "service %q answers without a question, and limit %q ends clients who have asked none after %v", s.Name, s.limit.Name, s.limit.FirstByte)
	}
}

func isIPv6(e endpoint.Endpoint) bool { return strings.HasSuffix(e.Network, "6") }

// amplifying are programs and ports of protocols whose answers are larger than their questions.
var amplifying = protocols{
	programs: []string{"atftpd", "dnsmasq", "in.tftpd", "memcached", "named", "ntpd", "snmpd", "tftpd"},
	ports:    []uint16{17, 19, 53, 69, 111, 123, 137, 161, 389, 427, 1900, 5353, 11211},
}

// amplifier looks for datagrams that are answered with more, to whoever they say they are from.
func (l *linter) amplifier(s *service) {
	if !s.world {
		return
	}
	for i, a := range s.Listen {
		if !a.Inet() || !a.Datagram() {
			continue
		}
		switch {
		case s.Amplify:
			l.add(codeAmplifier, s.Name, s.at+".amplify", "remove amplify, or admit fewer clients", "service %q answers datagrams of anybody with more than they hold", s.Name)
			return
		case s.Builtin == "" && amplifying.is(s.Service, a):
			l.add(codeAmplifier, s.Name, path(s.at+".listen", i), "admit the networks of its clients, or serve it by a stream", "service %q answers datagrams of anybody with more than they hold", s.Name)
			return
		}
	}
}

// responses looks for answers to whoever is named as the sender that a policy has more of than usual, and for a program
// by udp that somebody may think is held to them.
func (l *linter) responses(s *service) {
	each, total := responses.Rates(&s.limit)
	at, written := "limits."+s.limit.Name+".responses", s.limit.Responses != limit.Rate{}
	if !written && s.limit.ResponsesTotal != (limit.Rate{}) {
		at += "_total"
		written = true
	}
	switch {
	case valid.Responds(s.Service):
		if s.beyond && (responses.Faster(each, responses.Usual) > 0 || responses.Faster(total, responses.UsualTotal) > 0) {
			l.add(codeResponses, s.Name, at, "admit private networks alone, or leave responses as they are", "service %q is open beyond private networks, and answers datagrams up to %s for one network and %s for all, in the name of whoever is their sender",
				s.Name, explain.FormatRate(each), explain.FormatRate(total))
		}
	case written && s.Builtin == "" && slices.ContainsFunc(s.Listen, func(a address.Listen) bool { return a.Inet() && a.Datagram() }):
		l.add(codeUnheld, s.Name, at, "give the service another limit: rate and per_source { rate } hold for what starts it", "responses are what a builtin answers: the program of service %q answers its datagrams itself, as often as it likes", s.Name)
	}
}

// protocols are known by the programs that serve them, and by their ports.
type protocols struct {
	programs []string
	ports    []uint16
}

// is tells whether a service's program is one of them, or it listens on one of their ports.
func (p protocols) is(s *policy.Service, a address.Listen) bool {
	for _, port := range p.ports {
		if a.Port <= port && port <= a.LastPort {
			return true
		}
	}
	return len(s.Command) > 0 && slices.Contains(p.programs, s.Command[0][strings.LastIndexByte(s.Command[0], '/')+1:])
}

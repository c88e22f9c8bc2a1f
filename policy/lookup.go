package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy/granted"
	"casemate/sandbox"
)

// ACL returns the list of that name, or nil.
func (p *Policy) ACL(name string) *acl.List {
	return granted.Find(p.ACLs, name, aclName)
}

// Limit returns the limit block of that name, or nil.
func (p *Policy) Limit(name string) *limit.Spec {
	return granted.Find(p.Limits, name, limitName)
}

// Profile returns the profile of that name, or nil.
func (p *Policy) Profile(name string) *sandbox.Profile {
	return granted.Find(p.Profiles, name, profileName)
}

// Service returns the service of that name, or nil.
func (p *Policy) Service(name string) *Service {
	return granted.Find(p.Services, name, serviceName)
}

func aclName(l *acl.List) string            { return l.Name }
func limitName(l *limit.Spec) string        { return l.Name }
func profileName(f *sandbox.Profile) string { return f.Name }
func serviceName(s *Service) string         { return s.Name }

// Lookup returns the origin of the value at path, or of the nearest value
// around it that has one, or "".
func (o Origins) Lookup(path string) string {
	for path != "" {
		if at, ok := o[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	return ""
}

// Written takes an origin apart; of what nobody wrote, as a default, it gives nothing.
func Written(origin string) (file string, line, column int) {
	rest, column := cutNumber(origin)
	if file, line = cutNumber(rest); line == 0 || column == 0 {
		return "", 0, 0
	}
	return file, line, column
}

func cutNumber(s string) (before string, n int) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0
	}
	n, _ = strconv.Atoi(s[i+1:]) // or it is none
	return s[:i], n
}

// Programs are the services and, behind them, copies of those whose acl has rules with a command, each with another one.
func (p *Policy) Programs() []*Service {
	all := make([]*Service, len(p.Services))
	for i := range all {
		s := &p.Services[i]
		all[i] = s
		for _, c := range p.commands(s) {
			own := *s
			own.Command, own.Argv0 = c, ""
			all = append(all, &own)
		}
	}
	return all
}

// commands are those of the rules of the acl of s, each once.
func (p *Policy) commands(s *Service) (list [][]string) {
	if l := p.ACL(s.ACL); l != nil {
		for _, r := range l.Rules {
			if len(r.Command) > 0 && !slices.ContainsFunc(list, func(c []string) bool { return slices.Equal(c, r.Command) }) {
				list = append(list, r.Command)
			}
		}
	}
	return list
}

// CommandAt is the path, in Origins, of the command of one of the Programs.
func (p *Policy) CommandAt(s *Service) string {
	if own := p.Service(s.Name); own != nil && !slices.Equal(own.Command, s.Command) {
		i := slices.IndexFunc(p.ACL(s.ACL).Rules, func(r acl.Rule) bool { return slices.Equal(r.Command, s.Command) })
		return "acls." + s.ACL + ".rules." + strconv.Itoa(i) + ".command"
	}
	return "services." + s.Name + ".command"
}

// UnixDatagrams tells whether the service is handed a unix datagram socket.
func (s *Service) UnixDatagrams() bool {
	return slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Unix() && l.Datagram() })
}

// Redirects tells whether casemate-worker carries the service's connections elsewhere.
func (s *Service) Redirects() bool { return s.Redirect != address.Listen{} }

// Ours tells whether casemate-worker is the service's program.
func (s *Service) Ours() bool { return s.Builtin != "" || s.Redirects() }

// Streams tells whether all that comes to the service is a stream of bytes.
func (s *Service) Streams() bool {
	return !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Datagram() || l.Network == "unixpacket" })
}

// Shielded tells whether the kernel is to drop what comes from refused addresses.
func (s *Service) Shielded() bool { return s.Refuse == RefuseSilent }

// Sheds tells whether the kernel is to drop that in a surge: how they are refused is not said, and it is by a reset.
func (s *Service) Sheds() bool {
	return s.Refuse == "" && s.Banner == "" && s.BannerAccept == "" && (!s.Wait || s.Builtin != "") && s.Droppable()
}

// Droppable tells whether the kernel can drop by its source what comes to any of the sockets.
func (s *Service) Droppable() bool {
	return len(s.Mux) == 0 && !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Network == "vsock" || !l.Inet() })
}

// Screened tells whether the kernel alone holds the service to its host rules: its program takes its clients itself.
func (s *Service) Screened() bool { return s.Shielded() && s.Wait && s.Builtin == "" }

// Apart tells whether the service's programs are handed no socket of the host's network which they could aim elsewhere: a
// relay has it, or it is a stream of unix sockets, which has its peer for good.
func (s *Service) Apart() bool {
	return !s.Wait && !s.Ours() && s.Streams() && (s.Stdio == sandbox.StdioRelay || len(s.Mux) == 0 && !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return !l.Unix() }))
}

// Syslog tells whether the service's sessions have the /dev/log of its profile f. With
// it comes connect(2), which aims a datagram socket at any address, past Landlock.
func (s *Service) Syslog(f *sandbox.Profile) bool {
	return f.Files.Log && !s.Ours() && !slices.ContainsFunc(s.Listen, address.Listen.Datagram)
}

// RuleOrigins are the places of the rules of the acl of that name; one without is named by its path.
func (d *Document) RuleOrigins(name string) (out []string) {
	if list := d.Policy.ACL(name); list != nil {
		for i := range list.Rules {
			at := fmt.Sprintf("acls.%s.rules.%d", name, i)
			out = append(out, cmp.Or(d.Origins.Lookup(at), at))
		}
	}
	return out
}

package importer

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/lang"
)

// service is a service in the making, whoever's table it comes from.
type service struct {
	file  string
	line  int
	text  string   // its first line
	lines []string // what it comes from, as comments
	name  string
	// id is what reports call it.
	listen  []string
	command []string
	argv0   string
	builtin string
	// redirect is where its connections are carried, as the policy has it.
	redirect string
	user     string
	group    string
	groups   []string
	wait     bool
	umask    string
	passEnv  []string
	nice     string
	oom      string
	dir      string
	stdio    string
	stdout   string
	// what its clients are sent, as policy.Service has it
	banner, bannerAccept, bannerSuccess string
	env                                 []string // NAME=value
	socket                              []string // attributes of socket { }, as they are written
	limit                               bounds
	// usual is a limit that takes the place of limit: a shipped one, or where ownLimit is set one of the
	// service's own.
	usual    *limit.Spec
	ownLimit bool
	widens   bool // limits of resources that may be above the profile's
	bounds   []string
	acl      acl.List
	origins  map[int]string // of its rules
	anyone   bool           // acl = acl.anyone
	hours    []acl.Span     // in which nobody is admitted
	// closed says why the service admits nobody until somebody decides.
	closed []string
	// off says why the service is not served at all.
	off []string
	// disabled says why the service is written with disable = true; "" is a service that is served.
	disabled string
	// draft: what there is of a service that is not served is worth a comment.
	draft bool
}

// bounds are the numbers of a limit block; 0 is none.
type bounds struct {
	concurrent, perSource int
	perSecond, perMinute  int
	burst                 int
	session               string // as it is written
	maxLoad               string
}

// profileFor is the shipped profile that inetd's programs have.
func (s *service) profileFor() string {
	return lang.Classic(&policy.Service{Wait: s.wait, User: policy.Account(s.user), Command: s.command, Argv0: s.argv0})
}

// write writes a service with the acl, the limit and the profile that it alone has.
func (p *page) write(s *service) {
	u := p.begin(s.file, s.line, s.text)
	u.service = s
	for _, l := range s.lines {
		p.comment("%s", l)
	}
	name := p.name("service", s.name)
	if u.draft = s.draft && len(s.listen) > 0; u.draft {
		u.why = strings.Join(s.off, "; ")
	} else if len(s.off) > 0 {
		if s.disabled != "" {
			s.off = append([]string{s.disabled}, s.off...)
		}
		for _, why := range s.off {
			p.comment("Not served: %s.", why)
		}
		return
	}
	list := "anyone"
	if !s.anyone {
		list = p.name("acl", name)
		p.aclUnit(list, s.acl, s.origins)
	}
	bound := p.limitOf(s, name)
	profile := p.profileOf(s, name)
	for _, why := range s.closed {
		p.comment("It admits nobody until you decide: %s.", why)
	}
	if s.disabled != "" {
		p.comment("Not served: %s.", s.disabled)
	}
	p.open("service %q", name)
	if s.disabled != "" {
		p.attr("disable", "true")
	}
	p.attr("listen", quoted(s.listen))
	if s.builtin != "" {
		p.attr("builtin", quote(s.builtin))
	} else if s.redirect != "" {
		p.attr("redirect", quote(s.redirect))
	} else {
		p.attr("command", quoted(s.command))
		p.optional("argv0", s.argv0)
		p.attr("user", quote(s.user))
		p.optional("group", s.group)
		if len(s.groups) > 0 {
			p.attr("groups", quoted(s.groups))
		}
		if s.user == "root" || s.user == "0" || s.group == "root" || s.group == "0" {
			p.attr("because", quote(fmt.Sprintf("%s:%d has it run as root", s.file, s.line)))
		}
		if s.wait {
			p.attr("wait", "true")
		}
		p.optional("stdio", s.stdio)
		p.optional("stdout", s.stdout)
		p.optional("dir", s.dir)
		p.optional("umask", s.umask)
		for _, v := range lang.ClassicEnv(s.profileFor()) {
			name, _, _ := strings.Cut(v, "=")
			if !slices.ContainsFunc(s.env, func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
				s.env = append(s.env, v)
			}
		}
		p.environment(s.env)
		if len(s.passEnv) > 0 {
			p.attr("pass_env", quoted(s.passEnv))
		}
		if s.nice != "" {
			if strings.HasPrefix(s.nice, "-") {
				s.nice = quote(s.nice)
			}
			p.attr("nice", s.nice)
		}
		if s.oom != "" {
			p.attr("oom_score", s.oom)
		}
	}
	if len(s.closed) > 0 {
		p.attr("acl", "acl.nobody")
		p.comment("acl = acl.%s", list)
	} else {
		p.attr("acl", "acl."+list)
	}
	if bound != "" {
		p.attr("limit", "limit."+bound)
	}
	if profile != "" {
		p.attr("profile", "profile."+profile)
	}
	p.optional("banner_accept", s.bannerAccept)
	p.optional("banner_success", s.bannerSuccess)
	p.optional("banner", s.banner)
	if len(s.socket) > 0 {
		p.open("socket")
		for _, a := range s.socket {
			p.b.WriteString(a + "\n")
		}
		p.close()
	}
	p.close()
}

func (p *page) optional(name, value string) {
	if value != "" {
		p.attr(name, quote(value))
	}
}

func (p *page) environment(env []string) {
	if len(env) == 0 {
		return
	}
	p.b.WriteString("env = {\n")
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(p.b, "%s = %s\n", quote(name), quote(value))
	}
	p.close()
}

// limitOf writes the limit of a service and names it, or names a shipped one.
func (p *page) limitOf(s *service, name string) string {
	if s.usual != nil {
		return p.limitLike(s, name)
	}
	l := s.limit
	if l == (bounds{}) {
		if s.wait {
			return ""
		}
		return "default"
	}
	name = p.name("limit", name)
	p.open("limit %q", name)
	if l.concurrent > 0 {
		p.attr("concurrent", fmt.Sprint(l.concurrent))
	}
	switch {
	case l.perSecond > 0:
		p.attr("rate", quote(fmt.Sprintf("%d/s", l.perSecond)))
	case l.perMinute > 0:
		p.attr("rate", quote(fmt.Sprintf("%d/min", l.perMinute)))
	}
	if l.burst > 0 && l.perSecond+l.perMinute > 0 {
		p.attr("burst", fmt.Sprint(l.burst))
	}
	if !s.wait {
		p.optional("session", l.session)
	}
	p.optional("max_load", l.maxLoad)
	if l.perSource > 0 && !s.wait {
		p.open("per_source")
		p.attr("concurrent", fmt.Sprint(l.perSource))
		p.close()
	}
	p.close()
	p.b.WriteByte('\n')
	return name
}

// profileOf writes the profile of a service where a shipped one does not do.
func (p *page) profileOf(s *service, name string) string {
	if s.builtin != "" || s.redirect != "" {
		return ""
	}
	base := s.profileFor()
	if len(s.bounds) == 0 {
		return base
	}
	name = p.name("profile", name)
	p.open("profile %q", name)
	p.attr("base", "profile."+base)
	if s.widens {
		p.attr("widens", quoted([]string{"resources"}))
	}
	p.open("resources")
	for _, b := range s.bounds {
		p.b.WriteString(b + "\n")
	}
	p.close()
	p.close()
	p.b.WriteByte('\n')
	return name
}

// port is the port of a service by tcp or udp, as the policy is to write it, and its number:
// the host's word counts, and then that of the language.
func (p *page) port(name, network string) (written string, number int, ok bool) {
	if n, err := parsePort(name); err == nil {
		return name, n, true
	}
	usual, known := lang.Port(name)
	if p.netdb == nil {
		return name, int(usual), known
	}
	n, ok := p.netdb.Port(name, network[:min(3, len(network))])
	if ok && known && n == usual {
		return name, int(n), true
	}
	return fmt.Sprint(n), int(n), ok
}

// unknownPort says what to do about a name that port does not know.
func (p *page) unknownPort(write string) string {
	switch {
	case p.netdb != nil:
		return write + ", for the host's /etc/services does not have it"
	case p.whole:
		return write + ", for there is no /etc/services to ask"
	}
	return write + ", or name the host's /etc/services with --services"
}

func parsePort(s string) (int, error) {
	var n int
	if strings.Trim(s, "0123456789") != "" || s == "" || len(s) > 5 {
		return 0, fmt.Errorf("%q is no number", s)
	}
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("%d is no port", n)
	}
	return n, nil
}

// listenOn writes network://host:port.
func listenOn(network, host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return network + "://" + host + ":" + port
}

// wrapped is the program that tcpd would run in place of itself, and the daemon's name.
func wrapped(argv0 string) (program, daemon string) {
	program = argv0
	if !path.IsAbs(program) {
		program = path.Join("/usr/sbin", program)
	}
	return program, path.Base(cmp.Or(argv0, "?"))
}

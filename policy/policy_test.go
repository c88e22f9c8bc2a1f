package policy_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/machine"
)

// sample is a small valid policy that uses most fields.
func sample() *policy.Policy {
	return &policy.Policy{
		Edition: 1, Machine: machine.Compiled, OnStop: "end", OnBroken: "retry", Filters: granted.Filters{valid.FilterName([][]uint32{{0}}): {{0}}},
		ACLs: []acl.List{
			{Name: "anyone", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"any"}}}, Default: acl.Deny},
			{Name: "named", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{".example.org"}}}, Default: acl.Deny},
			{Name: "office", Rules: []acl.Rule{
				{Verdict: acl.Deny, From: []acl.Pattern{"192.0.2.66"}},
				{Verdict: acl.Allow, From: []acl.Pattern{"192.0.2.0/24", "2001:db8::/32"}, Except: []acl.Pattern{"192.0.2.99"},
					To: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			}, Default: acl.Deny},
		},
		Limits: []limit.Spec{
			{Name: "public", Concurrent: 64, Rate: limit.Rate{Events: 50, Per: time.Second}, Burst: 100, Session: 10 * time.Minute,
				PerSource: limit.PerSource{Concurrent: 4, Rate: limit.Rate{Events: 10, Per: time.Minute}, Burst: 5, Prefix4: 32, Prefix6: 64},
				Penalty:   limit.Penalty{On: []limit.Class{limit.Crash, limit.Timeout}, First: time.Minute, Max: time.Hour}},
			{Name: "wait", Rate: limit.Rate{Events: 50, Per: time.Second}, Burst: 100, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}},
		},
		Profiles: []sandbox.Profile{{Name: "line", Base: []string{"strict"}, Network: sandbox.Network{Mode: "none"},
			Files:    sandbox.Files{Read: []string{"/etc/passwd"}, Exec: []string{"/lib"}, Dev: []string{"null"}},
			Syscalls: sandbox.Syscalls{Allow: []string{"@line"}, Filter: valid.FilterName([][]uint32{{0}}), OnViolation: "errno"}}},
		Services: []policy.Service{
			{Name: "echo", Listen: []address.Listen{{Network: "udp", Port: 7, LastPort: 7}}, Builtin: "echo", User: "dynamic", ACL: "anyone",
				Limit: "public", Profile: "line", Wait: true, Stdio: "listen_fds", Dir: "/", Linger: time.Minute, Log: "all"},
			{Name: "finger", Listen: []address.Listen{{Network: "tcp", Port: 79, LastPort: 79}, {Network: "unix", Path: "/run/f.sock"}}, Socket: policy.Socket{Mode: 0o660},
				Command: []string{"/usr/sbin/in.fingerd", "-w", "<&>"}, User: "nobody", ACL: "office", Limit: "public", Profile: "line",
				Stdio: "socket", Env: map[string]string{"TZ": "UTC", "A": "b"}, EnvStyle: []string{"ucspi"}, Dir: "/", Umask: 0o77, Linger: time.Minute, Log: "all"},
		},
	}
}

// carries adds a service that redirects, and makes the profile one for it.
func carries(p *policy.Policy) {
	p.Profiles[0].Base = []string{"relay", "strict"}
	p.Services = append(p.Services, policy.Service{Name: "web", Listen: []address.Listen{{Network: "tcp", Port: 80, LastPort: 80}},
		Redirect: address.Listen{Network: "tcp", Addr: netip.MustParseAddr("192.0.2.1"), Port: 80, LastPort: 80}, ProxyProtocol: "v2",
		User: "dynamic", ACL: "anyone", Limit: "public", Profile: "line", Stdio: "listen_fds", Dir: "/", Linger: time.Minute, Log: "all"})
}

// decode reads a policy's canonical bytes as they stand in a document.
func decode(b []byte) (*policy.Policy, error) {
	doc, err := canon.DecodeDocument(granted.Frame(granted.Digest(b), b, []byte("{}")))
	if err != nil {
		return nil, err
	}
	return doc.Policy, nil
}

func TestSampleIsValid(t *testing.T) {
	if err := valid.Check(sample()); err != nil {
		t.Fatal(err)
	}
}

// One because is enough: on a profile it serves the services that use it, and
// on all of these it serves the profile.
func TestBecauseOnEitherSide(t *testing.T) {
	p := sample()
	p.Profiles[0].Network.Mode, p.Profiles[0].Capabilities = "host", []string{"CAP_CHOWN"}
	p.Services[0].Because, p.Services[1].Because = "x", "x"
	if err := valid.Check(p); err != nil {
		t.Error(err)
	}
	p = sample()
	p.Services[1].User, p.Services[1].Group, p.Profiles[0].Because = "root", "root", "x"
	if err := valid.Check(p); err != nil || valid.Reason(p, &p.Services[1]) != "x" {
		t.Error(err)
	}
}

// unsound are those of TestValidate that casemated refuses by itself when it decodes a
// policy. What else is wrong a layer refuses, or it is safe.
var unsound = []string{"concurrent", "no responses", "socket mode", "backlog", "banner on udp",
	"edition", "on_stop", "on_broken", "bad name", "twice", "odd rate", "network", "capability", "no filter", "memory",
	"both programs", "no program", "unknown builtin", "linger", "acl", "limit", "profile", "wait acl", "wait no acl", "wait datagrams", "wait limit",
	"redirect and command", "redirect and builtin", "redirect to ports", "redirect to udp", "redirect to everything", "redirect to a name",
	"relay with wait", "relay of datagrams", "relay of packets", "private network and a tcp socket", "private network and wait",
	"redirect with its client on 0", "redirect of datagrams", "redirect of packets", "redirect with another header", "header without redirect",
	"hangup without the socket", "builtin sockets", "builtin wait", "no listen", "network name", "unixgram nowait", "backwards", "port 0", "wide", "mapped", "wildcard", "family", "unix relative", "unix long", "contradiction",
}

// TestValidate breaks one thing at a time and expects one error at its path.
func TestValidate(t *testing.T) {
	finger := func(f func(*policy.Service)) func(*policy.Policy) {
		return func(p *policy.Policy) { f(&p.Services[1]) }
	}
	echo := func(f func(*policy.Service)) func(*policy.Policy) {
		return func(p *policy.Policy) { f(&p.Services[0]) }
	}
	line := func(f func(*sandbox.Profile)) func(*policy.Policy) {
		return func(p *policy.Policy) { f(&p.Profiles[0]) }
	}
	public := func(f func(*limit.Spec)) func(*policy.Policy) { return func(p *policy.Policy) { f(&p.Limits[0]) } }
	office := func(f func(*acl.List)) func(*policy.Policy) { return func(p *policy.Policy) { f(&p.ACLs[2]) } }
	listen := func(l address.Listen) func(*policy.Policy) {
		return finger(func(s *policy.Service) { s.Listen[0] = l })
	}
	private := func(i int, f func(*policy.Service)) func(*policy.Policy) { // its own profile has a network of its own
		return func(p *policy.Policy) {
			own := p.Profiles[0]
			own.Name, own.Network.Mode = "private", "private"
			p.Profiles = append(p.Profiles, own)
			p.Services[i].Profile = own.Name
			f(&p.Services[i])
		}
	}
	web := func(f func(*policy.Service)) func(*policy.Policy) {
		return func(p *policy.Policy) { carries(p); f(&p.Services[2]) }
	}
	for _, tt := range []struct {
		name, path, want string
		breaks           func(*policy.Policy)
	}{
		{"relay with wait", "services.finger.stdio", "that casemated accepts", func(p *policy.Policy) {
			p.Services[1].Stdio, p.Services[1].Wait, p.Services[1].ACL, p.Services[1].Limit = "relay", true, "anyone", "wait"
		}},
		{"relay of datagrams", "services.finger.stdio", "no datagrams", finger(func(s *policy.Service) { s.Stdio, s.Listen[0].Network = "relay", "udp" })},
		{"relay of packets", "services.finger.stdio", "or packets", finger(func(s *policy.Service) {
			s.Stdio, s.Listen[0] = "relay", address.Listen{Network: "unixpacket", Path: "@p"}
		})},
		{"private network and a tcp socket", "services.finger.profile", "aim that elsewhere", private(1, func(*policy.Service) {})},
		{"private network and wait", "services.finger.profile", "aim that elsewhere", private(1, func(s *policy.Service) {
			s.Wait, s.ACL, s.Limit, s.Listen[0] = true, "anyone", "wait", address.Listen{Network: "unix", Path: "@p"}
		})},
		{"private network of a builtin", "services.echo.profile", "aim that elsewhere", private(0, func(*policy.Service) {})},
		{"redirect and command", "services.web.redirect", "not two of them", web(func(s *policy.Service) { s.Command = []string{"/bin/cat"} })},
		{"redirect and builtin", "services.web.redirect", "not two of them", web(func(s *policy.Service) { s.Builtin = "echo" })},
		{"redirect to ports", "services.web.redirect", "not one address", web(func(s *policy.Service) { s.Redirect.LastPort++ })},
		{"redirect to udp", "services.web.redirect", "not one address", web(func(s *policy.Service) { s.Redirect.Network = "udp" })},
		{"redirect to everything", "services.web.redirect", "not one address", web(func(s *policy.Service) { s.Redirect.Addr = netip.Addr{} })},
		{"redirect to a name", "services.web.redirect", "not one address", web(func(s *policy.Service) { s.Redirect = address.Listen{Network: "unix", Path: "@x"} })},
		{"redirect with its client on 0", "services.web.redirect", "by number", web(func(s *policy.Service) { s.Stdio = "socket" })},
		{"redirect of datagrams", "services.web.listen", "streams of bytes", web(func(s *policy.Service) { s.Listen[0].Network = "udp" })},
		{"redirect of packets", "services.web.listen", "streams of bytes", web(func(s *policy.Service) { s.Listen[0] = address.Listen{Network: "unixpacket", Path: "@p"} })},
		{"redirect with another header", "services.web.proxy_protocol", "not known", web(func(s *policy.Service) { s.ProxyProtocol = "v3" })},
		{"header without redirect", "services.finger.proxy_protocol", "only the target", finger(func(s *policy.Service) { s.ProxyProtocol = "v1" })},
		{"redirect under another profile", "services.web.profile", "not made for", func(p *policy.Policy) { carries(p); p.Profiles[0].Base = nil }},
		{"redirect that comes back", "services.web.redirect", "circle", web(func(s *policy.Service) {
			s.Redirect.Addr, s.Redirect.Port, s.Redirect.LastPort = netip.MustParseAddr("127.0.0.1"), 80, 80
		})},
		{"redirect to what is not shown", "services.web.redirect", "asks who does", web(func(s *policy.Service) { s.Redirect = address.Listen{Network: "unix", Path: "/run/x"} })},
		{"read below write", "profiles.line.files.read.0", "lies in \"/srv/w\", which a service may write", line(func(f *sandbox.Profile) {
			f.Files.Read, f.Files.Write = []string{"/srv/w/sub/cfg"}, []string{"/srv/w"}
		})},
		{"write below write", "profiles.line.files.write.1", "lies in \"/srv/w\"", line(func(f *sandbox.Profile) { f.Files.Write = []string{"/srv/w", "/srv/w/sub"} })},
		{"command below write", "services.finger.command.0", "lies in \"/usr\"", line(func(f *sandbox.Profile) { f.Files.Write = []string{"/usr"} })},
		{"edition", "edition", "not known", func(p *policy.Policy) { p.Edition = 2 }},
		{"on_stop", "on_stop", "not known", func(p *policy.Policy) { p.OnStop = "kill" }},
		{"on_broken", "on_broken", "not known", func(p *policy.Policy) { p.OnBroken = "" }},
		{"bad name", "acls.1", "not a name", func(p *policy.Policy) { p.ACLs[1].Name = "named One" }},
		{"twice", "limits.public", "does not come after", func(p *policy.Policy) { p.Limits[1].Name = "public" }},
		{"default", "acls.office.default", "not known", office(func(l *acl.List) { l.Default = "maybe" })},
		{"verdict", "acls.office.rules.0.verdict", "not known", office(func(l *acl.List) { l.Rules[0].Verdict = "alow" })},
		{"no from", "acls.office.rules.0.from", "names no client", office(func(l *acl.List) { l.Rules[0].From = nil })},
		{"host bits", "acls.office.rules.0.from.0", "host bits", office(func(l *acl.List) { l.Rules[0].From[0] = "10.0.0.1/8" })},
		{"spelling", "acls.office.rules.1.except.0", "canonical", office(func(l *acl.List) { l.Rules[1].Except[0] = "A.Example.ORG" })},
		{"to", "acls.office.rules.1.to.0", "canonical prefix", office(func(l *acl.List) { l.Rules[1].To[0] = netip.MustParsePrefix("10.0.0.1/8") })},
		{"concurrent", "limits.public.concurrent", "out of range", public(func(l *limit.Spec) { l.Concurrent = -1 })},
		{"burst alone", "limits.public.burst", "without a rate", public(func(l *limit.Spec) { l.Rate = limit.Rate{} })},
		{"no burst", "limits.public.burst", "admits nobody", public(func(l *limit.Spec) { l.Burst = 0 })},
		{"odd rate", "limits.public.rate", "not known", public(func(l *limit.Spec) { l.Rate.Per = 7 })},
		{"session", "limits.public.session_ns", "out of range", public(func(l *limit.Spec) { l.Session = 1 })},
		{"prefix", "limits.public.per_source.prefix4", "out of range", public(func(l *limit.Spec) { l.PerSource.Prefix4 = 33 })},
		{"class", "limits.public.penalty.on.0", "not known", public(func(l *limit.Spec) { l.Penalty.On[0] = "boredom" })},
		{"max below first", "limits.public.penalty.max_ns", "shorter", public(func(l *limit.Spec) { l.Penalty.Max = time.Second })},
		{"penalty half", "limits.public.penalty", "incomplete", public(func(l *limit.Spec) { l.Penalty.On = nil })},
		{"layer", "profiles.line.widens.0", "not known", line(func(f *sandbox.Profile) { f.Widens = []string{"file"} })},
		{"network", "profiles.line.network.mode", "not known", line(func(f *sandbox.Profile) { f.Network.Mode = "some" })},
		{"host needs because", "profiles.line.network", "needs a reason", line(func(f *sandbox.Profile) { f.Network.Mode = "host" })},
		{"host explained by one of two", "profiles.line.network", "needs a reason", func(p *policy.Policy) { p.Profiles[0].Network.Mode, p.Services[0].Because = "host", "x" }},
		{"ports alone", "profiles.line.network", "without a network", line(func(f *sandbox.Profile) { f.Network.Bind = []uint16{80} })},
		{"caps need because", "profiles.line.capabilities", "need a reason", line(func(f *sandbox.Profile) { f.Capabilities = []string{"CAP_CHOWN"} })},
		{"capability", "profiles.line.capabilities.0", "may keep", line(func(f *sandbox.Profile) {
			f.Capabilities, f.Because = []string{"CAP_CHOW"}, "x"
		})},
		{"root tree", "profiles.line.files.read.0", "whole host", line(func(f *sandbox.Profile) { f.Files.Read = []string{"/"} })},
		{"proc path", "profiles.line.files.read.0", "own /proc", line(func(f *sandbox.Profile) { f.Files.Read = []string{"/proc/self"} })},
		{"relative", "profiles.line.files.read.0", "absolute", line(func(f *sandbox.Profile) { f.Files.Read = []string{"etc"} })},
		{"dots", "profiles.line.files.read.0", "absolute", line(func(f *sandbox.Profile) { f.Files.Read = []string{"/etc/../x"} })},
		{"devices", "profiles.line.files.devices", "need a reason", line(func(f *sandbox.Profile) { f.Files.Devices = []string{"/dev/ttyS0"} })},
		{"not a device", "profiles.line.files.devices.0", "clean path of a device", line(func(f *sandbox.Profile) { f.Because, f.Files.Devices = "x", []string{"/etc/passwd"} })},
		{"not clean", "profiles.line.files.devices.0", "clean path of a device", line(func(f *sandbox.Profile) { f.Because, f.Files.Devices = "x", []string{"/dev/../etc/passwd"} })},
		{"no responses", "limits.public.responses", "out of range", func(p *policy.Policy) { p.Limits[0].Responses = limit.Rate{Per: time.Second} }},
		{"responses of a week", "limits.public.responses.rate", "not known", func(p *policy.Policy) { p.Limits[0].Responses = limit.Rate{Events: 1, Per: 7 * 24 * time.Hour} }},
		{"too many responses", "limits.public.responses_total", "out of range", func(p *policy.Policy) { p.Limits[0].ResponsesTotal = limit.Rate{Events: 500_001, Per: time.Second} }},
		{"more for one than for all", "limits.public.responses", "more answers than all", func(p *policy.Policy) { p.Limits[0].Responses = limit.Rate{Events: 2001, Per: time.Second} }},
		{"less for all than for one", "limits.public.responses", "more answers than all", func(p *policy.Policy) { p.Limits[0].ResponsesTotal = limit.Rate{Events: 2900, Per: time.Minute} }},
		{"optional", "profiles.line.files.optional.0", "in none of these lists", line(func(f *sandbox.Profile) { f.Files.Optional = []string{"/nowhere"} })},
		{"two lists", "profiles.line.files.exec.0", "is also in read", line(func(f *sandbox.Profile) { f.Files.Read = []string{"/lib"} })},
		{"unsorted", "profiles.line.files.read.1", "comes after", line(func(f *sandbox.Profile) { f.Files.Read = []string{"/z", "/a"} })},
		{"dev", "profiles.line.files.dev.0", "not known", line(func(f *sandbox.Profile) { f.Files.Dev = []string{"tty"} })},
		{"shm", "profiles.line.files.shm", "out of range", line(func(f *sandbox.Profile) { f.Files.Shm = 1 })},
		{"violation", "profiles.line.syscalls.on_violation", "not known", line(func(f *sandbox.Profile) { f.Syscalls.OnViolation = "log" })},
		{"no filter", "profiles.line.syscalls.filter", "there is no filter", func(p *policy.Policy) {
			p.Profiles = append(p.Profiles, p.Profiles[0])
			p.Profiles[0].Syscalls.Filter, p.Profiles[1].Name = "x", "other"
		}},
		{"useless filter", "filters", "nobody's filter", func(p *policy.Policy) { p.Filters[valid.FilterName([][]uint32{{1}})] = [][]uint32{{1}} }},
		{"another's name", "filters", "another's name", func(p *policy.Policy) { p.Filters[p.Profiles[0].Syscalls.Filter] = [][]uint32{{1}} }},
		{"unsorted filter", "filters", "canonical form", func(p *policy.Policy) { p.Filters[p.Profiles[0].Syscalls.Filter] = [][]uint32{{1}, {0}} }},
		{"control in a call", "profiles.line.syscalls", "control character", line(func(f *sandbox.Profile) { f.Syscalls.Allow = []string{"re\nad"} })},
		{"memory", "profiles.line.resources.memory", "out of range", line(func(f *sandbox.Profile) { f.Resources[sandbox.Memory] = 1 })},
		{"userns init", "profiles.line.user_namespace", "an init", line(func(f *sandbox.Profile) { f.UserNamespace, f.Init = true, true })},
		{"userns proc", "profiles.line.user_namespace", "/proc", line(func(f *sandbox.Profile) { f.UserNamespace, f.Files.Proc = true, true })},
		{"both programs", "services.finger.builtin", "not both", finger(func(s *policy.Service) { s.Builtin = "echo" })},
		{"no program", "services.finger", "neither", finger(func(s *policy.Service) { s.Command = nil })},
		{"relative command", "services.finger.command.0", "absolute", finger(func(s *policy.Service) { s.Command[0] = "in.fingerd" })},
		{"nul in argv", "services.finger.command.1", "control", finger(func(s *policy.Service) { s.Command[1] = "a\x00b" })},
		{"bad utf8", "services.finger.command.1", "UTF-8", finger(func(s *policy.Service) { s.Command[1] = "\xff" })},
		{"unknown builtin", "services.echo.builtin", "not known", echo(func(s *policy.Service) { s.Builtin = "ecko" })},
		{"no user", "services.finger.user", "no user", finger(func(s *policy.Service) { s.User = "" })},
		{"bad user", "services.finger.user", "not a user", finger(func(s *policy.Service) { s.User = "no body" })},
		{"uid -1", "services.finger.user", "number", finger(func(s *policy.Service) { s.User = "4294967295" })},
		{"root", "services.finger.user", "needs a reason", finger(func(s *policy.Service) { s.User = "root" })},
		{"uid 0", "services.finger.user", "needs a reason", finger(func(s *policy.Service) { s.User = "0" })},
		{"group of a lease", "services.finger.group", "its own group", finger(func(s *policy.Service) { s.User, s.Group = "dynamic", "adm" })},
		{"group root", "services.finger.group", "needs a reason", finger(func(s *policy.Service) { s.Group = "root" })},
		{"groups root", "services.finger.groups.0", "needs a reason", finger(func(s *policy.Service) { s.Groups = []string{"0"} })},
		{"env", "services.finger.env", "variable", finger(func(s *policy.Service) { s.Env["A=B"] = "" })},
		{"env_style", "services.finger.env_style.0", "not known", finger(func(s *policy.Service) { s.EnvStyle[0] = "cgi" })},
		{"dir", "services.finger.dir", "absolute", finger(func(s *policy.Service) { s.Dir = "tmp" })},
		{"umask", "services.finger.umask", "umask", finger(func(s *policy.Service) { s.Umask = 0o1000 })},
		{"stdio", "services.finger.stdio", "not known", finger(func(s *policy.Service) { s.Stdio = "pipe" })},
		{"stdio env", "services.finger.stdio", "variable", finger(func(s *policy.Service) { s.Stdio = "env:1X" })},
		{"linger", "services.finger.linger_ns", "never find", finger(func(s *policy.Service) { s.Linger = 0 })},
		{"banner on udp", "services.echo.banner", "for connections", echo(func(s *policy.Service) { s.Banner = "x" })},
		{"acl", "services.finger.acl", "not in the policy", finger(func(s *policy.Service) { s.ACL = "offic" })},
		{"limit", "services.finger.limit", "not in the policy", finger(func(s *policy.Service) { s.Limit = "" })},
		{"profile", "services.finger.profile", "not in the policy", finger(func(s *policy.Service) { s.Profile = "x" })},
		{"wait acl", "services.finger.acl", "not enforceable", finger(func(s *policy.Service) { s.Wait, s.Limit = true, "wait" })},
		{"wait no acl", "services.finger.acl", "not enforceable", finger(func(s *policy.Service) { s.Wait, s.Limit, s.ACL = true, "wait", "" })},
		{"wait datagrams", "services.finger.profile", "to any address", finger(func(s *policy.Service) {
			s.Wait, s.ACL, s.Limit = true, "anyone", "wait"
			s.Listen, s.Socket = []address.Listen{{Network: "udp", Port: 79, LastPort: 79}}, policy.Socket{}
		})},
		{"wait limit", "services.finger.limit", "not enforceable", finger(func(s *policy.Service) { s.Wait, s.ACL = true, "anyone" })},
		{"builtin names", "services.echo.acl", "host names", echo(func(s *policy.Service) { s.ACL = "named" })},
		{"hangup without the socket", "services.finger", "keep_socket", finger(func(s *policy.Service) { s.Hangup, s.KeepSocket = true, false })},
		{"idle too short", "services.finger.idle_ns", "out of range", finger(func(s *policy.Service) { s.Idle, s.KeepSocket = time.Millisecond, true })},
		{"builtin sockets", "services.echo.listen", "65 sockets are more than the 64", echo(func(s *policy.Service) {
			s.Listen = []address.Listen{{Network: "tcp", Addr: netip.MustParseAddr("127.0.0.1"), Port: 7000, LastPort: 7064}}
		})},
		{"builtin wait", "services.echo.builtin", "takes the listening", echo(func(s *policy.Service) { s.Wait = false })},
		{"no listen", "services.finger.listen", "out of range", finger(func(s *policy.Service) { s.Listen, s.Socket = nil, policy.Socket{} })},
		{"network name", "services.finger.listen.0", "not known", listen(address.Listen{Network: "sctp", Port: 1, LastPort: 1})},
		{"unixgram nowait", "services.finger.listen.0", "no connections", listen(address.Listen{Network: "unixgram", Path: "@x"})},
		{"port 0", "services.finger.listen.0", "out of range", listen(address.Listen{Network: "tcp"})},
		{"backwards", "services.finger.listen.0", "backwards", listen(address.Listen{Network: "tcp", Port: 9, LastPort: 8})},
		{"wide", "services.finger.listen.0", "too wide", listen(address.Listen{Network: "tcp", Port: 1, LastPort: 1025})},
		{"mapped", "services.finger.listen.0", "in disguise", listen(address.Listen{Network: "tcp", Addr: netip.MustParseAddr("::ffff:1.2.3.4"), Port: 1, LastPort: 1})},
		{"wildcard", "services.finger.listen.0", "wildcard", listen(address.Listen{Network: "tcp", Addr: netip.IPv4Unspecified(), Port: 1, LastPort: 1})},
		{"family", "services.finger.listen.0", "not an address of", listen(address.Listen{Network: "tcp4", Addr: netip.IPv6Loopback(), Port: 1, LastPort: 1})},
		{"unix relative", "services.finger.listen.0", "absolute", listen(address.Listen{Network: "unix", Path: "x"})},
		{"unix long", "services.finger.listen.0", "has 108 bytes", listen(address.Listen{Network: "unix", Path: "/" + strings.Repeat("x", 107)})},
		{"contradiction", "services.finger.listen.0", "contradict", listen(address.Listen{Network: "unix", Path: "@x", Port: 1})},
		{"mode alone", "services.echo.socket", "only the file", echo(func(s *policy.Service) { s.Socket.Mode = 0o600 })},
		{"socket mode", "services.finger.socket.mode", "not a file mode", finger(func(s *policy.Service) { s.Socket.Mode = 0o1777 })},
		{"socket owner", "services.finger.socket.owner", "not a user", finger(func(s *policy.Service) { s.Socket.Owner = "no body" })},
		{"backlog", "services.finger.socket.backlog", "out of range", finger(func(s *policy.Service) { s.Socket.Backlog = -1 })},
		{"collision", "services.finger.listen.0", "already taken", listen(address.Listen{Network: "udp4", Addr: netip.MustParseAddr("192.0.2.1"), Port: 7, LastPort: 7})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := sample()
			tt.breaks(p)
			var errs valid.Errors
			if !errors.As(valid.Check(p), &errs) {
				t.Fatal("it is still valid")
			}
			if len(errs) != 1 || errs[0].Path != tt.path || !strings.Contains(errs[0].Summary, tt.want) || errs[0].Next == "" {
				t.Errorf("want one error %s: ...%s..., got:\n%v", tt.path, tt.want, errs)
			}
			if _, err := canon.Encode(p); (err != nil) != slices.Contains(unsound, tt.name) {
				t.Errorf("casemated says of it: %v", err)
			}
		})
	}
}

// TestNoCollision: what the kernel opens together is not refused.
func TestNoCollision(t *testing.T) {
	p := sample()
	one, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	p.Services[1].Listen = []address.Listen{
		{Network: "tcp4", Port: 7, LastPort: 7}, {Network: "tcp6", Port: 7, LastPort: 7},
		{Network: "tcp", Addr: one, Port: 80, LastPort: 80}, {Network: "tcp6", Addr: six, Port: 80, LastPort: 80},
		{Network: "tcp4", Addr: netip.MustParseAddr("192.0.2.2"), Port: 70, LastPort: 90},
		{Network: "unix", Path: "/run/a"}, {Network: "unix", Path: "@a"},
	}
	if err := valid.Check(p); err != nil {
		t.Error(err)
	}
}

func TestEncodeIsCanonical(t *testing.T) {
	b, err := canon.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	p, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := canon.Encode(p)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("not the same bytes again (%v):\n%s\n%s", err, b, again)
	}
	if !bytes.Contains(b, []byte(`"<&>"`)) || !bytes.Contains(b, []byte(`"env":{"A":"b","TZ":"UTC"}`)) {
		t.Errorf("escaped or unsorted: %s", b)
	}
}

func TestDecodeRefuses(t *testing.T) {
	b, err := canon.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, bad := range map[string]string{
		"empty":          "",
		"null":           "null",
		"trailing data":  good + "{}",
		"newline":        good + "\n",
		"space":          " " + good,
		"unknown field":  strings.Replace(good, `"edition":1`, `"edition":1,"extra":1`, 1),
		"twice":          strings.Replace(good, `"edition":1`, `"edition":1,"edition":1`, 1),
		"case":           strings.Replace(good, `"edition"`, `"Edition"`, 1),
		"order":          strings.Replace(good, `"edition":1,"on_stop":"end"`, `"on_stop":"end","edition":1`, 1),
		"number":         strings.Replace(good, `"edition":1`, `"edition":1.0`, 1),
		"escape":         strings.Replace(good, `"end"`, `"\u0065nd"`, 1),
		"null list":      strings.Replace(good, `"rules":[`, `"rules":null,"x":[`, 1),
		"broken":         strings.Replace(good, `"edition":1`, `"edition":2`, 1),
		"invalid utf-8":  strings.Replace(good, `-w`, "\xff", 1),
		"cut":            good[:len(good)/2],
		"deep":           strings.Repeat("[", 100000),
		"duplicate key":  strings.Replace(good, `"A":"b"`, `"A":"b","A":"b"`, 1),
		"address spelt":  strings.Replace(good, `10.0.0.0/8`, `10.0.0.0/08`, 1),
		"empty optional": strings.Replace(good, `"builtin":"echo"`, `"command":[],"builtin":"echo"`, 1),

		"nothing granted":      `{"edition":1` + good[strings.Index(good, `,"on_stop"`):],
		"not what it comes to": strings.Replace(good, `"user":"nobody"`, `"user":"bin"`, 1),
		"granted twice":        strings.TrimSuffix(good, "}") + `,"granted":{}}`,
		"granted later":        `{"edition":1,` + strings.Replace(good[1:], `"edition":1,`, "", 1),
		"granted null":         `{"granted":null` + good[strings.Index(good, `,"edition"`):],
		"granted unknown":      strings.Replace(good, `{"granted":{`, `{"granted":{"extra":1,`, 1),
		"user twice":           strings.Replace(good, `"user":"nobody"`, `"user":"root","user":"nobody"`, 1),
		"user in capitals":     strings.Replace(good, `"user":"nobody"`, `"user":"nobody","USER":"root"`, 1),
		"filter twice":         strings.Replace(good, `"filters":{`, `"filters":{"x":[],"x":[],`, 1),
		"uid":                  strings.Replace(good, `"umask":63`, `"uid":1,"umask":63`, 1),
		"host pids":            strings.Replace(good, `"sockets":1}`, `"sockets":1,"host_pids":true}`, 1),
		"as casemated":         strings.Replace(good, `"umask":63`, `"umask":63,"oom_score":-1`, 1),
		"port 0":               strings.Replace(good, `"addr":"0.0.0.0:79"`, `"addr":"0.0.0.0:0"`, 1),
		"port spelt":           strings.Replace(good, `"addr":"0.0.0.0:79"`, `"addr":"0.0.0.0:079"`, 1),
		"another family":       strings.Replace(good, `"network":"tcp4","addr":"0.0.0.0:79"`, `"network":"tcp4","addr":"[::]:79"`, 1),
		"network":              strings.Replace(good, `"network":"tcp4"`, `"network":"raw4"`, 1),
		"mapped":               strings.Replace(good, `"addr":"[::]:79"`, `"addr":"[::ffff:1.2.3.4]:79"`, 1),
		"multicast":            strings.Replace(good, `"addr":"0.0.0.0:79"`, `"addr":"224.0.0.1:79"`, 1),
		"path of another":      strings.Replace(good, `"path":"/run/f.sock"`, `"path":"/run/../etc/f.sock"`, 1),
		"relative path":        strings.Replace(good, `"path":"/run/f.sock"`, `"path":"run/f.sock"`, 1),
		"address and path":     strings.Replace(good, `"addr":"0.0.0.0:79"`, `"addr":"0.0.0.0:79","path":"/run/f.sock"`, 1),
		"interface":            strings.Replace(good, `"addr":"0.0.0.0:79"`, `"addr":"0.0.0.0:79","interface":"sixteen-letters-"`, 1),
		"socket twice":         strings.Replace(good, `"network":"tcp6","addr":"[::]:79"`, `"network":"tcp4","addr":"0.0.0.0:79"`, 1),
		"set-uid":              strings.Replace(good, `"mode":432`, `"mode":2480`, 1),
	} {
		if p, err := decode([]byte(bad)); err == nil || p != nil {
			t.Errorf("%s: accepted, or a policy beside the error", name)
		}
		// casemated takes no other bytes than those of the digest, and of what has one that fits it
		// does not read what is not granted to it.
		for digest, mayRead := range map[string]bool{granted.Digest(b): false, granted.Digest([]byte(bad)): slices.Contains(unread, name)} {
			doc, err := granted.Decode(granted.Frame(digest, []byte(bad), []byte("{}")))
			if (err == nil) != mayRead || (doc == nil) != (err != nil) {
				t.Errorf("%s: casemated says of it under %s: %v", name, digest, err)
			}
		}
	}
}

// unread are those of TestDecodeRefuses that casemated leaves to the broker, which reads them before it serves.
var unread = []string{"trailing data", "newline", "cut", "unknown field", "twice", "case", "order", "number", "escape", "null list", "broken", "duplicate key", "address spelt", "empty optional", "not what it comes to", "granted twice"}

func TestDocument(t *testing.T) {
	doc, err := newDocument(sample(), policy.Origins{"services.finger": "a.cm.hcl:1:1"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := canon.EncodeDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	got, err := canon.DecodeDocument(append(b, '\n'))
	if err != nil || got.Digest != doc.Digest {
		t.Fatalf("decode: %v", err)
	}
	if got.Origins.Lookup("services.finger.user") != "a.cm.hcl:1:1" || got.Origins.Lookup("acls.x") != "" {
		t.Error("Lookup does not find the nearest origin")
	}
	for name, bad := range map[string]string{
		"digest":  strings.Replace(string(b), doc.Digest, "sha256:"+strings.Repeat("0", 64), 1),
		"policy":  strings.Replace(string(b), "nobody", "nobodx", 1),
		"version": strings.Replace(string(b), `"format_version":2`, `"format_version":1`, 1),
		"none":    `{"format_version":2,"digest":"","policy":null,"origins":{}}`,
		"twice":   string(b) + "\n\n",
		"origins": strings.Replace(string(b), `"origins":{`, `"origins":{"a":"\u001b[31m",`, 1),
	} {
		if _, err := canon.DecodeDocument([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzDecode: what is accepted re-marshals to the same bytes and is valid.
func FuzzDecode(f *testing.F) {
	b, err := canon.Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.Replace(b, []byte(`"edition":1`), []byte(`"edition":1,"edition":1`), 1))
	f.Add([]byte(`{"edition":1}`))
	f.Add(bytes.Replace(b, []byte(`"network":"tcp"`), []byte(`"network":"t"`), 1))
	if b, err = canon.Encode(full()); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			if p != nil {
				t.Fatal("a policy beside an error")
			}
			return
		}
		again, err := canon.Encode(p)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("not the same bytes (%v)", err)
		}
	})
}

func TestDiagnosticsHaveErrors(t *testing.T) {
	if policy.HasErrors([]policy.Diagnostic{{Severity: policy.SeverityWarning}}) || !policy.HasErrors([]policy.Diagnostic{{Severity: policy.SeverityWarning}, {Severity: policy.SeverityError}}) {
		t.Error("HasErrors")
	}
	if !slices.IsSorted(valid.EnvStyles) || !slices.IsSorted(policy.Builtins) || !slices.IsSorted(sandbox.Capabilities) {
		t.Error("a word list is not sorted")
	}
}

// newDocument wraps a valid policy with its digest.
func newDocument(p *policy.Policy, o policy.Origins) (*policy.Document, error) {
	b, err := canon.Encode(p)
	if err != nil {
		return nil, err
	}
	return &policy.Document{FormatVersion: granted.DocumentFormat, Digest: granted.Digest(b), Policy: p, Origins: o}, nil
}

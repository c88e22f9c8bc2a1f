package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"casemate/acl/civil"
	"casemate/policy"
	"casemate/policy/valid"
)

// attributes are those that xinetd knows, and what is done with each beside what the rest
// of the import reads. order is the order in which it is done.
var attributes = map[string]func(*xinetd, *xValue){}

var order []string

func init() {
	elsewhere := func(*xinetd, *xValue) {} // read where its effect is
	for _, a := range []struct {
		name string
		do   func(*xinetd, *xValue)
	}{
		{"id", elsewhere}, {"disable", elsewhere}, {"enabled", elsewhere}, {"disabled", elsewhere},
		{"type", kinds}, {"flags", flags},
		{"socket_type", elsewhere}, {"protocol", elsewhere}, {"port", elsewhere}, {"bind", elsewhere}, {"interface", elsewhere}, {"v6only", elsewhere},
		{"wait", waits}, {"user", elsewhere}, {"group", elsewhere}, {"groups", groups},
		{"server", elsewhere}, {"server_args", elsewhere}, {"libwrap", elsewhere}, {"only_from", elsewhere}, {"no_access", elsewhere},
		{"instances", elsewhere}, {"per_source", elsewhere}, {"cps", elsewhere},
		{"umask", umask}, {"env", env},
		{"rlimit_as", rlimit("address_space", 4<<30)}, {"rlimit_data", rlimit("data", 2<<30)}, {"rlimit_stack", rlimit("stack", 8<<20)},
		{"rlimit_files", rlimit("open_files", 1024)}, {"rlimit_cpu", rlimit("cpu_time", 0)},
		{"rlimit_rss", mere(Note, "Linux holds nobody to it", "resources { memory } of the profile holds the service's processes together")},
		{"passenv", passes}, {"nice", nice},
		{"max_load", maxLoad},
		{"mdns", mere(Note, "casemate announces nothing", "announce it with avahi")},
		{"banner", banner("banner_accept", func(s *service) *string { return &s.bannerAccept })},
		{"banner_success", banner("banner_success", func(s *service) *string { return &s.bannerSuccess })},
		{"banner_fail", banner("banner", func(s *service) *string { return &s.banner })},
		{"log_type", mere(Note, "casemate writes one log, and services none of their own", "casemated --log FILE, or journald")},
		{"log_on_success", logged("every session has a record with the client, the process and its end, with or without")},
		{"log_on_failure", logged("every refusal has a record with the client and the rule; log = \"sessions\" leaves them out")},
		{"access_times", accessTimes},
		{"deny_time", mere(Lost, "no service shuts clients out of others", "write penalty in the limit: it answers to what a session does")},
		{"redirect", elsewhere},
		{"rpc_version", mere(Lost, "RPC services are not registered", "run the program as a daemon of its own")},
		{"rpc_number", mere(Lost, "RPC services are not registered", "run the program as a daemon of its own")},
	} {
		attributes[a.name] = a.do
		order = append(order, a.name)
	}
}

// mere reports an attribute that changes nothing about who may connect.
func mere(kind Kind, why, instead string) func(*xinetd, *xValue) {
	return func(x *xinetd, v *xValue) {
		a := v.line()
		x.add(Loss{a.file, a.line, kind, printable(a.text), a.name + " is not carried over: " + why, instead})
	}
}

// closes reports an attribute without which more would be admitted: nobody is.
func closes(why, instead string) func(*xinetd, *xValue) {
	return func(x *xinetd, v *xValue) {
		mere(Lost, why, instead)(x, v)
		x.s.closed = append(x.s.closed, v.line().name+" is not carried over: "+why+": "+instead)
	}
}

// maxLoad is the load average of a minute; to xinetd 0 is none.
func maxLoad(x *xinetd, v *xValue) {
	s, a := x.one("max_load")
	if a == nil {
		return
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || !(n >= 0 && n <= valid.MaxLoad):
		x.off(a, "%q is no load average", s)
	case x.s.wait || x.is("INTERNAL"):
		mere(Lost, "the program takes its clients itself", "serve it with wait = false, and a program of your own")(x, v)
	case n >= 0.01:
		x.s.limit.maxLoad = strconv.FormatFloat(n, 'f', -1, 64)
	}
}

var interval = regexp.MustCompile(`^[0-9]+:[0-9]+-[0-9]+:[0-9]+$`)

// accessTimes are hour:min-hour:min, each day's by the host's clocks, and with xinetd the last
// minute counts whole.
func accessTimes(x *xinetd, v *xValue) {
	a := v.line()
	var windows []string
	for _, w := range v.vals {
		var h1, m1, h2, m2 int
		_, err := fmt.Sscanf(w, "%d:%d-%d:%d", &h1, &m1, &h2, &m2)
		from, to := h1*60+m1, h2*60+m2
		switch read := err == nil && interval.MatchString(w) && max(h1, h2) <= 23 && max(m1, m2) <= 59; {
		case read && from > to:
			x.off(a, "%q is no interval of access_times, which ends on the day that it begins on: write %02d:%02d-23:59 00:00-%02d:%02d if it goes over midnight", w, h1, m1, h2, m2)
			return
		case !read || from == to:
			x.off(a, "%q is no interval of access_times", w)
			return
		}
		windows = append(windows, fmt.Sprintf("%02d:%02d-%02d:%02d", h1, m1, (to+1)/60, (to+1)%60))
	}
	spans, err := civil.Parse(windows...)
	zone, known := civil.Zone(x.zone)
	switch {
	case err != nil || len(spans) == 0:
		x.off(a, "access_times has no interval")
	case x.s.wait && !x.is("INTERNAL"):
		closes("a program with wait = yes takes its clients itself, at any time", "serve it with wait = false")(x, v)
	case !known:
		closes("it goes by the host's clocks, and this import does not know their zone", "add --zone, with the zone's name as in Europe/Berlin or UTC")(x, v)
	default:
		x.s.acl.Zone, x.s.hours = zone, civil.Rest(spans)
	}
}

// logged reports what of the log is not in casemate's.
func logged(why string) func(*xinetd, *xValue) {
	return func(x *xinetd, v *xValue) {
		a := v.line()
		mere(Note, why, "")(x, v)
		for _, word := range v.vals {
			switch strings.ToUpper(word) {
			case "PID", "HOST", "EXIT", "DURATION", "ATTEMPT":
			case "USERID":
				x.lost(a.file, a.line, a.text, "there is no counterpart", "USERID asks the client's ident server, and its answer is the client's own word")
			case "TRAFFIC":
				x.lost(a.file, a.line, a.text, "count it in the program", "TRAFFIC is not counted: casemate reads no byte of a session")
			default:
				x.lost(a.file, a.line, a.text, "", "%q is no word of %s", word, a.name)
			}
		}
	}
}

// kinds are the values of type.
func kinds(x *xinetd, v *xValue) {
	for _, k := range v.vals {
		switch strings.ToUpper(k) {
		case "INTERNAL", "UNLISTED", "TCPMUX", "TCPMUXPLUS":
		case "RPC":
			x.off(v.line(), "RPC services are not registered with rpcbind: run the program as a daemon of its own")
		default:
			x.off(v.line(), "there is no type %q", k)
		}
	}
}

// flags are the values of flags.
func flags(x *xinetd, v *xValue) {
	a := v.line()
	lost := func(why, instead string) { x.lost(a.file, a.line, a.text, instead, "%s", why) }
	for _, f := range v.vals {
		switch f = strings.ToUpper(f); f {
		case "IPV4", "IPV6", "NOLIBWRAP", "DISABLE":
		case "REUSE", "NORETRY":
			x.note(a.file, a.line, a.text, "", "%s does nothing here: addresses are reused, and a start that fails is not tried again", f)
		case "INTERCEPT":
			x.note(a.file, a.line, a.text, "", "INTERCEPT is not needed: rules are held where the socket is")
		case "NAMEINARGS":
			// read with the arguments
		case "KEEPALIVE":
			if x.datagram() {
				continue
			}
			x.s.socket = append(x.s.socket, `keepalive = "2h"`)
			x.note(a.file, a.line, a.text, "", "KEEPALIVE is keepalive = \"2h\", which is the kernel's own time")
		case "NODELAY":
			if !x.datagram() {
				x.s.socket = append(x.s.socket, "nodelay = true")
			}
		case "LABELED":
			lost("LABELED is not carried over: no security context is set", "run it by systemd with SELinuxContextFromNet")
		case "IDONLY":
			lost("IDONLY is not carried over: there is no ident lookup", "decide who may connect by address")
			x.s.closed = append(x.s.closed, "IDONLY has no counterpart: there is no ident lookup")
		case "SENSOR":
			lost("SENSOR is not carried over: a trap for clients is no service", "leave the port closed; refusals of other services are in the log")
			x.s.off = append(x.s.off, "SENSOR is a trap, and no service")
		default:
			x.off(a, "there is no flag %q", f)
		}
	}
}

func waits(x *xinetd, v *xValue) {
	switch s, a := x.one("wait"); {
	case strings.EqualFold(s, "yes"):
		x.s.wait = true
	case a != nil && !strings.EqualFold(s, "no"):
		x.off(a, "wait takes yes or no")
	}
}

// datagram tells whether the service is of udp.
func (x *xinetd) datagram() bool {
	v := x.v["socket_type"]
	return v != nil && len(v.vals) == 1 && strings.EqualFold(v.vals[0], "dgram")
}

// where is what the service listens on.
func (x *xinetd) where() {
	head := &xAttribute{file: x.s.file, line: x.s.line, text: x.s.text}
	kind, a := x.one("socket_type")
	if proto, b := x.one("protocol"); a == nil && b != nil {
		kind, a = map[string]string{"tcp": "stream", "udp": "dgram"}[strings.ToLower(proto)], b
	}
	if x.v["wait"] == nil {
		x.off(head, "it has no wait")
	}
	network := map[string]string{"stream": "tcp", "dgram": "udp"}[strings.ToLower(kind)]
	if network == "" {
		if a == nil {
			a = head
		}
		x.off(a, "socket_type %q has no counterpart: stream and dgram have", kind)
		return
	}
	if proto, a := x.one("protocol"); a != nil && !strings.EqualFold(strings.TrimRight(proto, "46"), network) {
		x.off(a, "protocol %q has no counterpart for socket_type %s", proto, kind)
		return
	}
	if plus := x.is("TCPMUXPLUS"); plus || x.is("TCPMUX") {
		if x.s.wait || network != "tcp" {
			x.off(head, "tcpmux hands over one tcp client at a time, and it is served otherwise")
		}
		x.s.listen = muxed(x.sec.name, plus)
		return
	}
	number, a := x.one("port")
	switch {
	case a != nil:
	case x.is("UNLISTED"):
		x.off(head, "it is UNLISTED and has no port")
		return
	default:
		number = x.sec.name
	}
	written, n, ok := x.port(number, network)
	if !ok {
		if a == nil {
			a = head
		}
		x.off(a, "the port of %q is not known here: %s", number, x.unknownPort("add port = NUMBER to it"))
		return
	}
	x.number = n
	only, a := x.one("v6only")
	if a != nil && !strings.EqualFold(only, "yes") && !strings.EqualFold(only, "no") {
		x.off(a, "v6only takes yes or no")
	}
	if strings.EqualFold(only, "no") {
		x.note(a.file, a.line, a.text, "remove the line", "xinetd serves IPv6 alone with v6only = no, as with yes")
	}
	host, a := x.one("bind")
	if a == nil {
		host, a = x.one("interface")
	}
	switch {
	case a != nil && hostOf(host) == "":
		x.off(a, "%q is no address, and names are not looked up", host)
		return
	case a != nil && strings.Contains(host, ":"):
		network += "6"
	case a != nil:
		network += "4"
	case x.has("IPv4") && !x.has("IPv6"):
		network += "4"
	case only != "": // to xinetd, no is yes as well
		network += "6"
	}
	if host = hostOf(host); host == "0.0.0.0" || host == "::" {
		if host == "::" && only == "" {
			network = network[:3]
		}
		host = ""
	}
	x.s.listen = []string{listenOn(network, host, written)}
}

// program is what runs.
func (x *xinetd) program() {
	head := &xAttribute{file: x.s.file, line: x.s.line, text: x.s.text}
	if x.is("INTERNAL") {
		if x.s.builtin = x.sec.name; !slices.Contains(policy.Builtins, x.s.builtin) {
			x.off(head, "there is no built-in %s", x.sec.name)
		} else if x.s.builtin == "qotd" {
			x.off(head, noQuote)
		}
		return
	}
	if v := x.v["redirect"]; v != nil {
		x.redirect(v)
		return
	}
	server, a := x.one("server")
	if a == nil {
		if len(x.s.off) == 0 {
			x.off(head, "it has no server")
		}
		return
	}
	args := []string(nil)
	if v := x.v["server_args"]; v != nil {
		args = v.vals
	}
	if x.has("NAMEINARGS") && len(args) == 0 {
		x.off(a, "NAMEINARGS needs server_args")
	}
	if x.has("NAMEINARGS") && len(args) > 0 {
		name := args[0]
		args = args[1:]
		if path.Base(server) == "tcpd" {
			server, _ = wrapped(name)
			x.note(a.file, a.line, a.text, "", "tcpd is not run: casemate holds the rules itself")
			if x.hosts == nil && x.v["libwrap"] == nil {
				x.s.closed = append(x.s.closed, "tcpd asks hosts.allow and hosts.deny, which this import was not given")
				x.lost(a.file, a.line, a.text, "add --hosts-allow and --hosts-deny, or import host", "what hosts.allow and hosts.deny say of %s is not known", path.Base(server))
			}
		} else if name != path.Base(server) {
			x.s.argv0 = name
		}
	}
	if path.Base(server) == "tcpd" {
		x.off(a, "tcpd without NAMEINARGS starts nothing that is known here")
	}
	x.s.command = append([]string{server}, args...)
}

// redirect is the target of a redirect: an address and a port.
func (x *xinetd) redirect(v *xValue) {
	a := v.line()
	if len(v.vals) != 2 {
		x.off(a, "redirect takes an address and a port")
		return
	}
	host, port := hostOf(v.vals[0]), v.vals[1]
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		x.off(a, "redirect to %q, and names are not looked up: write redirect = \"ADDRESS:%s\"", v.vals[0], port)
	case err != nil || n == 0:
		x.off(a, "redirect to port %q, which is no number of one", port)
	case x.s.wait || len(x.s.listen) > 0 && !strings.HasPrefix(x.s.listen[0], "tcp"):
		x.off(a, "redirect carries tcp connections, with wait = no")
	case strings.Contains(host, ":"):
		x.s.redirect = fmt.Sprintf("[%s]:%d", host, n)
	default:
		x.s.redirect = fmt.Sprintf("%s:%d", host, n)
	}
	x.note(a.file, a.line, a.text, "", "the relay is casemate's own, under a uid of its own: server, user, group, groups, umask, env and rlimits mean nothing to it")
}

// rates are instances, per_source and cps.
func (x *xinetd) rates() {
	count := func(name string) int {
		s, a := x.one(name)
		if a == nil || strings.EqualFold(s, "UNLIMITED") {
			return 0
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1_000_000 {
			x.off(a, "%s takes a number from 1, or UNLIMITED", name)
			return 0
		}
		return n
	}
	l := &x.s.limit
	l.concurrent, l.perSource, l.perSecond = count("instances"), count("per_source"), 50
	if v := x.v["cps"]; v != nil {
		a := v.line()
		n, err := 0.0, error(nil)
		if len(v.vals) > 0 {
			n, err = strconv.ParseFloat(v.vals[0], 64)
		}
		if err != nil || len(v.vals) != 2 || !(n > 0 && n <= 1e6) {
			x.off(a, "cps takes two numbers")
			return
		}
		if l.perSecond = int(n); n < 1 {
			l.perSecond, l.perMinute = 0, max(1, int(n*60))
		}
		x.note(a.file, a.line, a.text, "", "what is more than %s a second is shed, and the service never closes for %s seconds", v.vals[0], v.vals[1])
	}
	l.burst = max(l.perSecond, 1)
	if x.s.wait && l.perSource > 0 {
		a := x.v["per_source"].line()
		x.lost(a.file, a.line, a.text, "serve it with wait = false", "per_source is not held: a program with wait = yes takes its clients itself")
	}
}

// hostOf is an address as listen takes it, or "".
func hostOf(s string) string {
	a, err := parseAddr(s)
	if err != nil {
		return ""
	}
	return a
}

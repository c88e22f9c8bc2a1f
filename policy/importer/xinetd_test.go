package importer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/policy"
	"casemate/policy/hostsaccess"
)

// tree is a file system of texts, with absolute paths.
func tree(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return out
}

// xservice is a service that is served, with attributes of its own.
func xservice(attrs ...string) string {
	return "service telnet\n{\n\tsocket_type = stream\n\twait = no\n\tuser = nobody\n\tserver = /usr/sbin/in.telnetd\n\t" + strings.Join(attrs, "\n\t") + "\n}\n"
}

func importX(t *testing.T, text string) (*Result, *policy.Policy) {
	t.Helper()
	r, err := Xinetd(tree(map[string]string{"/x": text, "/legal": "a \"${b}\"\n\n", "/open": "no end", "/long": strings.Repeat("x", 4097), "/latin": "\xe9\n"}), []string{"/x"}, Facts{})
	return r, compiled(t, r, err)
}

// TestXinetdAttributes: each attribute and flag is in the service, or in the report; and
// one that would open the service wider leaves it closed, or in a comment.
func TestXinetdAttributes(t *testing.T) {
	const served, closed, off = "served", "closed", "off"
	tested := map[string]bool{}
	for _, c := range []struct{ attr, state, hcl, report string }{
		{"id = other", served, `service "other"`, ""},
		{"disable = no", served, "", ""}, {"disable = yes", off, "disable = true", "note telnet"}, {"disable = yes\n\ttype = RPC", off, "# Not served: it is switched off by disable.", "note telnet stands in a comment alone"}, {"disable = maybe", off, "", "disable takes yes or no"},
		{"flags = DISABLE", off, "disable = true", "note telnet"},
		{"type = UNLISTED\n\tport = 7000", served, "", ""}, {"type = UNLISTED", off, "", "has no port"}, {"type = RPC", off, "", "RPC services"}, {"type = TCPMUX", off, `# service "telnet"`, "lost no tcpmux is served"}, {"type = TCPMUXPLUS", off, `"tcpmux:+telnet"`, "no tcpmux is served"}, {"type = TCPMUX\n\tsocket_type = dgram", off, "", "lost xinetd does not look"}, {"type = INTERNAL", off, "", "no built-in telnet"}, {"type = ODD", off, "", "no type"},
		{"flags = IPv4", served, `["tcp4://:telnet"]`, ""}, {"flags = IPv4 IPv6", served, `["tcp://:telnet"]`, ""}, {"flags = IPv6", served, `["tcp://:telnet"]`, ""}, {"flags = IPv6\n\tv6only = yes", served, `["tcp6://:telnet"]`, ""},
		{"v6only = maybe", off, "", "yes or no"},
		{"flags = KEEPALIVE", served, `keepalive = "2h"`, "note "}, {"flags = NODELAY", served, "nodelay = true", ""}, {"flags = NORETRY REUSE INTERCEPT", served, "", "note INTERCEPT"},
		{"flags = IDONLY", closed, "", "lost IDONLY"}, {"flags = SENSOR", off, "", "lost SENSOR"}, {"flags = LABELED", served, "", "lost LABELED"}, {"flags = NOLIBWRAP", served, "acl.anyone", ""}, {"flags = ODD", off, "", "no flag"},
		{"flags = NAMEINARGS\n\tserver_args = in.telnetd -h", served, `["/usr/sbin/in.telnetd", "-h"]`, ""}, {"flags = NAMEINARGS\n\tserver_args = login -h", served, `argv0   = "login"`, ""},
		{"server_args = -h ${x}", served, `"-h", "$${x}"`, ""},
		{"protocol = tcp", served, "", ""}, {"protocol = udp", off, "", "protocol"},
		{"port = 7023", served, `["tcp://:7023"]`, ""}, {"port = nosuch", off, "", "port = NUMBER"}, {"port = 0", off, "", "port"},
		{"bind = 192.0.2.1", served, `["tcp4://192.0.2.1:telnet"]`, ""}, {"bind = 2001:db8::1", served, `["tcp6://[2001:db8::1]:telnet"]`, ""}, {"interface = 192.0.2.1", served, `["tcp4://192.0.2.1:telnet"]`, ""}, {"bind = host.example", off, "", "no address"},
		{"group = games", served, `group   = "games"`, ""}, {"groups = yes", served, "", "lost the groups of the user"}, {"groups = no", served, "", ""},
		{"libwrap = telnetd", closed, "", "lost what hosts.allow and hosts.deny say of telnetd"},
		{"only_from = 192.0.2.0", served, `from = ["192.0.2.0/24"]`, ""}, {"only_from =", served, "acl \"telnet\" {\n}", ""}, {"only_from = friends", served, "", "lost \"friends\""},
		{"no_access = 192.0.2.7", served, `from = ["192.0.2.7"]`, ""}, {"no_access = foes", closed, "", "lost \"foes\""},
		{"instances = 9", served, "concurrent = 9", ""}, {"instances = UNLIMITED", served, "", ""}, {"instances = 0", off, "", "instances takes"},
		{"per_source = 2", served, "per_source {\n    concurrent = 2\n  }", ""}, {"cps = 10 30", served, `rate  = "10/s"`, "note what is more than 10 a second"}, {"cps = 0.5 30", served, `rate  = "30/min"`, "note "}, {"cps = 10", off, "", "two numbers"},
		{"umask = 027", served, `umask   = "0027"`, ""}, {"umask = 999", off, "", "no umask"},
		{"env = A=1 B=x=y", served, `"B" = "x=y"`, ""}, {"env = A", off, "", "NAME=value"}, {"env -= A", off, "", "env takes"}, {"passenv = TZ PATH", served, `pass_env = ["PATH", "TZ"]`, ""}, {"passenv = TZ\n\tpassenv += LISTEN_FDS", served, `pass_env = ["TZ"]`, "lost LISTEN_FDS"},
		{"rlimit_as = 64M", served, `address_space = "64MiB"`, ""}, {"rlimit_as = 10001K", served, `address_space = "10001KiB"`, ""}, {"rlimit_as = 16777217", served, `address_space = "16777217B"`, ""}, {"rlimit_as = UNLIMITED", served, `address_space = "unlimited"`, ""}, {"rlimit_as = 8000M", served, `widens = ["resources"]`, ""}, {"rlimit_as = x", off, "", "no number"},
		{"rlimit_files = 64", served, "open_files = 64", ""}, {"rlimit_cpu = 20", served, `cpu_time = "20s"`, ""}, {"rlimit_data = 64M", served, "data = ", ""}, {"rlimit_stack = 1M", served, "stack = ", ""}, {"rlimit_rss = 1M", served, "", "note rlimit_rss"},
		{"nice = 5", served, "nice    = 5", ""}, {"nice = -30", served, `nice    = "-20"`, ""}, {"nice = low", off, "", "nice takes"}, {"max_load = 2.5", served, `max_load = "2.5"`, ""}, {"max_load = x", off, "", "no load average"}, {"max_load = 0", served, "", ""}, {"mdns = yes", served, "", "note mdns"},
		{"banner = /b", served, "", "lost banner is not carried over: /b is not read: file does not exist"}, {"banner = b", off, "", "lost telnet is not served: banner takes the path"}, {"banner = /b /c", off, "", "banner takes one value"},
		{"banner = /legal", served, `banner_accept = "a \"$${b}\"\n\n"`, ""}, {"banner_success = /open", served, `banner_success = "no end"`, "note /open has no line's end"}, {"banner_fail = /etc/../legal", served, `banner  = "a \"$${b}\"\n\n"`, ""},
		{"banner_fail = /long", served, "", "lost banner_fail is not carried over: /long is longer than"}, {"banner_fail = /latin", served, "", "lost banner_fail is not carried over: /latin is not UTF-8"},
		{"banner = /legal\n\ttype = TCPMUXPLUS", off, `banner_accept = "a`, ""}, {"banner = /legal\n\ttype = TCPMUX", off, "", "lost banner is not carried over: a client of tcpmux"},
		{"log_type = FILE /x", served, "", "note log_type"}, {"log_on_success = PID HOST USERID", served, "", "lost USERID"}, {"log_on_success = TRAFFIC", served, "", "lost TRAFFIC"}, {"log_on_failure = ATTEMPT", served, "", "note log_on_failure"}, {"log_on_failure = ODD", served, "", "lost \"ODD\""},
		{"access_times = 08:00-17:00", closed, "", "lost access_times"}, {"deny_time = 60", served, "", "lost deny_time"}, {"redirect = 10.0.0.1 80", served, `redirect = "10.0.0.1:80"`, "note the relay is"}, {"redirect = 2001:db8::1 80", served, `redirect = "[2001:db8::1]:80"`, ""},
		{"redirect = host.example 80", off, "", "names are not looked up"}, {"redirect = 10.0.0.1 0", off, "", "no number"}, {"redirect = 10.0.0.1", off, "", "an address and a port"}, {"redirect = 10.0.0.1 http", off, "", "no number"},
		{"access_times = 08:00-17:00x", off, "", "no interval"}, {"access_times = 17:00-08:00", off, "", "write 17:00-23:59 00:00-08:00"}, {"access_times =", off, "", "no interval"},
		{"rpc_version = 1-2", served, "", "lost rpc_version"}, {"rpc_number = 100", served, "", "lost rpc_number"},
		{"flags = NAMEINARGS", off, "", "needs server_args"},
		{"odd = 1", served, "", "lost xinetd has no attribute"}, {"socket_type = raw", served, "", "lost xinetd does not look at it"}, {"enabled = telnet", served, "", ""}, {"disabled = telnet", off, "", "note telnet"},
		{"wait = yes", served, "", "lost xinetd does not look at it"}, {"user = root", served, `user    = "nobody"`, "lost xinetd does not look at it"}, {"server = /x", served, "", "lost xinetd does not look at it"}, {"port += 7", served, "", "lost xinetd does not look at it"},
		{"only_from = 10.0.0.0\n\tonly_from = 192.0.2.1", served, `from = ["192.0.2.1"]`, ""}, {"nonsense", off, "", "not attribute = value"},
	} {
		tested[strings.Fields(c.attr)[0]] = true
		r, p := importX(t, xservice(c.attr))
		accounted(t, r, "/x", strings.NewReplacer("{\n", "\n", "}\n", "\n").Replace(xservice(c.attr)))
		state := off
		if len(p.Services) == 1 {
			if state = served; p.Services[0].ACL == "nobody" {
				state = closed
			}
		}
		if state != c.state || !strings.Contains(string(r.HCL), c.hcl) {
			t.Errorf("%q: %s, want %s with %q\n%s", c.attr, state, c.state, c.hcl, r.HCL)
		}
		kind, words := "", c.report
		if k, rest, ok := strings.Cut(c.report, " "); ok && (k == "lost" || k == "note") {
			kind, words = k, rest
		}
		if c.report != "" && !slices.ContainsFunc(r.Losses, func(l Loss) bool {
			return (kind == "" || kind == string(l.Kind)) && strings.Contains(l.String(), words)
		}) {
			t.Errorf("%q: no %q in %v", c.attr, c.report, r.Losses)
		}
	}
	for name := range attributes {
		if !tested[name] {
			t.Errorf("attribute %s is in no case", name)
		}
	}
}

// TestXinetdMux: what is behind xinetd's tcpmux is behind ours, under its name there.
func TestXinetdMux(t *testing.T) {
	master := strings.NewReplacer("service telnet", "service tcpmux", "server = /usr/sbin/in.telnetd", "").Replace(xservice("type = INTERNAL"))
	r, p := importX(t, xservice("type = TCPMUXPLUS")+master)
	if len(p.Services) != 2 || !slices.Equal(p.Service("telnet").Mux, []string{"+telnet"}) || p.Service("tcpmux").Builtin != policy.Tcpmux {
		t.Errorf("%s%v", r.HCL, r.Losses)
	}
}

// TestXinetdMerges: defaults, += and -=, lists of services, includes and their order.
func TestXinetdMerges(t *testing.T) {
	files := map[string]string{
		"/etc/xinetd.conf": "defaults\n{\n\tonly_from = 10.0.0.0 192.0.2.1\n\tno_access = 10.9.0.0\n\tdisabled = off\n\tinstances = 7\n}\nincludedir /etc/xinetd.d\n",
		"/etc/xinetd.d/b":  strings.Replace(xservice("only_from += 198.51.100.0", "no_access -= 10.9.0.0"), "telnet", "finger", 1),
		"/etc/xinetd.d/a":  xservice("only_from = 203.0.113.7"),
		"/etc/xinetd.d/c":  strings.Replace(xservice("id = off", "port = 99"), "telnet", "off", 1),
		"/etc/xinetd.d/d~": xservice("port = 98"), "/etc/xinetd.d/e.rpmnew": xservice("port = 97"),
		"/etc/xinetd.d/z": xservice("port = 96"),
	}
	r, err := Xinetd(tree(files), []string{"/etc/xinetd.conf"}, Facts{})
	p := compiled(t, r, err)
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	if want := []string{"finger", "telnet"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v\n%s", names, want, r.HCL)
	}
	if len(p.Disabled) != 1 || p.Disabled[0].Name != "off" || p.Disabled[0].Listen[0].Port != 99 { // to be switched on
		t.Errorf("disabled: %+v\n%s", p.Disabled, r.HCL)
	}
	for service, want := range map[string]map[string]acl.Verdict{
		"finger": {"10.9.0.1": acl.Allow, "198.51.100.9": acl.Allow, "203.0.113.7": acl.Deny},
		"telnet": {"10.8.0.1": acl.Deny, "203.0.113.7": acl.Allow, "10.9.0.1": acl.Deny},
	} {
		for addr, v := range want {
			if got := decided(t, p, service, addr, ""); got != v {
				t.Errorf("%s from %s: %s", service, addr, got)
			}
		}
	}
	for _, want := range []string{"/etc/xinetd.d/d~:0: xinetd does not read", "/etc/xinetd.d/e.rpmnew:0:", "/etc/xinetd.d/z:1: telnet is not served: there is a service telnet already", "/etc/xinetd.d/c:1: off is not served: it is in the list disabled"} {
		if !slices.ContainsFunc(r.Losses, func(l Loss) bool { return strings.HasPrefix(l.String(), want) }) {
			t.Errorf("no %q in %v", want, r.Losses)
		}
	}
	if p.Limit("telnet").Concurrent != 7 {
		t.Errorf("%+v", p.Limit("telnet"))
	}
	if p, q := Xinetd(tree(map[string]string{"/x": "include /x\n"}), []string{"/x", "/nosuch"}, Facts{}); q != nil || len(p.Losses) != 2 {
		t.Errorf("%v, %v", p, q)
	}
}

func decided(t *testing.T, p *policy.Policy, service, addr, name string) acl.Verdict {
	t.Helper()
	m, err := decide.Compile(p.ACL(p.Service(service).ACL))
	if err != nil {
		t.Fatal(err)
	}
	return m.Decide(hostsaccess.Request{Addr: addr, Name: name}.Client()).Verdict
}

// xinetdAdmits is what xinetd decides.
func xinetdAdmits(from, no []netip.Prefix, limited bool, a netip.Addr) bool {
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return !in(no) && (!limited || in(from))
}

// TestXinetdDecidesAsTheLists: over random lists the acl that came out, as compiled, decides
// as xinetd does; with hosts.allow and hosts.deny behind it, it admits those whom
// both admit.
func TestXinetdDecidesAsTheLists(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	random := func() (netip.Prefix, string) {
		if r.IntN(4) == 0 {
			pre := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(r.IntN(3)), 0, 0, byte(r.IntN(2))}), []int{32, 40, 64, 96}[r.IntN(4)]).Masked()
			return pre, pre.String()
		}
		pre := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(3)), byte(r.IntN(3))}), []int{0, 8, 16, 23, 24, 31, 32}[r.IntN(7)]).Masked()
		return pre, pre.String()
	}
	both := 0
	for range 400 {
		var from, no []netip.Prefix
		var attrs []string
		limited := r.IntN(3) > 0
		if limited {
			attrs = append(attrs, "only_from =")
		}
		for range r.IntN(5) {
			p, s := random()
			if no = append(no, p); true {
				attrs = append(attrs, "no_access += "+s)
			}
		}
		for range r.IntN(5) {
			if limited {
				p, s := random()
				from, attrs = append(from, p), append(attrs, "only_from += "+s)
			}
		}
		allow := hostsaccess.Parse("hosts.allow", []byte("in.telnetd: 10.1.0.0/16\nALL: 10.2.\n"))
		deny := hostsaccess.Parse("hosts.deny", []byte("in.telnetd: 10.\n"))
		var hosts *Hosts
		if r.IntN(2) == 0 {
			hosts = &Hosts{allow, deny}
		}
		res, err := Xinetd(tree(map[string]string{"/x": xservice(attrs...)}), []string{"/x"}, Facts{Hosts: hosts})
		p := compiled(t, res, err)
		for range 40 {
			a := netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(3)), byte(r.IntN(4))})
			if r.IntN(4) == 0 {
				a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(r.IntN(3)), 0, 0, byte(r.IntN(2)), 15: byte(r.IntN(2))})
			}
			want := xinetdAdmits(from, no, limited, a)
			if hosts != nil {
				want = want && hostsaccess.Decide(allow, deny, hostsaccess.Request{Daemon: "in.telnetd", Addr: a.String()}, nil).Allow
				both++
			}
			if got := decided(t, p, "telnet", a.String(), "unknown") == acl.Allow; got != want {
				t.Fatalf("%v: %v, xinetd %v (hosts %v)\n%v\n%s", a, got, want, hosts != nil, attrs, res.HCL)
			}
		}
	}
	if both == 0 {
		t.Error("never with tables")
	}
}

// TestXinetdAddresses: the forms of only_from.
func TestXinetdAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.0": "[10.0.0.0/8]", "128.138.12.0": "[128.138.12.0/24]", "0.0.0.0": "[0.0.0.0/0]", "10.1.2.3": "[10.1.2.3]", "128.138.{12,204}": "[128.138.12.0/24 128.138.204.0/24]",
		"10.1.2.{3,4}": "[10.1.2.3 10.1.2.4]", "10.1.2.3/24": "[10.1.2.0/24]", "::": "[]", "::/0": "[::/0 0.0.0.0/0]", "::/80": "[::/80 0.0.0.0/0]", "2001:db8::1": "[2001:db8::1]", "2001:db8::/32": "[2001:db8::/32]", "2001:db8::1/128": "[]", ".Example.org": "[.example.org]", "host.example.org": "[host.example.org]", "localhost": "[127.0.0.1 ::1]",
		"10.1": "[]", "loopback": "[]", "any": "[]", "10.{1,x}": "[]", "{1}": "[]", "1.2.3.4.{5}": "[]", "10.0.0.0/33": "[]", "::ffff:10.0.0.1": "[]", "fe80::1%lo": "[]", "10.1.2.{256}": "[]", "10.1.{0,1}": "[]",
	} {
		got, what, _ := xAddress(in)
		if fmt.Sprint(got) != want || (what == "") != (len(got) > 0) {
			t.Errorf("%s: %v %s, want %s", in, got, what, want)
		}
	}
}

// FuzzXinetd: whatever the file, a policy comes out that compiles.
func FuzzXinetd(f *testing.F) {
	f.Add(xservice("only_from = 10.0.0.0 {", "env = A=\"${x}"))
	f.Add("defaults\n{\n only_from += x\n}\nservice x\n{\n}\ninclude /x\nservice y {\n")
	f.Add(xservice("port = 7", "cps = 1e3 2", "rlimit_stack = 1K", "umask = 0") + xservice("id = b"))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Xinetd(tree(map[string]string{"/x": text}), []string{"/x"}, Facts{})
		compiled(t, r, err)
	})
}

// TestXinetdAccessTimes: they are each day's, by the clocks of the host, and the last minute
// counts whole.
func TestXinetdAccessTimes(t *testing.T) {
	r, err := Xinetd(tree(map[string]string{"/x": xservice("access_times = 2:30-8:59 20:00-23:59", "only_from = 192.0.2.0")}), []string{"/x"}, Facts{Zone: "Asia/Kolkata"})
	p := compiled(t, r, err)
	m, err := decide.Compile(p.ACL(p.Service("telnet").ACL))
	if err != nil {
		t.Fatal(err)
	}
	ist := time.FixedZone("", 19800)
	for minute := range 8 * 1440 {
		at := time.Date(2026, 11, 26, 0, minute, 30, 0, ist)
		now := at.Hour()*60 + at.Minute()
		want := now >= 150 && now <= 539 || now >= 1200
		for addr, only := range map[string]bool{"192.0.2.9": true, "198.51.100.1": false} {
			got := m.Decide(decide.Client{Addr: netip.MustParseAddr(addr), At: at}).Verdict == acl.Allow
			if got != (want && only) {
				t.Fatalf("%s at %s: allowed %v\n%s", addr, at, got, r.HCL)
			}
		}
	}
	if r.Lost > 0 {
		t.Errorf("%v", r.Losses)
	}
}

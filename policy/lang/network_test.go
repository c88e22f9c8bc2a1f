package lang

import (
	"slices"
	"strings"
	"testing"
)

// TestNetworkPorts: names, numbers, ranges and "any", each list for itself.
func TestNetworkPorts(t *testing.T) {
	network := func(s string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\n  base = profile.line\n  widens = [\"network\"]\n  because = \"x\"\n  network {\n    mode = \"host\"\n" + s + "\n  }\n}\n"
	}
	for _, tt := range []struct {
		text          string
		connect, bind []uint16
	}{
		{`connect = ["https", 25]`, []uint16{25, 443}, nil},
		{`connect = ["8000-8003", 8001]`, []uint16{8000, 8001, 8002, 8003}, nil},
		{`bind = ["19500-19501"]`, nil, []uint16{19500, 19501}},
		{"connect = [\"any\"]\nbind = [7]", []uint16{0}, []uint16{7}},
		{`bind = ["any", 7]`, nil, []uint16{0}},
	} {
		doc, ds := compileText(network(tt.text))
		if doc == nil || len(ds) > 0 {
			t.Errorf("%s: %s", tt.text, show(ds))
			continue
		}
		if n := doc.Policy.Profile("p").Network; !slices.Equal(n.Connect, tt.connect) || !slices.Equal(n.Bind, tt.bind) {
			t.Errorf("%s: %+v", tt.text, n)
		}
	}
	for text, want := range map[string]string{
		`connect = ["8010-8000"]`: "8000-8010",
		`connect = ["1-5000"]`:    `"any"`,
		`connect = [0]`:           "1 to 65535",
		`connect = ["htps"]`:      `"https"`,
		`bind = [true]`:           "range",
		`ports = [1]`:             "network { mode",
		`sockets = ["unx"]`:       "unix",
	} {
		if doc, ds := compileText(network(text)); doc != nil || len(ds) != 1 || !strings.Contains(ds[0].Detail, want) {
			t.Errorf("%s: want %q, got %s", text, want, show(ds))
		}
	}
}

// TestNetworkSockets: a word is a kind of socket that the profile may make.
func TestNetworkSockets(t *testing.T) {
	text := func(widens, mode, sockets string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\n  base = profile.line\n  widens = [" + widens + "]\n  because = \"x\"\n  network {\n    mode = \"" + mode + "\"\n    sockets = [" + sockets + "]\n  }\n}\n"
	}
	doc, ds := compileText(text(`"network"`, "host", `"unix", "udp", "netlink-route"`))
	if doc == nil || len(ds) > 0 {
		t.Fatal(show(ds))
	}
	if allow := doc.Policy.Profile("p").Syscalls.Allow; !slices.Equal(allow, []string{"@line", "@netlink-route", "@socket-udp", "@socket-unix", "@strict", "connect"}) {
		t.Errorf("%v", allow)
	}
	if _, ds := compileText(text("", "none", `"unix"`)); len(ds) != 1 || ds[0].Code != codeWidens {
		t.Errorf("unix sockets without a word in widens: %s", show(ds))
	}
	if doc, ds := compileText(text(`"network"`, "none", `"unix"`)); doc == nil || len(ds) > 0 {
		t.Errorf("unix sockets without a network: %s", show(ds))
	}
	for _, kind := range []string{"udp", "tcp", "netlink-route"} {
		if doc, ds := compileText(text(`"network"`, "none", `"`+kind+`"`)); doc != nil || len(ds) != 1 || ds[0].Code != codeReach {
			t.Errorf("%s sockets without a network: %s", kind, show(ds))
		}
	}
}

// TestPortsBringCalls: ports that are listed can be used: their calls come with them and
// widen nothing more; without the host's network they bring none.
func TestPortsBringCalls(t *testing.T) {
	text := func(network string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\n  base = profile.line\n  widens = [\"network\"]\n  because = \"x\"\n  network {\n    " + network + "\n  }\n}\n"
	}
	for network, want := range map[string][]string{
		"mode = \"host\"\nconnect = [25]":                      {"connect", "@socket-tcp"},
		"mode = \"host\"\nconnect = [\"any\"]":                 {"connect", "@socket-tcp"},
		"mode = \"host\"\nbind = [8080]":                       {"bind", "listen", "@socket-accept", "@socket-tcp"},
		"mode = \"host\"\nsockets = [\"udp\"]":                 {"connect", "@socket-udp"},
		"mode = \"host\"\nsockets = [\"netlink-route\"]":       {"@netlink-route"},
		"sockets = [\"unix\"]":                                 {"@socket-unix"},
		"mode = \"host\"\nconnect = [25]\nsockets = [\"tcp\"]": {"connect", "@socket-tcp"},
	} {
		doc, ds := compileText(text(network))
		if doc == nil || len(ds) > 0 {
			t.Errorf("%s: %s", network, show(ds))
			continue
		}
		allow := slices.DeleteFunc(doc.Policy.Profile("p").Syscalls.Allow, func(s string) bool { return s == "@line" || s == "@strict" })
		slices.Sort(want)
		if !slices.Equal(allow, want) {
			t.Errorf("%s: %v, want %v", network, allow, want)
		}
	}
}

// TestWayToTheNetwork: who allows a call that takes the network is told all of what that
// takes at once, also before the profile says that it widens anything, and following it leads out.
func TestWayToTheNetwork(t *testing.T) {
	for _, widens := range []string{"", "  widens = [\"syscalls\"]\n"} {
		_, ds := compileText(one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\n  base = profile.line\n" + widens + "  syscalls { allow = [\"socket\"] }\n}\n")
		if len(ds) != 1 {
			t.Errorf("%q: %s", widens, show(ds))
			continue
		}
		for _, part := range []string{`because = "..."`, `"network"`, `network { mode = "host" }`, `sockets = ["udp"]`, `connect = ["PORT"]`} {
			if !strings.Contains(ds[0].Detail, part) {
				t.Errorf("%q: %s", part, show(ds))
			}
		}
	}
	doc, ds := compileText(one("acl = acl.nobody\n  profile = profile.p") +
		"profile \"p\" {\n  base = profile.line\n  because = \"x\"\n  widens = [\"network\"]\n  network {\n    mode = \"host\"\n    connect = [\"25\"]\n  }\n}\n")
	if doc == nil || len(ds) > 0 {
		t.Error(show(ds))
	}
}

// TestPrivateNetwork: sockets in a network of a connection's own bring all that they are for; what could lead
// out of it is refused, and a base that has one is widened by the host's and by nothing that has less.
func TestPrivateNetwork(t *testing.T) {
	text := func(service, listen, body string) string {
		return strings.Replace(one("acl = acl.nobody\n  profile = profile.p\n"+service), "tcp://:79", listen, 1) + "profile \"p\" {\n  base = profile.line\n" + body + "\n}\n"
	}
	const private, relay = "widens = [\"network\"]\nnetwork {\n  mode = \"private\"\n  sockets = [\"tcp\"]\n}", `stdio = "relay"`
	for _, tt := range []struct{ service, listen string }{{relay, "tcp://:79"}, {relay, "unix:/run/x"}, {"", "unix:/run/x"}, {`stdio = "listen_fds"`, "unix:@x"}} {
		doc, ds := compileText(text(tt.service, tt.listen, private))
		if doc == nil || len(ds) > 0 {
			t.Errorf("%+v: %s", tt, show(ds))
			continue
		}
		if allow := doc.Policy.Profile("p").Syscalls.Allow; !slices.Equal(allow, []string{"@line", "@socket-accept", "@socket-tcp", "@strict", "bind", "connect", "listen"}) {
			t.Errorf("%v", allow)
		}
	}
	for _, tt := range []struct{ service, listen, body, code, says, next string }{
		{"", "tcp://:79", private, codeMeaning, "could aim that elsewhere", `stdio = "relay"`},
		{"", "unixpacket:@x", private, codeMeaning, "could aim that elsewhere", "listen on tcp or unix"},
		{relay, "udp://:79", "", codeMeaning, "no datagrams", `stdio = "socket"`},
		{relay, "unixpacket:@x", "", codeMeaning, "or packets", `stdio = "socket"`},
		{relay + "\n  stderr = \"client\"", "tcp://:79", "", codeMeaning, "not its 2", "remove stderr"},
		{relay, "tcp://:79", strings.Replace(private, "widens = [\"network\"]\n", "", 1), codeWidens, "grants more", `"network"`},
		{relay, "tcp://:79", strings.Replace(private, "sockets = [\"tcp\"]", "connect = [25]", 1), codeMeaning, "whose ports are all its own", "remove the ports"},
		{relay, "tcp://:79", strings.Replace(private, "\n}", "\n}\nsyscalls { allow = [\"socket\"] }", 1), codeWidens, "", "syscalls"},
		{relay, "tcp://:79", strings.Replace(strings.Replace(private, "\n}", "\n}\nsyscalls { allow = [\"socket\"] }", 1), `"network"]`, `"network", "syscalls"]`, 1), codeReach, "has a network of its own and allows socket, which make sockets that it does not hold", "in sockets"},
	} {
		if doc, ds := compileText(text(tt.service, tt.listen, tt.body)); doc != nil || len(ds) == 0 || ds[0].Code != tt.code || !strings.Contains(ds[0].Summary, tt.says) || !strings.Contains(ds[0].Detail, tt.next) {
			t.Errorf("%+v: got %s", tt, show(ds))
		}
	}
}

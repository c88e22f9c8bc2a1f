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
	if allow := doc.Policy.Profile("p").Syscalls.Allow; !slices.Equal(allow, []string{"@line", "@netlink-route", "@socket-udp", "@socket-unix", "@strict"}) {
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

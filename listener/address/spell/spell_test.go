package spell

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"casemate/listener/address"
)

func named(s string) (uint16, bool) {
	port, ok := map[string]uint16{"finger": 79, "ssh": 22, "kerberos-adm": 749}[s]
	return port, ok
}

func TestParse(t *testing.T) {
	addr := netip.MustParseAddr
	for in, want := range map[string]address.Listen{
		"tcp://:finger":            {Network: "tcp", Port: 79, LastPort: 79},
		"tcp4://:7000-7010":        {Network: "tcp4", Port: 7000, LastPort: 7010},
		"udp://192.0.2.1:79":       {Network: "udp", Addr: addr("192.0.2.1"), Port: 79, LastPort: 79},
		"tcp6://[fe80::1%eth0]:7":  {Network: "tcp6", Addr: addr("fe80::1%eth0"), Port: 7, LastPort: 7},
		"tcp://[::1]:7979":         {Network: "tcp", Addr: addr("::1"), Port: 7979, LastPort: 7979},
		"tcp6://[2001:db8::1]:ssh": {Network: "tcp6", Addr: addr("2001:db8::1"), Port: 22, LastPort: 22},
		"tcp://:kerberos-adm":      {Network: "tcp", Port: 749, LastPort: 749},
		"unix:/run/x.sock":         {Network: "unix", Path: "/run/x.sock"},
		"unixgram:@name":           {Network: "unixgram", Path: "@name"},
		"unixpacket:/x":            {Network: "unixpacket", Path: "/x"},
	} {
		got, err := Parse(in, named)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", in, got, err)
			continue
		}
		if err := Check(got); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		text, err := json.Marshal(got)
		var back address.Listen
		if err != nil || json.Unmarshal(text, &back) != nil || back != got {
			t.Errorf("%s: %s comes back as %+v (%v)", in, text, back, err)
		}
	}
}

// Each refusal says what to write instead.
func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "tcp://:7979",
		"79":                                  "tcp://:7979",
		"tcp/79":                              "tcp://:7979",
		"sctp://:79":                          "tcp, tcp4",
		"tcp:79":                              "tcp://ADDRESS:PORT",
		"tcp://79":                            "PORT",
		"tcp://[::1]":                         "PORT",
		"tcp://:0":                            "1 to 65535",
		"tcp://:65536":                        "1 to 65535",
		"tcp://:079":                          "as 79",
		"tcp://:fingr":                        "number",
		"tcp://:7-x":                          "number",
		"tcp://:9-7":                          "7-9",
		"tcp://:7-7":                          "one port",
		"tcp://:1-2000":                       "at most 1024",
		"tcp://*:79":                          "leave the address out",
		"tcp://localhost:79":                  "127.0.0.1 or [::1]",
		"tcp://::1:79":                        "brackets",
		"tcp://[192.0.2.1]:79":                "brackets",
		"tcp://[::1:79":                       "brackets",
		"tcp://[::ffff:1.2.3.4]:79":           "write 1.2.3.4",
		"tcp://[2001:db8::1%eth0]:79":         "write 2001:db8::1; socket { interface }",
		"tcp://[fe80::1]:79":                  "write tcp://[fe80::1%eth0]:PORT",
		"tcp://[fe80::1%2]:79":                "write tcp://[fe80::1%eth0]:PORT",
		"tcp://[fe80::1%a/b]:79":              "write tcp://ADDRESS:PORT",
		"tcp://[fe80::1%sixteen-letters.]:79": "change the network or the address",
		"tcp://0.0.0.0:79":                    "tcp4://:PORT",
		"udp4://[::]:79":                      "udp6://:PORT",
		"tcp4://[::1]:79":                     "change the network or the address",
		"udp6://127.0.0.1:79":                 "change the network or the address",
		"udp://224.0.0.1:79":                  "unicast",
		"tcp://[2001:DB8::1]:79":              "2001:db8::1",
		"tcp://192.0.2.1:79/x":                "ADDRESS:PORT",
		"tcp://01.2.3.4:79":                   "IPv4 address",
		"unix:///x":                           `"unix:/x"`,
		"unix:///x?mode=0660":                 "socket {",
		"unix://@x":                           `"unix:@x"`,
		"unix:@":                              "@NAME",
		"unix:":                               "absolute path",
		"unix:x":                              "absolute path",
		"unix:/a/../x":                        "absolute path",
		"unix:/\x00":                          "printable",
		"unix:/" + strings.Repeat("x", 107):   "107 bytes",
	} {
		if got, err := Parse(in, named); err == nil || got != (address.Listen{}) || !strings.Contains(err.(*Error).Next, want) {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
}

func TestCheckFindsFieldsThatContradict(t *testing.T) {
	for _, l := range []address.Listen{
		{}, {Network: "tcp"}, {Network: "tcp", Port: 79}, {Network: "tcp", Port: 9, LastPort: 7},
		{Network: "tcp", Port: 1, LastPort: 1, Path: "/x"}, {Network: "unix"}, {Network: "unix", Path: "/x", Port: 1},
		{Network: "t", Port: 1, LastPort: 1}, {Network: "tcp4", Addr: netip.IPv6Loopback(), Port: 1, LastPort: 1},
		{Network: "tcp", Addr: netip.IPv4Unspecified(), Port: 1, LastPort: 1},
	} {
		if Check(l) == nil {
			t.Errorf("%+v passed", l)
		}
		if l.Valid() {
			t.Errorf("%+v is valid", l)
		}
	}
}

// What Parse takes, String writes back: one spelling for each address.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"tcp://:79", "udp6://[::1]:7-9", "unix:/run/x", "unixgram:@n", "tcp4://192.0.2.1:finger"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s, nil)
		if raw := new(address.Listen); raw.UnmarshalText([]byte(s)) == nil && (err != nil || *raw != l) {
			t.Fatalf("%q: a document takes it as %+v, and people may not write it so: %v", s, raw, err)
		}
		if err != nil {
			if l != (address.Listen{}) {
				t.Fatalf("%q: an error and %+v", s, l)
			}
			return
		}
		if l.String() != s {
			t.Fatalf("%q comes back as %q", s, l)
		}
		if len(l.Endpoints()) == 0 || Check(l) != nil || !l.Valid() {
			t.Fatalf("%q: %v, %v", s, l.Endpoints(), Check(l))
		}
	})
}

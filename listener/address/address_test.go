package address

import (
	"slices"
	"strings"
	"testing"

	"casemate/listener/endpoint"
)

func read(t *testing.T, s string) (l Listen) {
	t.Helper()
	if err := l.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return l
}

// A document takes an address as String writes it, and nothing else.
func TestUnmarshalRefuses(t *testing.T) {
	for _, s := range []string{
		"", ":", "tcp", "tcp:", "tcp://", "tcp://:", "tcp:79", "t://:79", "tcp//:79", "tcp://:079", "tcp://:0", "tcp://:65536", "tcp://:-1", "tcp://:7-7", "tcp://:9-7",
		"tcp://:1-1025", "tcp://:finger", "tcp://[192.0.2.1]:79", "tcp://::1:79", "tcp://[::ffff:1.2.3.4]:79", "tcp://[fe80::1%0]:79", "tcp://[fe80::1]:79", "tcp://[2001:db8::1%x]:79", "tcp://0.0.0.0:79",
		"tcp4://[::1]:79", "udp6://127.0.0.1:79", "udp://224.0.0.1:79", "tcp://[2001:DB8::1]:79", "unix:", "unix:x", "unix:@", "unix:///x", "unix:/", "unix:/a/../x",
		"unix:/a\nb", "vsock:", "vsock:0", "vsock:07", "vsock:+7", "vsock::7", "vsock:4294967295", "vsock:4294967295:7", "vsock:01:7", "vsock:1:2:3", "vsock://:7", "vsock:any:7", "unix:/" + strings.Repeat("x", endpoint.MaxPath),
	} {
		l := Listen{Network: "tcp", Port: 1, LastPort: 1}
		if err := l.UnmarshalText([]byte(s)); err == nil || l.Port != 1 {
			t.Errorf("%q is %+v", s, l)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for in, want := range map[string][]string{
		"tcp://:79":              {"tcp4/0.0.0.0:79", "tcp6/[::]:79"},
		"udp://:7-8":             {"udp4/0.0.0.0:7", "udp6/[::]:7", "udp4/0.0.0.0:8", "udp6/[::]:8"},
		"tcp4://:79":             {"tcp4/0.0.0.0:79"},
		"tcp6://:79":             {"tcp6/[::]:79"},
		"tcp://192.0.2.1:79":     {"tcp4/192.0.2.1:79"},
		"tcp://[2001:db8::1]:79": {"tcp6/[2001:db8::1]:79"},
		"tcp6://[::1]:65535":     {"tcp6/[::1]:65535"},
		"unixgram:/run/x":        {"unixgram:/run/x"},
		"unix:@x":                {"unix:@x"},
		"vsock:7000":             {"vsock:7000"},
		"vsock:3:4294967294":     {"vsock:3:4294967294"},
		"vsock:0:1":              {"vsock:0:1"},
	} {
		l := read(t, in)
		var got []string
		for _, e := range l.Endpoints() {
			got = append(got, e.Key())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
	both, six := read(t, "tcp://:79"), read(t, "tcp6://:79")
	if e := both.Endpoints(); both.Optional(e[0]) || !both.Optional(e[1]) || six.Optional(six.Endpoints()[0]) {
		t.Error("only the second family of a word that names neither is optional")
	}
}

package observe

import (
	"testing"
)

func TestSockaddr(t *testing.T) {
	for in, want := range map[string][2]string{
		"":                                 {"", ""},
		"\x01\x00/run/x.sock\x00junk":      {"unix /run/x.sock", "/run/x.sock"},
		"\x01\x00\x00abstract":             {`unix @"abstract"`, ""},
		"\x02\x00\x00\x50\x7f\x00\x00\x01": {"inet 127.0.0.1:80", ""},
		"\x0a\x00\x00\x35\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01": {"inet6 [::1]:53", ""},
		"\x10\x00\x00\x00": {"family 16", ""},
		"\x00\x00":         {"unspec", ""},
		"\x02\x00\x00":     {"family 2", ""},
	} {
		if text, path := sockaddr([]byte(in)); text != want[0] || path != want[1] {
			t.Errorf("%q: %q %q, want %q", in, text, path, want)
		}
	}
}

func FuzzSockaddr(f *testing.F) {
	f.Add([]byte("\x01\x00/run/x.sock\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		text, path := sockaddr(b)
		if path != "" && text != "unix "+path || text == "" && len(b) >= 2 {
			t.Errorf("%q: %q %q", b, text, path)
		}
	})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"/": "/", "//a/./b/": "/a/b", "/a/../b": "/a/../b", "/.": "/"} {
		if got := clean(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

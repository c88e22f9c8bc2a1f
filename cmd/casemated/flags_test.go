package main

import (
	"strings"
	"testing"
)

// TestEmptyFlags: an empty or malformed value is an error and never the default, which
// for --digest would be any policy.
func TestEmptyFlags(t *testing.T) {
	good := "sha256:" + strings.Repeat("0a", 32)
	for _, c := range []struct {
		args []string
		want string // "" is well
	}{
		{[]string{"--digest", good, "p.json"}, ""},
		{[]string{"p.json"}, ""},
		{[]string{"--digest", ""}, "--digest is empty"},
		{[]string{"--digest=", "p.json"}, "--digest is empty"},
		{[]string{"p.json", "--digest="}, "--digest is empty"},
		{[]string{"--digest", good, "--digest="}, "--digest is empty"},
		{[]string{"--digest", strings.ToUpper(good)}, "write sha256: and 64 hexadecimal digits"},
		{[]string{"--digest", good[:70]}, "write sha256: and 64 hexadecimal digits"},
		{[]string{"--digest", "p.json"}, "write sha256: and 64 hexadecimal digits"},
		{[]string{"--trust", "keys", "p.json"}, ""},
		{[]string{"--trust=", "p.json"}, "--trust is empty"},
		{[]string{"--control", ""}, "--control is empty"},
		{[]string{"--log="}, "--log is empty"},
		{[]string{"--libexec="}, "--libexec is empty"},
		{[]string{""}, "a PATH is empty"},
	} {
		o, err := parse(c.args)
		if c.want == "" && (err != nil || o == nil) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

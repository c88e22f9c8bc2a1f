package main

import (
	"fmt"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/lang"
	"casemate/sandbox/learn"
	"casemate/sandbox/seccomp"
)

// met are failures of all kinds: every call by every error that tells, with paths, addresses and arguments
// that remedies tell apart.
func met(do func(*learn.Fact)) {
	args := map[string][][6]uint64{"socket": {{1, 1}, {2, 1}, {10, 2}, {16, 3, 0}, {16, 3, 9}, {17, 3}, {2, 3, 1}}, "ioctl": {{0, 0x5402}, {0, 0x1234}, {0, 0x8912}},
		"prctl": {{15}, {36, 1}}, "setsockopt": {{0, 1, 2}, {0, 1, 16}, {0, 0, 1}}, "openat": {{0, 0, 0o101}, {0, 0, 1}}, "sendto": {{0, 0, 0, 0, 1, 16}}}
	for _, call := range seccomp.Names() {
		for _, raw := range append([][6]uint64{{}}, args[call]...) {
			f := learn.Fact{Call: call, Args: learn.Args(call, raw)}
			paths := []string{"", "/opt/spool/x", "/tmp/x", "/proc/self/x", "/dev/x", "/dev/log", "/dev/ptmx", "/dev/shm/x", "/dev/urandom", "/srv/a\"${b}%{\\\u200b", "/srv/a\xff", "/x"}
			addrs := []string{""}
			if call == "connect" || call == "bind" || call == "listen" {
				paths = append(paths[:2], "/dev/log")
				addrs = []string{"", "unix", "netlink", "inet 192.0.2.1:53", "inet6 [::]:0"}
			} else if _, _, ok := learn.PathAt(call, false); !ok {
				paths = paths[:1]
			}
			for _, f.Path = range paths {
				for _, f.Addr = range addrs {
					for f.Err = 1; f.Err < 134; f.Err++ {
						if f.Tells() {
							do(&f)
						}
					}
					f.Err, f.Killed = 0, true
					do(&f)
					f.Killed = false
				}
			}
		}
	}
}

// TestRemediesPaste: whatever trace says to write compiles in a profile on the one that was traced, under every
// shipped profile and every kind of network.
func TestRemediesPaste(t *testing.T) {
	const head = "policy { edition = 1 }\nservice \"e\" {\nlisten = [\"tcp://:7\"]\nbuiltin = \"echo\"\nacl = acl.anyone\n}\n"
	compile := func(text string) (*policy.Document, []policy.Diagnostic) {
		return lang.Compile([]policy.SourceFile{{Name: "a.cm.hcl", Data: []byte(text)}})
	}
	for _, shipped := range lang.ShippedProfiles() {
		for _, network := range []string{"none", "listener", "host"} {
			base := fmt.Sprintf("profile \"own\" {\nbase = profile.%s\nwidens = [\"network\"]\nbecause = \"a test\"\nnetwork { mode = %q }\n}\n", shipped.Name, network)
			doc, _ := compile(head + base)
			if doc == nil {
				continue // the profile has calls that reach more
			}
			p := doc.Policy.Profile("own")
			rules, err := calls.Resolve(&p.Syscalls)
			if err != nil {
				t.Fatal(err)
			}
			c := &learn.Confines{Profile: p, Rules: rules, Exists: func(string) bool { return true }}
			said := map[string]string{}
			met(func(f *learn.Fact) {
				r := c.Remedy(f)
				if said[r] == "" {
					said[r] = f.String() + " " + f.Outcome()
				}
			})
			var text strings.Builder
			text.WriteString(head + base)
			n := 0
			for r, of := range said {
				if !strings.ContainsAny(r, "=\n") {
					if !strings.HasPrefix(r, "no") {
						t.Errorf("%s: neither HCL nor a word that there is none: %s", of, r)
					}
					continue
				}
				n++
				if !strings.Contains(r, "because") {
					r += "\nbecause = \"a test\""
				}
				one := fmt.Sprintf("profile \"p%d\" {\nbase = profile.own\n%s\n}\n", n, r)
				text.WriteString(one)
			}
			doc, found := compile(text.String())
			for _, d := range found {
				if policy.HasErrors([]policy.Diagnostic{d}) {
					t.Errorf("%s, %s: %s: %s\n%s", shipped.Name, network, d.Summary, d.Detail, d.Snippet)
				}
			}
			if n < 20 || doc == nil {
				t.Errorf("%s, %s: %d texts, compiled %t", shipped.Name, network, n, doc != nil)
			}
		}
	}
}

package lang

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/listener/address"
	"casemate/listener/address/spell"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
)

// newest is the last Landlock ABI of the tables below.
const newest = 7

// missing is what a kernel of that ABI lacks for a profile: the parts that
// best_effort gives up, and the one that it is refused for.
func missing(t *testing.T, p sandbox.Profile, c sandbox.Command, abi int) (lost []string, refused, text string) {
	t.Helper()
	c.Path, c.Argv = "/bin/true", []string{"true"}
	named, err := calls.Resolve(&p.Syscalls)
	if err != nil {
		t.Fatal(err)
	}
	numbered, err := seccomp.Numbered(named)
	if err != nil {
		t.Fatal(err)
	}
	p.Syscalls.Filter, p.Syscalls.Rules = "own", filter.Encode(numbered)
	plan, err := sandbox.NewPlan(p, c)
	if err == nil {
		plan.Filter, err = launch.Facts(plan.Shape(abi))
	}
	if err != nil {
		t.Fatal(err)
	}
	if text := plan.Filter.Refused; text != "" {
		refused, _, _ = strings.Cut(text, ":")
		return nil, refused, text
	}
	for _, l := range plan.Filter.Losses {
		name, _, _ := strings.Cut(l, ":")
		lost = append(lost, name)
	}
	return lost, "", ""
}

// givenUp is what a shipped profile of the host's network says it can do without, on the kernels without it:
// ftpd passes descriptors on with a call that can name abstract sockets of the host, as programs under the
// classic ones may, and tftpd connects its datagram sockets with the one that a TCP client's could be re-aimed
// with. rshd connects to some ports alone.
func givenUp(profile string, abi int) (parts []string) {
	if abi < 4 && slices.Contains([]string{"classic_rshd", "classic_tftpd", "tftpd"}, profile) {
		parts = append(parts, "landlock.net")
	}
	if abi < 6 && slices.Contains([]string{"classic_ftpd", "classic_rshd", "classic_tftpd", "ftpd"}, profile) {
		parts = append(parts, "landlock.scopes")
	}
	return parts
}

// Every shipped profile loads on every kernel that has Landlock at all, with
// nothing lost but a grant (TestLogNeedsLandlock): what an old one does not know is held by
// the namespaces and the filter.
func TestShippedProfilesOnEveryABI(t *testing.T) {
	profiles := ShippedProfiles()
	if len(profiles) < 6 {
		t.Fatalf("%d shipped profiles", len(profiles))
	}
	for _, p := range profiles {
		shipped := p.BestEffort
		for _, c := range []sandbox.Command{{}, {Listens: true}} {
			for abi := 1; abi <= newest; abi++ {
				if lost, refused, text := missing(t, p, c, abi); !slices.Equal(lost, givenUp(p.Name, abi)) || refused != "" {
					t.Errorf("profile %s, listens %v, ABI %d: lost %q, refused %s", p.Name, c.Listens, abi, lost, text)
				}
			}
			if _, refused, _ := missing(t, p, c, 0); refused != "landlock" {
				t.Errorf("profile %s without Landlock: refused for %q", p.Name, refused)
			}
			p.BestEffort = []string{"landlock"}
			if lost, refused, _ := missing(t, p, c, 0); refused != "" || !slices.Equal(lost, []string{"landlock"}) {
				t.Errorf("profile %s without Landlock, best effort: lost %q, refused for %q", p.Name, lost, refused)
			}
			p.BestEffort = shipped
		}
	}
}

// What Landlock alone holds is required, each part from the ABI on that has it,
// and given up by its own name.
func TestRightsThatNothingElseHolds(t *testing.T) {
	host := func(ports string) string {
		return "base = profile.server\n widens = [\"network\", \"syscalls\"]\n because = \"x\"\n network {\n mode = \"host\"\n" + ports + "\n }\n "
	}
	for _, c := range []struct {
		name, block string
		command     sandbox.Command
		needs       []string // parts that nothing else holds
		text        string   // in the refusal of ABI 2
	}{
		{"host without a way to connect", "base = profile.line\n widens = [\"network\"]\n because = \"x\"\n network { mode = \"host\" }", sandbox.Command{}, nil, ""},
		{"ports to connect to", host("connect = [25]") + "syscalls { allow = [\"@socket-client\"] }", sandbox.Command{}, []string{"landlock.net", "landlock.scopes"}, `connect = ["any"]`},
		{"any port to connect to", host("connect = [\"any\"]") + "syscalls { allow = [\"@socket-client\"] }", sandbox.Command{}, []string{"landlock.scopes"}, "abstract unix sockets of the host"},
		{"any port to connect to, none to bind", host("connect = [\"any\"]") + "syscalls { allow = [\"@socket-server\"] }", sandbox.Command{}, []string{"landlock.net", "landlock.scopes"}, `bind = ["any"]`},
		{"any port to bind, none to connect to", host("bind = [\"any\"]") + "syscalls { allow = [\"@socket-server\"] }", sandbox.Command{}, []string{"landlock.net", "landlock.scopes"}, `connect = ["any"]`},
		{"any port of both", host("connect = [\"any\"]\n bind = [\"any\"]") + "syscalls { allow = [\"@socket-server\"] }", sandbox.Command{}, []string{"landlock.scopes"}, "abstract"},
		{"connect without a network", host("") + "syscalls { allow = [\"connect\"] }\n #none", sandbox.Command{}, []string{"landlock.net"}, "take connect out"},
		{"unix sockets of its own without a network", host("") + "syscalls { allow = [\"@socket-server\"] }\n #none", sandbox.Command{}, []string{"landlock.net", "landlock.scopes"}, "take connect out"},
		{"passing descriptors", host("") + "syscalls { allow = [\"@fd-passing\"] }\n #none", sandbox.Command{}, nil, ""},
		{"a unix datagram listener", "base = profile.line\n widens = [\"network\"]\n network { mode = \"listener\" }", sandbox.Command{Listens: true, UnixDatagrams: true}, []string{"landlock.scopes"}, "another network"},
		{"calls that the filter does not see", host("connect = [\"any\"]\n bind = [\"any\"]") + "syscalls { allow = [\"io_uring_setup\"] }\n #none", sandbox.Command{}, []string{"landlock.net", "landlock.scopes"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, ds := compileText("policy { edition = 1 }\nprofile \"p\" {\n " + c.block + "\n}\nservice \"s\" {\n listen = [\"tcp://:7\"]\n command = [\"/bin/true\"]\n user = \"nobody\"\n profile = profile.p\n}\n")
			if doc == nil {
				t.Fatal(ds)
			}
			p := *doc.Policy.Profile("p")
			if strings.Contains(c.block, "#none") { // the language refuses it already; the broker decides on the compiled policy
				p.Network = sandbox.Network{Mode: "none"}
			}
			from := map[string]int{"landlock.net": 4, "landlock.scopes": 6}
			for abi := 1; abi <= newest; abi++ {
				var absent []string
				for _, part := range c.needs {
					if abi < from[part] {
						absent = append(absent, part)
					}
				}
				first := ""
				if len(absent) > 0 {
					first = absent[0]
				}
				p.BestEffort = nil
				_, refused, text := missing(t, p, c.command, abi)
				if refused != first || abi == 2 && !strings.Contains(text, c.text) {
					t.Errorf("ABI %d: refused for %q, want %q and %q: %s", abi, refused, first, c.text, text)
				}
				if first != "" {
					for _, want := range []string{fmt.Sprintf("ABI %d,", abi), fmt.Sprintf("takes %d ", from[first]), fmt.Sprintf("best_effort = [%q]", first)} {
						if !strings.Contains(text, want) {
							t.Errorf("ABI %d: the refusal does not say %q: %s", abi, want, text)
						}
					}
				}
				for _, words := range [][]string{{"landlock"}, absent} {
					p.BestEffort = words
					if lost, refused, text := missing(t, p, c.command, abi); refused != "" || !slices.Equal(lost, absent) {
						t.Errorf("ABI %d, best effort %q: lost %q, want %q (refused %s)", abi, words, lost, absent, text)
					}
				}
			}
		})
	}
}

// TestLogNeedsLandlock: nothing but Landlock holds what the calls of /dev/log reach, so a
// kernel without its scopes serves none: the profile is refused for it by name, or, as
// the shipped login, gives up that alone. Whoever has datagram sockets has none anywhere.
func TestLogNeedsLandlock(t *testing.T) {
	for _, p := range ShippedProfiles() {
		for abi := 1; abi <= newest; abi++ {
			shipped, refused, text := missing(t, p, sandbox.Command{Log: p.Files.Log}, abi)
			want := givenUp(p.Name, abi)
			if p.Files.Log && abi < 6 {
				want = append(want, "files.log")
			}
			if slices.Sort(shipped); refused != "" || !slices.Equal(shipped, slices.Sorted(slices.Values(want))) {
				t.Errorf("profile %s, ABI %d: lost %q, refused %s", p.Name, abi, shipped, text)
			}
			p.Files.Log, p.BestEffort = true, givenUp(p.Name, 1)
			lost, refused, text := missing(t, p, sandbox.Command{Log: true}, abi)
			if (refused == "files.log") != (abi < 6) || refused == "" && !slices.Equal(lost, givenUp(p.Name, abi)) || refused != "" && !strings.Contains(text, "log = false") {
				t.Errorf("profile %s with log, ABI %d: lost %q, refused %s", p.Name, abi, lost, text)
			}
			if _, refused, text := missing(t, p, sandbox.Command{}, abi); refused != "" {
				t.Errorf("profile %s without its log, ABI %d: %s", p.Name, abi, text)
			}
			p = *shippedProfile(t, p.Name)
		}
	}
	for _, other := range spell.Networks() {
		s := policy.Service{Command: []string{"/bin/true"}, Listen: []address.Listen{{Network: "tcp"}, {Network: other}}}
		if want := !s.Listen[1].Datagram(); s.Syslog(shippedProfile(t, "login")) != want || s.Syslog(shippedProfile(t, "server")) {
			t.Errorf("tcp and %s: has a /dev/log: %v", other, !want)
		}
	}
}

// shippedProfile is one of ShippedProfiles, new.
func shippedProfile(t *testing.T, name string) *sandbox.Profile {
	t.Helper()
	all := ShippedProfiles()
	i := slices.IndexFunc(all, func(p sandbox.Profile) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no profile %q", name)
	}
	return &all[i]
}

// The words of widens and of best_effort are two halves of one table, and a
// wrong one is answered with the right one.
func TestLayerWords(t *testing.T) {
	for _, c := range []struct{ attribute, hint string }{
		{`best_effort = ["landlock.nets"]`, "landlock.net"},
		{`best_effort = ["landlock.ioctl"]`, "landlock.scopes"},
		{`best_effort = ["files"]`, "resources.open_files"},
		{`widens = ["landlock"]`, "user_namespace"},
	} {
		doc, ds := compileText("policy { edition = 1 }\nprofile \"p\" {\n base = profile.line\n " + c.attribute + "\n}\nservice \"s\" {\n listen = [\"tcp://:7\"]\n command = [\"/bin/true\"]\n user = \"nobody\"\n profile = profile.p\n}\n")
		if doc != nil || len(ds) == 0 || !strings.Contains(fmt.Sprint(ds), c.hint) {
			t.Errorf("%s: %v, want %q suggested", c.attribute, ds, c.hint)
		}
	}
}

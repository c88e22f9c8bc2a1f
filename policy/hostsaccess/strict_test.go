package hostsaccess

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/policy/hostsaccess/fuzzed"
)

// TestRefusals: each quirk has its line, and says what to write instead.
func TestRefusals(t *testing.T) {
	long := "sshd: " + strings.Repeat("x", 2045) + "\n"
	for _, c := range []struct{ allow, deny, want string }{
		{"ALL: 10.1.2.3/24\n", "", "hosts.allow:1: \"10.1.2.3/24\" has bits of a host in it, and never matches: write 10.1.2.0/24, or 10.1.2.3"},
		{"# x\nALL: 0.0.0.0/0\n", "", "hosts.allow:2: \"0.0.0.0/0\" never matches: write 0.0.0.0/0.0.0.0"},
		{"ALL: 10.1.2.3/255.255.255.255\n", "", "write 10.1.2.3"},
		{"ALL: 10.0.0.0/255.0.255.0\n", "", "a mask with holes"},
		{"ALL: 10.0.0.0/8x\n", "", "write a length from 1 to 32"},
		{"ALL: 10.0.0.0/\n", "", "write a length"},
		{"ALL: [2001:db8::]/x\n", "", "may stand for every address: write a length from 0 to 128"},
		{"ALL: 012.1.2.0/24\n", "", "octal or hexadecimal numbers: write 10.1.2.0"},
		{"ALL: 0xa.1.2.0/24\n", "", "write 10.1.2.0"},
		{"ALL: 010.1.2.3\n", "", "without leading zeros"},
		{"ALL: 2001:db8::1\n", "", "2001:db8::1 is split at its colons: write [2001:db8::1]"},
		{"ALL: [2001:db8::1\n", "", "brackets do not match"},
		{"ALL: x]: deny\n", "", "brackets do not match"},
		{"ALL: 10.1.*\n", "", "matches host names as well as addresses"},
		{"ALL: .2.3\n", "", "matches the end of an address"},
		{"ALL: host.\n", "", "matches the beginning of a name"},
		{" # ALL: ALL\n", "", "the # is part of the rule"},
		{"ALL: 10.1.2.3 # x\n", "", "comments are lines that begin with #"},
		{"# note \\\nALL: ALL\n", "", "swallows line 2: take the \\ off"},
		{"ALL: 10.1.2.3", "", "no newline at its end"},
		{long, "", "longer than 2047 bytes"},
		{"", "ALL: 10.1.2.3", "in hosts.deny everybody is denied"},
		{"sshd 10.1.2.3\n", "", "no colon"},
		{": ALL\n", "", "the daemon list is empty"},
		{"ALL:\n", "", "the client list is empty"},
		{"ALL: EXCEPT 10.1.2.3\n", "", "begins with EXCEPT"},
		{"ALL: ALL EXCEPT\n", "", "excepts nothing: remove it"},
		{"ALL: ALL: allow: severity info\n", "", "\"allow\" is not the last one, which denies"},
		{"ALL: ALL:\n", "", "an option is empty, which denies"},
		{"ALL: ALL: alow\n", "", "there is no option \"alow\", which denies"},
		{"ALL: ALL: umask 999\n", "", "does not take \"999\", which denies"},
		{"ALL: root@10.1.2.3\n", "", "write ALL@ or the host alone"},
		{"ALL: @friends\n", "", "netgroup"},
		{"ALL: /etc/friends\n", "", "file of patterns"},
		{"ALL: ALL: aclexec x\n", "", "\"aclexec\" is not carried over"},
		{"ALL: ALL: spawn x\n", "", "no shell runs"},
		{"ALL: ALL: twist x\n", "", "with command = [...]"},
		{"ALL: ALL: user nobody\n", "", "write user in the service"},
		{"ALL: ALL: group nogroup\n", "", "write group in the service"},
		{"", "ALL: .evil.example\n", "hosts.deny:1: a client gets around the rule by having no name in the DNS: add UNKNOWN and PARANOID"},
		{"ALL: ALL EXCEPT .evil.example\n", "", "gets around the rule"},
		{"ALL: LOCAL\n", "", "names without a dot"},
		{"KNOWN: ALL\n", "", "no wildcard for daemons"},
		{"ALL: ALL\r\n", "", "carriage return"},
		{"ALL: h*t.example.org\n", "", "a wildcard within a name"},
	} {
		r := Translate(Parse("hosts.allow", []byte(c.allow)), Parse("hosts.deny", []byte(c.deny)))
		found := false
		var all []string
		for _, f := range r.Faults {
			all = append(all, f.Error())
			found = found || strings.Contains(f.Error(), c.want)
			if f.Line < 1 || f.Instead == "" {
				t.Errorf("%q: %v has no line or no way out", c.allow+c.deny, f)
			}
		}
		if !found {
			t.Errorf("%q: no %q in\n%s", c.allow+c.deny, c.want, strings.Join(all, "\n"))
		}
	}
	for _, good := range []string{
		"", "# comment\n\nALL: ALL\n", "sshd, in.telnetd: 10.1.2.0/24 192.0.2. [2001:db8::]/32 .example.org: allow\n", "ALL EXCEPT sshd: 10.1.2.3\n",
		"ALL: ALL EXCEPT 10.0.0.0/8 EXCEPT 10.1.2.3\n", "sshd@192.0.2.1: *.example.org\n", "ALL: \\\n  10.1.2.3\n", "ALL: UNKNOWN PARANOID: deny\n", "22: ALL@10.1.2.3\n", "ALL: 0.0.0.0/0.0.0.0\n", "ALL: 10.0.0.0/255.0.0.0\n",
	} {
		if r := Translate(Parse("hosts.allow", []byte(good)), nil); len(r.Faults) > 0 {
			t.Errorf("%q: %v", good, r.Faults)
		}
	}
}

var (
	fuzzDaemons = []string{"sshd", "in.ftpd", "rpcbind", "in.other", "other", "ssh.x"}
	fuzzAddrs   = []string{"10.1.2.3", "10.1.2.4", "10.9.9.9", "192.0.2.77", "2001:db8::5", "2001:db9::1", "::1", "127.0.0.1", "::10.1.2.3"}
	fuzzNames   = []string{"unknown", "paranoid", "host.example.org", "a.example.org", "x.example.net", "10.1.evil.example.net", "example.org", strings.Repeat("l", 60) + "." + strings.Repeat("o", 70) + ".example.org"}
	fuzzServers = []string{"192.0.2.1", "192.0.2.9", "198.51.100.1"}
)

// TestStrictIsNeverMoreOpen: over fuzzed tables, what the translation admits, libwrap
// admits; and where the tables have no fault, both decide the same. The list for daemons
// that nobody names is no more open for any such daemon.
// CASEMATE_HOSTS_TABLES=200000 asks for more tables.
func TestStrictIsNeverMoreOpen(t *testing.T) {
	tables := fromEnv(t, "CASEMATE_HOSTS_TABLES", 20000)
	wild := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(17, uint64(tables))), Files: []string{"/f"}}
	clean, allowed := 0, 0
	for i := range tables {
		var a, d string
		if i%3 == 0 {
			a, d = wild.Table(), wild.Table()
		} else {
			a, d = fuzzed.Tame{Generator: wild}.Table(), fuzzed.Tame{Generator: wild}.Table()
		}
		allow, deny := Parse("hosts.allow", []byte(a)), Parse("hosts.deny", []byte(d))
		rules := Translate(allow, deny)
		if len(rules.Faults) == 0 {
			clean++
		}
		for range 6 {
			q := Request{Daemon: wild.Pick(fuzzDaemons...), Addr: wild.Pick(fuzzAddrs...), Name: wild.Pick(fuzzNames...), ServerAddr: wild.Pick(fuzzServers...), ServerPort: 22 + wild.IntN(3)}
			want := Decide(allow, deny, q, nil)
			got := rules.ask(t, q, q.Daemon, q.ServerPort)
			others := rules.ask(t, q, "", 0)
			named := false
			for _, n := range rules.Daemons() {
				named = named || n == q.Daemon
			}
			if got && !want.Allow || others && !want.Allow && !named {
				t.Fatalf("%+v: more open (%v, %v), libwrap %+v\nallow %q\ndeny  %q\nfaults %v", q, got, others, want, a, d, rules.Faults)
			}
			if surprise := len(q.Name) > nameRoom; got != want.Allow && len(softened(rules.Faults)) == 0 && !surprise {
				t.Fatalf("%+v: %v, libwrap %+v\nallow %q\ndeny  %q", q, got, want, a, d)
			}
			if got {
				allowed++
			}
		}
	}
	t.Logf("%d tables, %d of them without a fault; %d of %d requests admitted", tables, clean, allowed, 6*tables)
	if clean*4 < tables || allowed*10 < tables {
		t.Errorf("%d of %d tables are clean, %d requests admitted: that shows little", clean, tables, allowed)
	}
}

// softened are the faults that change decisions: quirks do not.
func softened(faults []Fault) (out []Fault) {
	for _, f := range faults {
		if f.Kind == Lost {
			out = append(out, f)
		}
	}
	return out
}

// ask decides with the acl package's own matcher.
func (r *Rules) ask(t *testing.T, q Request, daemon string, port int) bool {
	l, origins := r.List(daemon, port)
	if len(origins) != len(l.Rules) {
		t.Fatalf("%d origins of %d rules", len(origins), len(l.Rules))
	}
	m, err := decide.Compile(&l)
	if err != nil {
		t.Fatalf("%v: %+v", err, l)
	}
	return m.Decide(q.Client()).Verdict == acl.Allow
}

func TestClient(t *testing.T) {
	for name, state := range map[string]decide.NameState{"": decide.Unknown, "unknown": decide.Unknown, "PARANOID": decide.Paranoid, "a.example": decide.Known, "a b": decide.NoAnswer, strings.Repeat("a.", 70) + "b": decide.NoAnswer} {
		if c := (Request{Addr: "::ffff:10.1.2.3", Name: name}).Client(); c.Name.State != state || c.Addr != netip.MustParseAddr("10.1.2.3") {
			t.Errorf("%q: %+v", name, c)
		}
	}
}

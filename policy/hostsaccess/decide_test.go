package hostsaccess

import (
	"math/rand/v2"
	"strings"
	"testing"

	"casemate/policy/hostsaccess/fuzzed"
)

// ask decides for sshd on one line: "10.1.2.3", "10.1.2.3 host.example.org".
func ask(allow, deny, client string, w *World) Decision {
	addr, name, _ := strings.Cut(client, " ")
	return Decide(Parse("hosts.allow", []byte(allow)), Parse("hosts.deny", []byte(deny)),
		Request{Daemon: "sshd", Addr: addr, Name: name, ServerAddr: "192.0.2.1", ServerPort: 22}, w)
}

// TestQuirks pins what tcpdmatch cannot show, or shows otherwise than a daemon has it: the
// local port, commands that fail, and accounts.
func TestQuirks(t *testing.T) {
	fails := &World{Command: func(string) bool { return false }}
	runs := &World{Command: func(string) bool { return true }, User: func(n string) bool { return n == "nobody" }, Group: func(n string) bool { return n == "nogroup" }}
	for _, c := range []struct {
		name, allow, deny string
		w                 *World
		allowed           bool
		rule              int
		unsure            bool
	}{
		{"port", "22: ALL\n", "ALL: ALL\n", nil, true, 1, false},
		{"another port", "23: ALL\n", "ALL: ALL\n", nil, false, 1, false},
		{"port as strtoul reads it", "-4294967274: ALL\n", "ALL: ALL\n", nil, true, 1, false},
		{"port with server", "22@192.0.2.: ALL\n", "ALL: ALL\n", nil, true, 1, false},
		{"a failed aclexec in hosts.allow goes on to hosts.deny", "ALL: ALL: aclexec x\nALL: ALL\n", "ALL: ALL\n", fails, false, 1, false},
		{"a failed aclexec in hosts.deny admits", "", "ALL: ALL: aclexec x\nALL: ALL\n", fails, true, 0, false},
		{"a failed aclexec is not forgotten", "ALL: ALL: aclexec x\n", "ALL: ALL: severity info\n", fails, true, 0, false},
		{"aclexec before allow decides nothing", "ALL: ALL: aclexec x: allow\n", "ALL: ALL\n", fails, true, 1, false},
		{"aclexec that ends with 0", "ALL: ALL: aclexec x\n", "ALL: ALL\n", runs, true, 1, false},
		{"aclexec nobody runs", "ALL: ALL: aclexec x\n", "ALL: ALL\n", nil, false, 1, true},
		{"aclexec nobody runs in hosts.deny", "", "ALL: ALL: aclexec x\n", nil, false, 1, true},
		{"aclexec nobody runs, and nothing denies", "ALL: ALL: aclexec x\n", "", nil, true, 1, false},
		{"user that is there", "ALL: ALL: user nobody.nogroup\n", "ALL: ALL\n", runs, true, 1, false},
		{"user that is not there", "ALL: ALL: user nosuch\n", "ALL: ALL\n", runs, false, 1, false},
		{"user nobody knows of", "ALL: ALL: user nobody\n", "ALL: ALL\n", nil, false, 1, true},
		{"netgroup nobody knows of, to admit", "ALL: @trusted\n", "ALL: ALL\n", nil, false, 1, false},
		{"netgroup nobody knows of, to deny", "", "ALL: @bad\n", nil, false, 1, true},
		{"netgroup nobody knows of, as an exception", "ALL: ALL EXCEPT @bad\n", "ALL: ALL\n", nil, false, 1, false},
		{"netgroup nobody knows of, excepted from a denial", "", "ALL: ALL EXCEPT @good\n", nil, false, 1, true},
		{"file nobody reads", "ALL: /etc/friends\n", "ALL: ALL\n", nil, false, 1, false},
		{"twist", "ALL: ALL: twist /bin/echo\n", "", nil, false, 1, false},
	} {
		d := ask(c.allow, c.deny, "10.1.2.3", c.w)
		rule := 0
		if d.Rule != nil {
			rule = d.Rule.Number
		}
		if d.Allow != c.allowed || rule != c.rule || d.Unsure != c.unsure {
			t.Errorf("%s: %+v, rule %d", c.name, d, rule)
		}
	}
	if d := Decide(&Table{Unreadable: true}, nil, Request{Addr: "10.1.2.3"}, nil); !d.Allow {
		t.Errorf("unreadable hosts.allow: %+v", d)
	}
	if d := Decide(nil, &Table{Unreadable: true}, Request{Addr: "10.1.2.3"}, nil); d.Allow {
		t.Errorf("unreadable hosts.deny: %+v", d)
	}
}

// TestOrigins: rules know their lines, joined ones too.
func TestOrigins(t *testing.T) {
	table := Parse("hosts.allow", []byte("# one\n\nsshd: \\\n  10.1.2.3\n\nALL: ALL: deny\nALL: x"))
	if len(table.Rules) != 2 || table.Rules[0].Line != 3 || table.Rules[0].Last != 4 || table.Rules[1].Line != 6 || table.Broken != 7 {
		t.Errorf("%+v", table)
	}
}

// TestGlobIsFast: a pattern of many stars does not run through all ways to match it.
func TestGlobIsFast(t *testing.T) {
	if glob(strings.Repeat("*a", 60)+"b", strings.Repeat("a", 127)) || !glob(strings.Repeat("*a", 60)+"*", strings.Repeat("a", 127)) {
		t.Error("wrong")
	}
}

// TestUnknownWorldIsNeverMoreOpen: what nobody knows of the host never admits anybody
// whom some host would deny.
func TestUnknownWorldIsNeverMoreOpen(t *testing.T) {
	g := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(3, 3)), Files: []string{"/f", "/g"}}
	for range 20000 {
		allow, deny := Parse("a", []byte(g.Table())), Parse("d", []byte(g.Table()))
		q := Request{Daemon: g.Pick("sshd", "in.ftpd"), Addr: g.Pick("10.1.2.3", "fe80::1", "2001:db8::5"), Name: g.Pick("", "host.example.org", paranoid)}
		d := Decide(allow, deny, q, nil)
		coin := func() bool { return g.Chance(50) }
		word := g.Pick("ALL", "", "10.1.2.3", "KNOWN /g")
		w := &World{Netgroup: func(string, string) bool { return coin() }, File: func(string) (string, bool) { return word, true },
			Command: func(string) bool { return coin() }, Interface: func(string) bool { return coin() }, User: func(string) bool { return coin() }, Group: func(string) bool { return coin() }}
		if d.Allow && !Decide(allow, deny, q, w).Allow {
			t.Fatalf("%+v: %+v, and %+v on a host\nallow %+v\ndeny %+v", q, d, Decide(allow, deny, q, w), allow.Rules, deny.Rules)
		}
	}
}

// FuzzParse: no table stops the parser, and each of its lines is accounted for.
func FuzzParse(f *testing.F) {
	g := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(5, 5))}
	for range 50 {
		f.Add([]byte(g.Table()))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		table := Parse("t", text)
		last := 0
		for _, l := range table.lines {
			if l.first <= last || l.last < l.first {
				t.Fatalf("lines %d to %d after %d", l.first, l.last, last)
			}
			last = l.last
		}
		Decide(table, table, Request{Daemon: "sshd", Addr: "10.1.2.3"}, nil)
	})
}

// TestDenyWithoutNewline: libwrap reads a last line without its newline as none, and a host whose
// hosts.deny ended in it was open to everybody. A daemon on Debian denies everybody then, as
// here; a hosts.allow admits nobody by such a line, and the strict reading refuses both.
func TestDenyWithoutNewline(t *testing.T) {
	for _, c := range []struct{ allow, deny string }{
		{"", "ALL: ALL"}, {"", "ALL: 192.0.2.1"}, {"", "ALL: 192.0.2.1\nALL: ALL"}, {"", "# nobody"},
		{"ALL: 10.1.2.3", "ALL: ALL\n"}, {"# all of\nALL: ALL", "ALL: ALL\n"}, {"ALL: ALL", "ALL: ALL"},
	} {
		if d := ask(c.allow, c.deny, "10.1.2.3", nil); d.Allow {
			t.Errorf("%q and %q admit: %+v", c.allow, c.deny, d)
		}
		if r := Translate(Parse("hosts.allow", []byte(c.allow)), Parse("hosts.deny", []byte(c.deny))); len(r.Faults) == 0 {
			t.Errorf("%q and %q are no fault", c.allow, c.deny)
		}
	}
	if d := ask("ALL: 10.1.2.3\n", "ALL: ALL\n", "10.1.2.3", nil); !d.Allow {
		t.Errorf("with its newline: %+v", d)
	}
}

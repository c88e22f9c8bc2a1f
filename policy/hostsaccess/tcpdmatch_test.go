package hostsaccess

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"casemate/policy/hostsaccess/fuzzed"
	"casemate/tests/need"
)

// judgeHosts is the /etc/hosts that tcpdmatch looks names up in: x.example.org's address
// leads to a name whose canonical form is another one, so it is paranoid.
var judgeHosts = `127.0.0.1 localhost
10.1.2.3 host.example.org host
10.1.2.4 evil.example.net
10.1.2.5 short
10.1.2.6 10.1.evil.example.net
10.1.2.7 other.example.org x.example.org
10.1.2.8 x.example.org
2001:db8::5 six.example.org
192.0.2.7 ` + strings.Repeat("l", 60) + "." + strings.Repeat("o", 60) + `.evil.example.net
`

const (
	judgeSwitch   = "hosts: files\nnetgroup: files\npasswd: files\ngroup: files\nnetworks: files\nservices: files\nprotocols: files\n"
	judgeNetgroup = "trusted (host.example.org,,) (six.example.org,,)\n"
)

var (
	judgeDaemons = []string{"sshd", "sshd", "in.telnetd", "in.ftpd", "22", "ssh", "KNOWN", "local", "unknown", "22x", "sshd@10.1.2.3", "sshd@127.0.0.1", "in.telnetd@2001:db8::5", strings.Repeat("d", 130)}
	judgeClients = []string{"10.1.2.3", "10.1.2.4", "10.0.0.1", "192.0.2.7", "127.0.0.1", "10.1.255.255", "::1", "2001:db8::5", "2001:db8:1::5", "::ffff:10.1.2.3", "fe80::1%1", "fe80::1", "::10.1.2.3",
		"unknown", "paranoid", "UNKNOWN", "host.example.org", "evil.example.net", "short", "10.1.evil.example.net", "x.example.org", "other.example.org", "six.example.org", "localhost",
		"root@10.1.2.3", "ALL@host.example.org", "root@unknown", strings.Repeat("l", 60) + "." + strings.Repeat("o", 60) + ".evil.example.net"}
)

// judged is one case: the tables, who asks, and tcpdmatch's word.
type judged struct {
	dir            string
	daemon, client string
	facts          Request // as tcpdmatch prints them
	verdict        string
	raw            string
}

// The judge counts cases by CASEMATE_TCPDMATCH_CASES and seeds them by CASEMATE_TCPDMATCH_SEED.
func fromEnv(t *testing.T, name string, usual int) int {
	s := os.Getenv(name)
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestDecidesAsTcpdmatch: no difference to the library's own program, over tables with
// every form, quirk and error. CASEMATE_TCPDMATCH_CASES=20000 asks for more.
func TestDecidesAsTcpdmatch(t *testing.T) {
	need.Programs(t, "tcpdmatch", "unshare")
	cases := fromEnv(t, "CASEMATE_TCPDMATCH_CASES", 2400)
	const perTable = 4
	dir := t.TempDir()
	g := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(uint64(fromEnv(t, "CASEMATE_TCPDMATCH_SEED", 7)), 1))}
	files := map[string]string{}
	for i, text := range []string{"10.1.2.3 .example.net\n", "KNOWN\n", "ALL EXCEPT 10.1.2.3", "nothing # here\n10.1.2.0/24\n", ""} {
		path := filepath.Join(dir, fmt.Sprintf("p%d", i))
		files[path] = text
		g.Files = append(g.Files, path)
	}
	files[g.Files[4]] = g.Files[0] + " " + filepath.Join(dir, "nosuch")
	for path, text := range files {
		write(t, path, text)
	}
	g.Files = append(g.Files, filepath.Join(dir, "nosuch"))
	all := make([]*judged, 0, cases)
	for i := 0; len(all) < cases; i++ {
		at := filepath.Join(dir, "t"+strconv.Itoa(i))
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"hosts.allow", "hosts.deny"} {
			if !g.Chance(5) {
				write(t, filepath.Join(at, name), g.Table())
			}
		}
		for range perTable {
			all = append(all, &judged{dir: at, daemon: g.Pick(judgeDaemons...), client: g.Pick(judgeClients...)})
		}
	}
	judge(t, dir, all)
	world := &World{
		Netgroup: func(group, name string) bool {
			return group == "trusted" && (name == "host.example.org" || name == "six.example.org")
		},
		File:      func(path string) (string, bool) { return files[path], true },
		Command:   func(string) bool { return true }, // a dry run runs none
		Interface: func(name string) bool { return name == "lo" },
		User:      func(string) bool { return false },
		Group:     func(name string) bool { return name == "nogroup" },
	}
	count := map[string]int{}
	failures := 0
	for _, c := range all {
		count[c.verdict]++
		d := Decide(load(c.dir, "hosts.allow"), load(c.dir, "hosts.deny"), c.facts, world)
		got := "denied"
		switch {
		case d.Twist != "":
			got = "delegated"
		case d.Allow:
			got = "granted"
		}
		if got == c.verdict || c.verdict == "" && !d.Allow && strings.Contains(d.Why, "too long") {
			continue
		}
		if failures++; failures <= 10 {
			allow, _ := os.ReadFile(filepath.Join(c.dir, "hosts.allow"))
			deny, _ := os.ReadFile(filepath.Join(c.dir, "hosts.deny"))
			t.Errorf("%s %s: %s (%s), tcpdmatch says %q\nfacts %+v\nallow %q\ndeny  %q\n%s", c.daemon, c.client, got, d.Why, c.verdict, c.facts, allow, deny, c.raw)
		}
	}
	t.Logf("%d cases, %d differences: %v", len(all), failures, count)
	if count["granted"]*5 < len(all) || count["denied"]*5 < len(all) {
		t.Errorf("the cases are lopsided: %v", count)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func load(dir, name string) *Table {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil
	}
	return Parse(name, text)
}

// judge asks tcpdmatch, in mount namespaces where /etc/hosts and its like are the judge's.
func judge(t *testing.T, dir string, all []*judged) {
	const script = `cd "$1"
for f in hosts nsswitch.conf netgroup; do [ -e /etc/$f ] || : >/etc/$f; mount --bind judge/$f /etc/$f || exit 9; done
while read -r d s c; do cd "$d" && tcpdmatch -d -i /dev/null "$s" "$c" 2>"$1/err.$2"; echo "== $?"; done`
	if err := os.Mkdir(filepath.Join(dir, "judge"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "judge", "hosts"), judgeHosts)
	write(t, filepath.Join(dir, "judge", "nsswitch.conf"), judgeSwitch)
	write(t, filepath.Join(dir, "judge", "netgroup"), judgeNetgroup)
	workers := runtime.NumCPU()
	var wg sync.WaitGroup
	for part := range slices.Chunk(all, (len(all)+workers-1)/workers) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			args := []string{"-m", "sh", "-c", script, "sh", dir, filepath.Base(part[0].dir)}
			if os.Geteuid() != 0 {
				args = append([]string{"-r"}, args...)
			}
			cmd := exec.Command("unshare", args...)
			var in, out bytes.Buffer
			for _, c := range part {
				fmt.Fprintln(&in, c.dir, c.daemon, c.client)
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, os.Stderr
			if err := cmd.Run(); err != nil {
				t.Errorf("tcpdmatch: %v", err)
				return
			}
			answers := strings.Split(out.String(), "== 0\n")
			if len(answers) != len(part)+1 {
				t.Errorf("tcpdmatch answered %d of %d cases:\n%s", len(answers)-1, len(part), out.String()[max(0, out.Len()-500):])
				return
			}
			for i, c := range part {
				c.read(answers[i])
			}
		}()
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// read takes tcpdmatch's answer apart: what it knows of the case, and its verdict.
func (c *judged) read(text string) {
	c.raw = text
	for l := range strings.Lines(text) {
		if l == "\n" { // a name of several addresses: the last one counts
			c.facts, c.verdict = Request{}, ""
		}
		key, value, _ := strings.Cut(strings.TrimSpace(l), ":")
		word, value, _ := strings.Cut(strings.TrimSpace(value), " ")
		value = strings.TrimSpace(value)
		switch key + " " + word {
		case "client hostname":
			c.facts.Name = value
		case "client address":
			c.facts.Addr = value
		case "client username":
			c.facts.User = value
		case "server hostname":
			c.facts.ServerName = value
		case "server address":
			c.facts.ServerAddr = value
		case "server process":
			c.facts.Daemon = value
		default:
			if key == "access" {
				c.verdict = word
			}
		}
	}
}

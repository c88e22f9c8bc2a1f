package main

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/said"
	"casemate/tests/logline"
)

const filterFile = "dist/fail2ban.conf"

// bait are records, as the broker writes them, and the client that each counts against, "" for
// none. "x" stands for what somebody outside can choose.
func bait() (lines []string, against []string) {
	refused := func(addr, name, network, reason string) journal.Record {
		return &journal.Decision{At: time.Now(), ID: 1871466496000042, Service: "finger", Network: network, Refused: reason,
			Client: inbound.Peer{Addr: netip.MustParseAddrPort(addr), Name: name}, Local: netip.MustParseAddrPort("192.0.2.1:79"),
			Rule: "site.cm.hcl:3:1", ACL: "office", Digest: "sha256:0", Generation: 1}
	}
	const victim = `","client":"203.0.113.66","client_port":1,"network":"tcp","local":"x","verdict":"deny","reason":"acl"`
	nobody := refused("192.0.2.7:1", "", "unix", "acl").(*journal.Decision)
	nobody.Client, nobody.Local, nobody.Path = inbound.Peer{Unix: true}, netip.AddrPort{}, "/run/x"
	for _, b := range []struct {
		record  journal.Record
		against string
	}{
		{refused("192.0.2.7:4711", "", "tcp", "acl"), "192.0.2.7"},
		{refused("[2001:db8::7]:4711", "", "tcp", "source-rate"), "2001:db8::7"},
		{refused("192.0.2.8:4711", "x.example.org", "tcp", "penalty"), "192.0.2.8"},
		{refused("192.0.2.9:1", "", "tcp", "source-concurrency"), "192.0.2.9"},
		{refused("192.0.2.10:4711", victim, "tcp", "acl"), "192.0.2.10"}, // no DNS name, and still itself alone
		{refused("192.0.2.7:4711", "", "udp", "acl"), ""},                // anybody can have sent it
		{refused("192.0.2.7:4711", "", "tcp", "rate"), ""},               // the others' fault
		{refused("192.0.2.7:4711", "", "tcp", "concurrency"), ""},
		{refused("192.0.2.7:4711", "", "tcp", "busy"), ""},
		{refused("192.0.2.7:4711", "", "tcp", ""), ""}, // admitted
		{nobody, ""},
		{&journal.Session{At: time.Now(), Service: "finger", Client: inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:1")}, Reason: "crash", Ran: true}, ""},
		{said.Line(time.Now(), "stderr", "finger", 1, []byte(victim)), ""},
		{said.Line(time.Now(), "stderr", "finger", 1, []byte(`x{"time":"2026-11-26T08:00:00Z","level":"INFO","msg":"decision","format_version":1,"id":1,"service":"x`+victim)), ""},
		{said.Syslog(time.Now(), "finger", 1, said.Parse([]byte("<13>"+victim))), ""},
	} {
		lines = append(lines, strings.TrimSuffix(string(logline.Of(b.record)), "\n"))
		against = append(against, b.against)
	}
	return lines, against
}

// TestFilter holds the fail2ban filter against the records: by the expression itself as
// fail2ban applies it (the date cut out, or a line of the journal as a whole), and by fail2ban-regex
// where that is installed.
func TestFilter(t *testing.T) {
	text, err := os.ReadFile(filterFile)
	if err != nil {
		t.Fatal(err)
	}
	setting := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + ` = (.*)$`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("no %s", name)
		}
		return string(m[1])
	}
	fail := regexp.MustCompile(strings.Replace(setting("failregex"), "<ADDR>", `(?P<addr>[0-9a-fA-F:.]+)`, 1))
	date := regexp.MustCompile(strings.NewReplacer("%%Y-%%m-%%dT%%H:%%M:%%S", `\d+-\d+-\d+T\d+:\d+:\d+`, "%%z", `(?:Z|[+-]\d\d:\d\d)`).Replace(setting("datepattern")))
	lines, against := bait()
	for i, line := range lines {
		cut := date.FindStringIndex(line)
		if cut == nil {
			t.Fatalf("no date in %s", line)
		}
		for way, seen := range map[string]string{"file": line[cut[1]:], "journal": "host casemated[4711]: " + line} {
			addr := ""
			if m := fail.FindStringSubmatch(seen); m != nil {
				addr = m[fail.SubexpIndex("addr")]
			}
			if addr != against[i] {
				t.Errorf("%s: it counts against %q, want %q: %s", way, addr, against[i], line)
			}
		}
	}
	if tool, err := exec.LookPath("fail2ban-regex"); err != nil {
		t.Logf("by the expression alone: %v", err)
	} else {
		fail2banRegex(t, tool, lines, against)
	}
}

func fail2banRegex(t *testing.T, tool string, lines, against []string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	filter, err := filepath.Abs(filterFile)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(tool, "--out", "ip", log, filter)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, &said)
	}
	want := slices.DeleteFunc(slices.Clone(against), func(a string) bool { return a == "" })
	if got := strings.Fields(string(out)); !slices.Equal(got, want) {
		t.Errorf("fail2ban bans %v, want %v\n%s", got, want, &said)
	}
	out, err = exec.Command(tool, log, filter).Output()
	if dated := regexp.MustCompile(`\[(\d+)\] \^?\\\{`).FindSubmatch(out); err != nil || dated == nil {
		t.Errorf("fail2ban finds no date by the filter's pattern: %v\n%s", err, out)
	}
}

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"casemate/policy/inetd"
)

// TestFlags: the flags of each inetd, glued to their arguments or apart from them, and what they
// come to as a policy.
func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		line string
		want string // of the flags' policy, or of the error behind a "!"
	}{
		{"inetd", ""},
		{"inetd -R 40", `rate = "40/min"`},
		{"inetd -R40", `rate = "40/min"`},
		{"inetd --rate=40", `rate = "40/min"`},
		{"inetd --rate 40 x", `rate = "40/min"`},
		{"inetd -R 0", `rate = "1000000/s"`},
		{"inetd -dlR40", `hosts_access_for = ["programs", "tcpd"] rate = "40/min"`},
		{"inetd --dialect gnu -lR40", `dialect = "gnu" rate = "40/min"`},
		{"inetd -c 5 -s2", `concurrent = 5 per_source { concurrent = 2 }`},
		{"inetd -c0", `concurrent = 1000000`},
		{"inetd -C 7", `per_source { rate = "7/min" }`},
		{"inetd -C7/s", `per_source { rate = "7/s" }`},
		{"inetd -C7/3600", `per_source { rate = "7/h" }`},
		{"inetd -C 0/h", `per_source { rate = "1000000/s" }`},
		{"inetd -q 16", "backlog = 16"},
		{"inetd -a 127.0.0.1", `address = "127.0.0.1"`},
		{"inetd -a::1", `address = "::1"`},
		{"inetd -w", `acl = acl.anyone hosts_access = "compat" hosts_access_for = ["programs", "tcpd"]`},
		{"inetd -W", `hosts_access_for = ["internal", "tcpd"]`},
		{"inetd -wW", `hosts_access_for = ["internal", "programs", "tcpd"]`},
		{"inetd --dialect=netbsd -W", `hosts_access_for = ["internal", "programs", "tcpd"] dialect = "netbsd"`},
		{"inetd --strict", `unreadable = "refuse"`},
		{"inetd --environment", ""},
		{"inetd -E", "!-E: inetd's own environment is not handed on"},
		{"inetd --resolve", "!--resolve: nobody's name is asked for"},
		{"inetd -R", "!-R needs an argument"},
		{"inetd -R -1", "!-R: \"-1\" is no number from 0 to 1000000"},
		{"inetd -R 1000001", "!is no number from 0"},
		{"inetd -C 7/2", `!-C: "2" is no time to count in`},
		{"inetd -C 7/", `!-C: "" is no time to count in`},
		{"inetd -q 0", `!-q: "0" is no number from 1`},
		{"inetd -a localhost", `!-a: "localhost" is no address`},
		{"inetd -a fe80::1%lo", `!is no address`},
		{"inetd -x", "!there is no flag -x"},
		{"inetd -dx", "!there is no flag -x"},
		{"inetd --frob", "!there is no flag --frob"},
		{"inetd --R=4", "!there is no flag --R"},
		{"inetd --strict=yes", "!--strict takes no argument"},
		{"inetd --dialect sunos", `!--dialect: "sunos" is not known`},
		{"inetd --log", "!--log needs an argument"},
		{"inetd --log=", "!--log: its argument is empty"},
		{"inetd --log -", "!--log - needs -f"},
		{"inetd -e", "!-e needs -f"},
		{"inetd -fe --log x", "!two places for the log"},
		{"inetd --help", "!help"},
		{"inetd -dh", "!help"},
		{"inetd --version", "!version"},
	} {
		s, err := parse(strings.Fields(tt.line))
		if want, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", tt.line, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		_, says, _ := strings.Cut(s.flagsPolicy(), "inetd {")
		if says = strings.Join(strings.Fields(strings.TrimSuffix(says, "}\n")), " "); says != tt.want && !(tt.want != "" && strings.HasSuffix(says, tt.want)) {
			t.Errorf("%s: says %q, want %q", tt.line, says, tt.want)
		}
	}
	if _, err := parse([]string{"inetd", ""}); err == nil {
		t.Error("an empty CONFIG is no CONFIG")
	}
}

// TestPlaces: where pid and log go, and what is left over as tables, by whose flags they are.
func TestPlaces(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ line, dialect, pid, log, configs string }{
		{"inetd", "debian", pidFile, logFile, ""},
		{"/usr/sbin/inetutils-inetd", "gnu", pidFile, logFile, ""},
		{"openbsd-inetd", "debian", pidFile, logFile, ""},
		{"/x/freebsd-inetd -p /a /b", "freebsd", "/a", logFile, "/b"},
		{"/x/freebsd-inetd -p/a /b", "freebsd", "/a", logFile, "/b"},
		{"inetd -p /b", "debian", "", logFile, "/b"},
		{"inetd -p/a /b /c", "debian", "/a", logFile, "/b /c"},
		{"inetd --dialect freebsd -p /a", "freebsd", "/a", logFile, ""},
		{"inetutils-inetd --pidfile=/a", "gnu", "/a", logFile, ""},
		{"inetutils-inetd --pidfile /b", "gnu", "", logFile, "/b"},
		{"inetutils-inetd --dialect=netbsd", "netbsd", pidFile, logFile, ""},
		{"inetd -f", "debian", "", "-", ""},
		{"inetd -i -p/a", "debian", "/a", "-", ""},
		{"inetd -d /b -R 4 /c", "debian", "", "-", "/b /c"},
		{"inetd -f --log /l", "debian", "", "/l", ""},
		{"inetd -- -R --dialect=x", "debian", pidFile, logFile, "-R --dialect=x"},
	} {
		s, err := parse(strings.Fields(tt.line))
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		var configs []string
		for _, c := range s.configs {
			configs = append(configs, strings.TrimPrefix(c, here+"/"))
		}
		if got := strings.Join(configs, " "); string(s.flagsOf) != tt.dialect || s.pid != tt.pid || s.log != tt.log || got != tt.configs {
			t.Errorf("%s: %s, pid %q, log %q, tables %q; want %+v", tt.line, s.flagsOf, s.pid, s.log, got, tt)
		}
	}
}

// TestEveryFlagIsExplained: the help has a line for each flag but those that are refused.
func TestEveryFlagIsExplained(t *testing.T) {
	for _, o := range options(inetd.Debian) {
		err := o.take(newSettings(), "1", true)
		refused := err != nil && !errors.Is(err, errHelp) && !errors.Is(err, errVersion) && o.arity == alone
		for _, name := range o.names {
			dashes := map[bool]string{true: "-", false: "--"}[len(name) == 1]
			explained := regexp.MustCompile(`(?m)(^  |, )` + dashes + name + `\b`).MatchString(usage)
			if explained == refused && name != "h" {
				t.Errorf("%s%s: refused %v, explained %v", dashes, name, refused, explained)
			}
		}
	}
}

// TestTablesByAnyName: a table that is not called as one has a link that is; the folder is called by
// what the command line says.
func TestTablesByAnyName(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "inetd.conf.old")
	tables := filepath.Join(dir, "tables")
	for _, err := range []error{os.WriteFile(old, nil, 0o644), os.Mkdir(tables, 0o755), os.WriteFile(filepath.Join(dir, "p.cm.hcl"), nil, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, []string, error) {
		s, err := parse(append([]string{"inetd", "--control", filepath.Join(dir, "run", "c.sock"), "--policy", filepath.Join(dir, "p")}, args...))
		if err != nil {
			t.Fatal(err)
		}
		return s.sources()
	}
	folder, paths, err := run(old, tables)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%[1]s %[2]s/p %[1]s/0/inetd.conf.old.inetd %[1]s/1/inetd.d /etc/hosts.allow /etc/hosts.deny", folder, dir)
	if got := strings.Join(paths, " "); !strings.HasPrefix(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	if to, err := os.Readlink(folder + "/0/inetd.conf.old.inetd"); err != nil || to != old {
		t.Errorf("%s, %v", to, err)
	}
	again, _, err := run(old, tables)
	other, _, oerr := run("-R4", old, tables)
	if err != nil || oerr != nil || again != folder || other == folder {
		t.Errorf("%s, %s and %s: %v %v", folder, again, other, err, oerr)
	}
	if _, _, err := run(filepath.Join(dir, "p.cm.hcl")); err == nil || !strings.Contains(err.Error(), "name it with --policy") {
		t.Errorf("a policy is no table: %v", err)
	}
	if _, _, err := run(filepath.Join(dir, "none")); err == nil {
		t.Error("a table that is not there")
	}
}

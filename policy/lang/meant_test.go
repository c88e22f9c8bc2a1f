package lang

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// The forms of a step that an editor could take as it stands.
var (
	stepValue = regexp.MustCompile(`^(?:write it as|write it in full, as|write|did you mean) ("[^"]*")[?]?(?:,|$)`)
	stepWhole = regexp.MustCompile(`^write ([a-z_]+) = (.*?)(?:, or "unlimited")?$`)
)

// follow is the text after the step of a diagnostic, "" where it names none.
func follow(text string, d policy.Diagnostic) string {
	lines := strings.Split(text, "\n")
	line := lines[d.Line-1]
	if m := stepValue.FindStringSubmatch(d.Detail); m != nil && d.EndLine == d.Line {
		lines[d.Line-1] = line[:d.Column-1] + m[1] + line[d.EndColumn-1:]
	} else if m := stepWhole.FindStringSubmatch(d.Detail); m != nil {
		lines[d.Line-1] = regexp.MustCompile(m[1]+` *=[^}]*`).ReplaceAllLiteralString(line, m[1]+" = "+m[2]+" ")
	} else {
		return ""
	}
	return strings.Join(lines, "\n")
}

// TestStepsLeadOut: who writes what the step of an error says has no next error, and has
// what he meant.
func TestStepsLeadOut(t *testing.T) {
	limits := func(s string) string {
		return one("acl = acl.anyone\n  limit = limit.l") + "limit \"l\" {\n  " + s + "\n}\n"
	}
	profile := func(s string) string {
		return one("acl = acl.anyone\n  profile = profile.p") + "profile \"p\" {\n  base = profile.line\n  widens = [\"resources\", \"files\", \"capabilities\"]\n  because = \"x\"\n" + s + "\n}\n"
	}
	service := func(s string) string { return one("acl = acl.anyone\n  " + s) }
	with := func(old, new string) string { return strings.Replace(service(""), old, new, 1) }
	for _, c := range []struct{ text, want string }{
		{limits(`rate = "3 per minute"`), `rate = "3/min"`},
		{limits(`min_rate = "1k/s"`), `min_rate = "1KiB/s"`},
		{limits(`min_rate = "100/s"`), `min_rate = "100B/s"`},
		{limits(`min_rate = "6 KiB per minute"`), `min_rate = "102B/s"`},
		{limits(`min_rate = "64"`), `min_rate = "64B/s"`},
		{limits(`rate = "3/minute"`), `rate = "3/min"`},
		{limits(`rate = "0.5/s"`), `rate = "30/min"`},
		{limits(`rate = "10/5s"`), `rate = "2/s"`},
		{limits(`rate = "100 connections per hour"`), `rate = "100/h"`},
		{limits(`rate = "5 every 10 seconds"`), `rate = "30/min"`},
		{limits(`session = "45 minutes"`), `session = "45m"`},
		{limits(`session = "1.5h"`), `session = "90m"`},
		{limits(`session = "1 hour 30 minutes"`), `session = "90m"`},
		{limits(`session = "600"`), `session = "10m"`},
		{limits(`session = 600`), `session = "10m"`},
		{limits(`session = "90sec"`), `session = "90s"`},
		{limits(`concurrent = "64"`), `concurrent = 64`},
		{service(`linger = 60`), `linger = "1m"`},
		{service(`idle = "5 min"`), `idle = "5m"`},
		{service(`umask = 0027`), `umask = "0027"`},
		{service(`umask = "027"`), `umask = "0027"`},
		{service(`umask = "0o027"`), `umask = "0027"`},
		{service(`wait = "no"`), `wait = false`},
		{service(`groups = "mail"`), `groups = ["mail"]`},
		{service(`groups = "mail, adm"`), `groups = ["mail", "adm"]`},
		{service(`banner = 5`), `banner = "5"`},
		{with(`["/bin/cat"]`, `"/bin/cat -A"`), `command = ["/bin/cat", "-A"]`},
		{with(`["/bin/cat"]`, `"/bin/cat"`), `command = ["/bin/cat"]`},
		{with(`"tcp://:79"`, `"unix://run/x.sock"`), `"unix:/run/x.sock"`},
		{with(`"tcp://:79"`, `"unix:///run/x.sock"`), `"unix:/run/x.sock"`},
		{with(`"tcp://:79"`, `"unix://@x"`), `"unix:@x"`},
		{with(`"tcp://:79"`, `"unix:run/x.sock"`), `"unix:/run/x.sock"`},
		{with(`"tcp://:79"`, `"127.0.0.1:79"`), `"tcp://127.0.0.1:79"`},
		{with(`"tcp://:79"`, `"[::1]:79"`), `"tcp://[::1]:79"`},
		{with(`"tcp://:79"`, `":79"`), `"tcp://:79"`},
		{with(`"tcp://:79"`, `"*:79"`), `"tcp://:79"`},
		{with(`"tcp://:79"`, `"79"`), `"tcp://:79"`},
		{with(`"tcp://:79"`, `"finger"`), `"tcp://:finger"`},
		{with(`"tcp://:79"`, `"0.0.0.0:79"`), `"tcp4://:79"`},
		{with(`"tcp://:79"`, `"tcp:79"`), `"tcp://:79"`},
		{with(`"tcp://:79"`, `"tcp://79"`), `"tcp://:79"`},
		{with(`"tcp://:79"`, `"tcp://localhost:79"`), `"tcp://127.0.0.1:79"`},
		{with(`"tcp://:79"`, `"tcp://*:79"`), `"tcp://:79"`},
		{with(`"tcp://:79"`, `"/run/x.sock"`), `"unix:/run/x.sock"`},
		{profile(`  resources { memory = "1G" }`), `memory = "1GiB"`},
		{profile(`  resources { memory = "128M" }`), `memory = "128MiB"`},
		{profile(`  resources { stack = "4mb" }`), `stack = "4MiB"`},
		{profile(`  resources { memory = "1.5 GB" }`), `memory = "1536MiB"`},
		{profile(`  resources { memory = 67108864 }`), `memory = "64MiB"`},
		{profile(`  resources { processes = "8" }`), `processes = 8`},
		{profile(`  resources { cpu = "0.5" }`), `cpu = "50%"`},
		{profile(`  resources { cpu = 50 }`), `cpu = "50%"`},
		{profile(`  resources { cpu = "2 cores" }`), `cpu = "200%"`},
		{profile(`  resources { cpu_time = "90" }`), `cpu_time = "90s"`},
		{profile(`  resources { cpu_time = "1500ms" }`), `cpu_time = "2s"`},
		{profile("  files {\n tmp = \"1 MB\"\n}"), `tmp = "1MiB"`},
		{profile("  files {\n read = [\"~/x\"]\n}"), `read = ["/home/NAME/x"]`},
		{profile("  files {\n read = [\"etc/x\"]\n}"), `read = ["/etc/x"]`},
		{profile("  files {\n read = [\"/etc/\"]\n}"), `read = ["/etc"]`},
		{profile("  files {\n read = \"/etc/passwd /etc/group\"\n}"), `read = ["/etc/passwd", "/etc/group"]`},
		{profile(`  capabilities = ["net_bind_service"]`), `capabilities = ["CAP_NET_BIND_SERVICE"]`},
	} {
		_, ds := compileText(c.text)
		ds = slices.DeleteFunc(ds, func(d policy.Diagnostic) bool { return d.Severity != policy.SeverityError })
		if len(ds) != 1 {
			t.Errorf("%s: want one error, got:\n%s", c.want, show(ds))
			continue
		}
		after := follow(c.text, ds[0])
		if !strings.Contains(after, c.want) {
			t.Errorf("want %s of the step %q", c.want, ds[0].Detail)
			continue
		}
		if _, next := compileText(after); policy.HasErrors(next) {
			t.Errorf("%s: the step %q leads to:\n%s", c.want, ds[0].Detail, show(next))
		}
	}
}

// TestUnclear: what nobody can translate gets an example, which is called one.
func TestUnclear(t *testing.T) {
	for _, s := range []string{
		`rate = "often"`, `rate = 50`, `rate = "50"`, `rate = "1/7s"`, `session = "soon"`, `session = true`, `session = "5 fortnights"`,
	} {
		_, ds := compileText(one("acl = acl.anyone\n  limit = limit.l") + "limit \"l\" {\n  " + s + "\n}\n")
		if len(ds) != 1 || !strings.HasPrefix(ds[0].Detail, "for example ") {
			t.Errorf("%s: %s", s, show(ds))
		}
	}
}

// FuzzMeant: what a misspelling is said to mean can be read.
func FuzzMeant(f *testing.F) {
	for _, s := range []string{"45 minutes", "1.5h", "4mb", "3 per minute", "0.5/s", "1k/s", "9 MB per d", "50", "0o660", "999999999999w", "0.0001TiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		check := func(got string, err error) {
			if got != "" && err != nil {
				t.Errorf("%q is said to mean %q: %v", s, got, err)
			}
		}
		d, z, r, p, c, m := meantDuration(s), meantSize(s), meantRate(s), meantPace(s), meantShare(s), meantMode(s)
		_, err := plainDuration(d)
		check(d, err)
		_, err = parseSize(z)
		check(z, err)
		_, err = parseRate(r)
		check(r, err)
		_, err = parsePace(p)
		check(p, err)
		_, err = parseCPU(c)
		check(c, err)
		_, err = parseMode(m)
		check(m, err)
	})
}

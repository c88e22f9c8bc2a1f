package lang

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/input"
	"casemate/sandbox"
)

// based is the canonical JSON of a policy without what printing a profile may change: on which bases it stands.
func based(t *testing.T, p *policy.Policy) []byte {
	t.Helper()
	q := *p
	q.Profiles = slices.Clone(p.Profiles)
	for i := range q.Profiles {
		q.Profiles[i].Base = nil
	}
	q.Profiles = slices.DeleteFunc(q.Profiles, func(f sandbox.Profile) bool { return strings.HasSuffix(f.Name, "_below") })
	b, err := canon.Encode(&q)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestShownIsTheSame: what is printed of the policy of each example compiles to the same policy, with the
// same lists, limits and services by the same names; it is in Format's form, and every value has an origin.
func TestShownIsTheSame(t *testing.T) {
	all := policies(t)
	all["everything"] = []policy.SourceFile{{Name: "every.cm.hcl", Data: []byte(everyAttribute)}, {Name: "hello.banner", Data: []byte("no end")}}
	delete(all, "chains")
	services := 0
	for where, files := range all {
		doc, ds := Compile(files)
		if doc == nil {
			t.Errorf("%s: %s", where, show(ds))
			continue
		}
		text, err := EffectivePolicy(doc)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		sources := []policy.SourceFile{{Name: "shown.cm.hcl", Data: text}}
		for _, f := range files {
			if strings.HasSuffix(f.Name, input.BannerSuffix) {
				sources = append(sources, f)
			}
		}
		again, ds := Compile(sources)
		if again == nil {
			t.Errorf("%s: %s\n%s", where, show(ds), text)
			continue
		}
		if a, b := based(t, doc.Policy), based(t, again.Policy); !bytes.Equal(a, b) {
			t.Errorf("%s: another policy\n%s\n%s\n%s", where, text, a, b)
		}
		if again, _ := Format(sources[0]); !bytes.Equal(again, text) {
			t.Errorf("%s is not formatted:\n%s", where, text)
		}
		for line := range strings.Lines(string(text)) {
			value := strings.Contains(line, " = ") && !strings.HasPrefix(line, "#") && !strings.HasSuffix(line, "[\n") && !strings.HasSuffix(line, "{\n")
			inRule := strings.Contains(line, "arg ") || strings.Contains(line, "mask ") || strings.Contains(line, "values = ") || strings.Contains(line, "base ") || strings.Contains(line, "widens ")
			if value && !inRule && !strings.Contains(line, " # ") {
				t.Errorf("%s: no origin in %q", where, line)
			}
		}
		services += len(doc.Policy.Services)
	}
	if services < 60 {
		t.Errorf("%d services: these are not the examples", services)
	}
}

// TestEverythingIsTold: each attribute of a list, a rule, a limit and a service is printed, or is one
// that a document no longer has; and the policy that the other test prints has them all.
func TestEverythingIsTold(t *testing.T) {
	gone := []string{"for_each", "extends", "stderr"}
	check := func(name string, has bool) {
		if has == slices.Contains(gone, name) {
			t.Errorf("%s: printed %v", name, has)
		}
		if has && !strings.Contains(everyAttribute, name+" ") {
			t.Errorf("%s is not tried", name)
		}
	}
	for _, g := range serviceTable {
		for _, r := range g.rows {
			check(r.Name, serviceSays[g.block][r.Name] != nil)
		}
	}
	for _, g := range limitTable {
		for _, r := range g.rows {
			check(r.Name, limitSays[g.block][r.Name] != nil)
		}
	}
	for _, r := range aclTable[0].rows {
		check(r.Name, aclSays[r.Name] != nil)
	}
	for _, r := range ruleTable[0].rows {
		check(r.Name, ruleSays[r.Name] != nil)
	}
	for _, r := range headTable[0].rows {
		if !strings.Contains(everyAttribute, r.Name+" ") {
			t.Errorf("%s is not tried", r.Name)
		}
	}
}

// everyAttribute has every attribute of a list, a rule, a limit and a service, none with its default.
const everyAttribute = `
policy {
  edition   = 1
  on_stop   = "leave"
  on_broken = "refuse"
  on_narrow = "end"
}
acl "odd" {
  deny "bad" {
    from = ["192.0.2.66", ".example.net", "unknown", "paranoid"]
  }
  allow "staff" {
    from    = ["192.0.2.0/24", "2001:db8::/32", ".example.org", "known", "uid=1000", "cid=3"]
    except  = ["192.0.2.77", "cgi.example.org", "unknown", "paranoid"]
    to      = ["192.0.2.1", "2001:db8:1::/48"]
    during  = ["mon-fri 08:00-18:00", "sat 22:00-06:00", "sun"]
    env     = { ROLE = "$${staff} %%{x}", "A_B" = "\"q\"" }
    command = ["/usr/sbin/other", "-l", "a b"]
  }
  default = "allow"
  zone    = "Europe/Berlin"
}
limit "said" {
  responses = "90/s"
}
limit "odd" {
  concurrent   = 7
  rate         = "9/min"
  burst        = 3
  session      = "90m"
  first_byte   = "20s"
  min_rate     = "1025B/s"
  queue        = "1500ms"
  queue_length = 5
  max_load     = "1.25"
  exempt       = ["192.0.2.0/28", "2001:db8::7"]
  responses       = "200/min"
  responses_total = "9/s"
  per_source {
    concurrent  = 2
    rate        = "100/d"
    burst       = 1
    ipv4_prefix = 24
    ipv6_prefix = 56
    wider {
      ipv4_prefix = 20
      times       = 4
    }
    wider {
      ipv6_prefix = 40
      times       = 5
    }
  }
  penalty {
    on    = ["crash", "slow", "timeout", "violation"]
    first = "61s"
    max   = "2h"
    crash   = "90m"
    slow = "2s"
    timeout = "3s"
    violation = "4s"
  }
}
limit "drops" {
  concurrent = 9
  early_drop {
    start   = 3
    percent = 40
  }
}
profile "odd" {
  base = profile.login
}
service "odd" {
  listen         = ["tcp://:7001-7003", "tcp6://[2001:db8::1]:7004", "unix:/run/odd.sock", "vsock:77", "tcpmux:+odd", "tcpmux:+even"]
  command        = ["/usr/bin/odd", "$${x}", "tab\there"]
  argv0          = "-odd"
  user           = "nobody"
  group          = "nogroup"
  groups         = ["mail", "adm"]
  because        = "it is \"odd\""
  acl            = acl.odd
  limit          = limit.odd
  profile        = profile.odd
  stdio          = "socket"
  stdout         = "log"
  env            = { TZ = "UTC", "X_Y" = "%%{1}" }
  pass_env       = ["LANG"]
  env_style      = []
  dir            = "/tmp"
  umask          = "0027"
  nice           = "-5"
  oom_score      = 500
  banner         = { file = "hello.banner" }
  banner_accept  = "two\r\nlines\n"
  banner_success = "one"
  refuse         = "banner"
  keep_socket    = true
  hangup         = true
  idle           = "90s"
  linger         = "61s"
  log            = "refusals"
  retry          = true
  socket {
    mode           = "0660"
    owner          = "nobody"
    group          = "adm"
    backlog        = 99
    keepalive      = "2m"
    nodelay        = true
    interface      = "lo"
    freebind       = true
    transparent    = true
    send_buffer    = "65537B"
    receive_buffer = "256KiB"
    tos            = "ef"
    mark           = 7
    priority       = 4
  }
}
service "mux" {
  listen  = ["tcp://:tcpmux"]
  builtin = "tcpmux"
  idle    = "7m"
  acl     = acl.localhost
}
service "quotes" {
  listen  = ["udp://:qotd", "tcp://:qotd"]
  builtin = "qotd"
  says    = ["Less is more.", "So\nis \"more\"."]
  amplify = true
  limit   = limit.said
  acl     = acl.localhost
  disable = true
}
service "nobody" {
  listen         = ["tcp://127.0.0.1:7010"]
  redirect       = "192.0.2.1:80"
  proxy_protocol = "v2"
  keep_socket    = false
}
service "waits" {
  listen   = ["tcp://127.0.0.1:7011", "tcp://127.0.0.1:7012"]
  command  = ["/usr/bin/waits"]
  user     = "dynamic"
  wait     = true
  stdio    = "listen_fds"
  fd_names = ["http", "admin"]
  acl      = acl.anyone
}
`

// BenchmarkShown prints a thousand services.
func BenchmarkShown(b *testing.B) {
	doc, ds := Compile(bulk(1000))
	if doc == nil {
		b.Fatal(show(ds))
	}
	for b.Loop() {
		text, err := EffectivePolicy(doc)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(text)))
	}
}

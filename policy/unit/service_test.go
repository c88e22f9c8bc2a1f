package unit_test

import (
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/policy/unit"
)

const services = `
policy { edition = 1 }
acl "office" {
  deny {
    from = ["192.0.2.64/26"]
  }
  allow {
    from   = ["192.0.2.0/24", "2001:db8::/32", "uid=7"]
    except = ["192.0.2.0/26"]
  }
}
acl "named" {
  allow {
    from = ["192.0.2.0/24", ".example.org"]
  }
}
limit "few" {
  concurrent = 9
  session    = "90s"
  per_source {
    concurrent  = 2
    ipv4_prefix = 24
  }
}
profile "relay_own" {
  base = profile.relay
}
service "office" {
  listen    = ["tcp4://:7001-7002", "tcp6://:7003", "tcp://192.0.2.1:7004", "tcp://[2001:db8::1]:7005", "unix:/run/o%d", "vsock:77"]
  command   = ["/bin/true", "100% $HOME \"q\" \\ ;", "tab\there"]
  argv0     = "-true"
  user      = "daemon"
  group     = "nogroup"
  groups    = ["mail", "adm"]
  acl       = acl.office
  limit     = limit.few
  stdout    = "log"
  env       = { A = "b c $x %d" }
  pass_env  = ["TZ"]
  dir       = "/tmp"
  umask     = "0027"
  nice      = "-5"
  oom_score = 500
  socket {
    mode      = "0660"
    owner     = "daemon"
    keepalive = "2m"
    interface = "lo"
    nodelay   = true
    tos       = "ef"
  }
}
service "names" {
  listen  = ["tcp://:7006"]
  command = ["/bin/true"]
  user    = "dynamic"
  acl     = acl.named
  stdio   = "socket-all"
}
service "open" {
  listen  = ["udp://:7007"]
  command = ["/bin/true"]
  user    = "dynamic"
  acl     = acl.anyone
}
service "carried" {
  listen   = ["tcp://:7008"]
  redirect = "192.0.2.1:80"
  acl      = acl.localhost
}
`

func compile(t *testing.T) *policy.Document {
	t.Helper()
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "site.cm.hcl", Data: []byte(services)}})
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	return doc
}

// TestOfService: each thing that a service says is in its units. The acl is there as addresses where
// those say the same, and else nobody is admitted.
func TestOfService(t *testing.T) {
	doc := compile(t)
	for name, want := range map[string]string{
		"office": `ListenStream=0.0.0.0:7001
ListenStream=0.0.0.0:7002
ListenStream=[::]:7003
ListenStream=192.0.2.1:7004
ListenStream=[2001:db8::1]:7005
ListenStream=/run/o%%d
ListenStream=vsock::77
BindIPv6Only=ipv6-only
SocketMode=0660
SocketUser=daemon
KeepAliveTimeSec=120
BindToDevice=lo
NoDelay=yes
IPTOS=184
Accept=yes
MaxConnections=9
MaxConnectionsPerSource=2
IPAddressDeny=any
IPAddressAllow=192.0.2.128/25 2001:db8::/32
ExecStart=@/bin/true "-true" "100%% $$HOME \"q\" \\ ;" "tab\there"
StandardOutput=journal
StandardError=journal
User=daemon
Group=nogroup
SupplementaryGroups=adm mail
Environment="A=b c $x %%d"
PassEnvironment=TZ
WorkingDirectory=/tmp
UMask=0027
Nice=-5
OOMScoreAdjust=500
RuntimeMaxSec=90`,
		"names":   "IPAddressDeny=any\nDynamicUser=yes\nStandardError=socket\nListenStream=7006",
		"open":    "ListenDatagram=7007\nAccept=no",
		"carried": "ExecStart=/usr/lib/systemd/systemd-socket-proxyd 192.0.2.1:80\nAccept=no\nIPAddressAllow=127.0.0.0/8 ::1",
	} {
		units, err := unit.OfService(doc.Policy, doc.Policy.Service(name))
		if err != nil || len(units) != 2 {
			t.Fatalf("%s: %v", name, err)
		}
		text := "\n" + units[0].Text + units[1].Text
		for line := range strings.SplitSeq(want, "\n") {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s: no %s in%s", name, line, text)
			}
		}
		if has := strings.Contains(units[0].Text, "IPAddressAllow"); has != (name == "office" || name == "carried") || name == "open" && strings.Contains(units[0].Text, "IPAddress") {
			t.Errorf("%s: who may connect: %s", name, units[0].Text)
		}
	}
	builtin := policy.Service{Name: "e", Builtin: "echo", Profile: "strict"}
	if _, err := unit.OfService(doc.Policy, &builtin); err == nil {
		t.Error("a builtin has a unit")
	}
}

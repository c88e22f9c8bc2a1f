package importer

import (
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/policy"
)

func importS(t *testing.T, files ...string) (*Result, *policy.Policy) {
	t.Helper()
	var sources []policy.SourceFile
	for i := 0; i < len(files); i += 2 {
		sources = append(sources, policy.SourceFile{Name: files[i], Data: []byte(files[i+1])})
	}
	r, err := Systemd(sources)
	return r, compiled(t, r, err)
}

const (
	sshdSocket  = "[Unit]\nDescription=x\n\n[Socket]\nListenStream=22\nAccept=yes\n"
	sshdService = "[Service]\nExecStart=-/usr/sbin/sshd -i\nStandardInput=socket\n"
)

// TestSystemdDirectives: each directive is in the service, or in the report, and what would
// open it wider leaves it closed, or in a comment.
func TestSystemdDirectives(t *testing.T) {
	for _, c := range []struct{ socket, service, state, hcl, report string }{
		{"", "", "served", `listen  = ["tcp://:22"]`, ""},
		{"", "", "served", `because = "sshd.socket:1 has it run as root"`, ""},
		{"ListenStream=127.0.0.1:23", "", "served", `"tcp4://127.0.0.1:23"`, ""},
		{"ListenStream=[::1]:23", "", "served", `"tcp6://[::1]:23"`, ""},
		{"ListenStream=[::]:23", "", "served", `"tcp://:23"`, ""},
		{"BindIPv6Only=ipv6-only", "", "served", `"tcp6://:22"`, ""},
		{"ListenStream=/run/x.sock\nSocketMode=0660\nSocketUser=nobody\nSocketGroup=adm", "", "served", "mode  = \"0660\"", ""},
		{"ListenStream=@x", "", "served", `"unix:@x"`, ""},
		{"ListenSequentialPacket=/run/x", "", "served", `"unixpacket:/run/x"`, ""},
		{"ListenFIFO=/run/x", "", "off", "", "lost ListenFIFO= has no counterpart"},
		{"ListenStream=vsock:2:3", "", "served", `"vsock:2:3"`, ""},
		{"ListenStream=\nListenStream=vsock::7000\nMark=7", "", "served", `"vsock:7000"`, ""},
		{"ListenStream=vsock:x:3", "", "off", "", "lost is no address"},
		{"ListenDatagram=vsock:2:3", "", "off", "", "lost has no counterpart"},
		{"ListenStream=ssh", "", "off", "", "lost is no port"},
		{"MaxConnections=9\nMaxConnectionsPerSource=2", "", "served", "concurrent = 9", ""},
		{"TriggerLimitIntervalSec=10s\nTriggerLimitBurst=50", "", "served", "rate       = \"5/s\"\n  burst      = 50", "note TriggerLimit"},
		{"Backlog=64\nKeepAlive=yes", "", "served", "backlog   = 64\n    keepalive = \"2h\"", ""},
		{"Backlog=4294967295", "", "served", "backlog = 0", ""},
		{"NoDelay=yes", "", "served", "nodelay = true", ""},
		{"NoDelay=yes\nNoDelay=no", "", "served", "", ""},
		{"BindToDevice=eth0", "", "served", `interface = "eth0"`, ""},
		{"FreeBind=yes\nTransparent=yes\nMark=7\nPriority=6\nIPTOS=0x10\nSendBuffer=64K", "", "served",
			"freebind    = true\n    transparent = true\n    mark        = 7\n    priority    = 6\n    tos         = 16\n    send_buffer = \"64KiB\"", "note SendBuffer= is refused above"},
		{"ListenStream=/run/x.sock\nListenStream=\nListenStream=/run/x.sock\nMark=7\nNoDelay=yes\nReceiveBuffer=8K", "", "served", "receive_buffer = \"8KiB\"\n    mode           = \"0666\"\n", "note "},
		{"Priority=7", "", "served", "", "lost Priority= is not carried over"},
		{"IPTOS=low-delay", "", "served", "tos = 16", ""}, {"IPTOS=3", "", "served", "", "lost IPTOS= is not carried over"},
		{"ReceiveBuffer=1", "", "served", "", "lost ReceiveBuffer= is not carried over"},
		{"IPAddressDeny=any\nIPAddressAllow=10.0.0.0/8 localhost", "", "served", `from = ["10.0.0.0/8", "127.0.0.0/8", "::1"]`, ""},
		{"IPAddressDeny=10.0.0.0/33", "", "closed", "", "lost is no address"},
		{"Service=other.service", "", "off", "", "lost other.service is not among the files"},
		{"Accept=no", "", "off", "", "lost sshd.service is not among the files"},
		{"Odd=1", "", "served", "", "lost Odd= is not carried over"},
		{"FileDescriptorName=x", "", "served", "", "note FileDescriptorName="},
		{"nonsense", "", "served", "", "lost the line is not read"},
		{"", "User=nobody\nGroup=games\nSupplementaryGroups=mail adm", "served", `groups  = ["adm", "mail"]`, ""},
		{"", "DynamicUser=yes\nUser=x", "served", `user    = "dynamic"`, ""},
		{"", "UMask=027\nWorkingDirectory=/tmp", "served", `umask   = "0027"`, ""},
		{"", "Environment=A=1 \"B=x y\"", "served", `"B" = "x y"`, ""},
		{"", "Nice=-5\nOOMScoreAdjust=300\nPassEnvironment=TZ LANG\nPassEnvironment=TZ", "served", "pass_env  = [\"LANG\", \"TZ\"]\n  nice      = \"-5\"\n  oom_score = 300", ""},
		{"", "Nice=20", "served", "", "lost Nice= is not carried over"}, {"", "OOMScoreAdjust=-500", "served", "", "lost OOMScoreAdjust= is not carried over"}, {"", "Nice=3\nNice=0", "served", "", ""},
		{"", "EnvironmentFile=/etc/x", "served", "", "lost EnvironmentFile="},
		{"", "StandardError=socket", "served", `stdio   = "socket-all"`, ""},
		{"", "StandardInput=null", "served", `stdio   = "listen_fds"`, ""},
		{"", "StandardOutput=journal", "served", `stdout  = "log"`, ""}, {"", "StandardInput=null\nStandardOutput=journal+console", "served", `stdout  = "log"`, ""},
		{"", "StandardError=socket\nStandardOutput=journal", "served", `stdio   = "socket-all"`, "lost StandardOutput=journal"}, {"", "StandardOutput=file:/x", "served", "", "lost StandardOutput=file:/x"},
		{"", "RuntimeMaxSec=10min", "served", `session    = "10m"`, ""},
		{"", "LimitNOFILE=4096", "served", "open_files = 4096", ""}, {"", "LimitNOFILE=4096", "served", `widens = ["resources"]`, ""},
		{"", "MemoryMax=64M\nTasksMax=infinity", "served", `tasks  = "unlimited"`, ""},
		{"", "LimitCPU=1min", "served", "", "lost LimitCPU= is not carried over"},
		{"", "ProtectSystem=strict", "served", "", "note ProtectSystem="},
		{"", "CapabilityBoundingSet=CAP_CHOWN", "served", "", "lost CapabilityBoundingSet="},
		{"", "RootDirectory=/srv", "off", "", "lost RootDirectory= has no counterpart"},
		{"", "ExecStart=/bin/other", "off", "", "lost there are several ExecStart="},
		{"", "ExecStart=\nExecStart=/bin/cat \"a b\" 100%%  $$x", "served", `["/bin/cat", "a b", "100%", "$x"]`, ""},
		{"", "ExecStart=\nExecStart=/bin/cat %i", "off", "#   command = [\"/bin/cat\", \"%i\"]\n", "lost specifiers"},
		{"", "ExecStart=\nExecStart=/bin/cat %{x} '%", "off", "", "lost its command"},
		{"", "ExecStart=\nExecStart=/bin/cat ${X}", "off", "", "lost variables"},
		{"", "ExecStart=\nExecStart=+/bin/cat", "off", "", "lost more rights"},
		{"", "ExecStart=\nExecStart=/bin/cat \\\n  -u", "served", `["/bin/cat", "-u"]`, ""},
		{"", "ExecStart=\nExecStart=@/bin/cat dog -u", "served", `argv0   = "dog"`, ""},
		{"", "ExecStartPre=/bin/true", "served", "", "lost ExecStartPre="},
		{"", "[Unit]\nConditionPathExists=/x", "served", "", "lost ConditionPathExists= is not looked at"},
		{"", "IPAddressDeny=any", "served", "", "lost IPAddressDeny="},
	} {
		socket, service := sshdSocket+c.socket+"\n", sshdService+c.service+"\n"
		r, p := importS(t, "sshd.socket", socket, "sshd@.service", service)
		accounted(t, r, "sshd.socket", socket)
		accounted(t, r, "sshd@.service", service)
		state := "off"
		if len(p.Services) == 1 {
			if state = "served"; p.Services[0].ACL == "nobody" {
				state = "closed"
			}
		}
		if state != c.state || !strings.Contains(string(r.HCL), c.hcl) {
			t.Errorf("%q %q: %s, want %s with %q\n%s%v", c.socket, c.service, state, c.state, c.hcl, r.HCL, r.Losses)
		}
		kind, words, _ := strings.Cut(c.report, " ")
		if c.report != "" && !slices.ContainsFunc(r.Losses, func(l Loss) bool { return string(l.Kind) == kind && strings.Contains(l.String(), words) }) {
			t.Errorf("%q %q: no %q in %v", c.socket, c.service, c.report, r.Losses)
		}
	}
}

// TestSystemdWait: without Accept the program takes its clients itself, from the sockets
// that it is handed; rules about addresses cannot be held then.
func TestSystemdWait(t *testing.T) {
	_, p := importS(t, "x.socket", "[Socket]\nListenStream=7000\nListenDatagram=7000\n", "x.service", "[Service]\nExecStart=/bin/cat\nUser=nobody\n")
	if s := p.Service("x"); s == nil || !s.Wait || s.Stdio != "listen_fds" || len(s.Listen) != 2 || p.Limit("x").Rate.Events != 10 {
		t.Errorf("%+v", p.Services)
	}
	r, p := importS(t, "x.socket", "[Socket]\nListenStream=7000\nIPAddressDeny=any\n", "x.service", "[Service]\nExecStart=/bin/cat\nUser=nobody\n")
	if len(p.Services) != 0 || r.Lost != 1 || !strings.Contains(r.Losses[0].Reason, "not enforceable with wait") {
		t.Errorf("%+v %v", p.Services, r.Losses)
	}
	r, _ = importS(t, "x.service", sshdService, "y.target", "")
	if r.Lost != 2 {
		t.Errorf("%v", r.Losses)
	}
	for text, want := range map[string]string{"": "x.service", "[Socket]\nAccept=yes\n": "x@.service", "[Socket]\nService=y.service\n": "y.service", "[Socket]\nService=../z.service\n": "z.service"} {
		if got, _ := SystemdService("/a/x.socket", []byte(text)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// TestSystemdTrigger: what is said of TriggerLimit stands at its line.
func TestSystemdTrigger(t *testing.T) {
	r, _ := importS(t, "sshd.socket", "[Socket]\nListenStream=22\nAccept=yes\nTriggerLimitBurst=5\n", "sshd@.service", sshdService)
	if !slices.ContainsFunc(r.Losses, func(l Loss) bool {
		return l.Line == 4 && l.Text == "TriggerLimitBurst=5" && strings.HasPrefix(l.Reason, "what is above TriggerLimit")
	}) {
		t.Errorf("%v", r.Losses)
	}
}

// TestSystemdAddresses: what is allowed is, whatever is denied; who is in neither list is.
func TestSystemdAddresses(t *testing.T) {
	_, p := importS(t, "sshd.socket", sshdSocket+"IPAddressAllow=10.1.0.0/16\nIPAddressDeny=10.0.0.0/8 multicast\n", "sshd@.service", sshdService)
	for addr, want := range map[string]acl.Verdict{"10.1.2.3": acl.Allow, "10.2.2.3": acl.Deny, "192.0.2.1": acl.Allow, "2001:db8::1": acl.Allow, "ff02::1": acl.Deny} {
		if got := decided(t, p, "sshd", addr, ""); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

// FuzzSystemd: whatever the units, a policy comes out that compiles, and no line is dropped.
func FuzzSystemd(f *testing.F) {
	f.Add(sshdSocket, sshdService)
	f.Add("[Socket]\nListenStream=/x\nSocketMode=99\n;c\nBacklog=x\\\n", "[Service]\nExecStart=/x \"\\q\nLimitAS=9G:1\nEnvironment=A='\n")
	f.Fuzz(func(t *testing.T, socket, service string) {
		r, err := Systemd([]policy.SourceFile{{Name: "a.socket", Data: []byte(socket)}, {Name: "a@.service", Data: []byte(service)}})
		compiled(t, r, err)
		accounted(t, r, "a.socket", strings.ReplaceAll(socket, "\r", ""))
	})
}

package netdb

import "testing"

func TestServices(t *testing.T) {
	s, bad := ParseServices([]byte("# /etc/services\ntelnet\t23/tcp\nfinger 79/tcp\tfing # comment\nfinger 7979/tcp\nsyslog 514/udp\nshell 514/tcp cmd syslog\nbroken\nworse x/tcp\nnone 0/tcp\nbare 7\n sctp 9/sctp\n"))
	for _, tt := range []struct {
		name, protocol string
		port           uint16
	}{{"telnet", "tcp", 23}, {"telnet", "udp", 0}, {"finger", "tcp", 79}, {"fing", "tcp", 79}, {"syslog", "udp", 514}, {"syslog", "tcp", 514}, {"cmd", "tcp", 514}, {"FINGER", "tcp", 0}} {
		if port, ok := s.Port(tt.name, tt.protocol); port != tt.port || ok != (port != 0) {
			t.Errorf("%s/%s is %d, %v", tt.name, tt.protocol, port, ok)
		}
	}
	if len(bad) != 4 || bad[0] != (Bad{7, `"broken" has no port`}) || bad[1].Line != 8 || bad[2].Line != 9 || bad[3].Line != 10 {
		t.Errorf("%v", bad)
	}
}

func TestProtocols(t *testing.T) {
	if bad := CheckProtocols([]byte("ip 0 IP\ntcp 6 TCP # comment\nudp\t17\tUDP\nsctp 132\nmptcp 262 MPTCP\n")); bad != nil {
		t.Errorf("%v", bad)
	}
	if bad := CheckProtocols([]byte("tcp 262\nx\ny 70000\nz 9 udp\n")); len(bad) != 4 || bad[0].Line != 1 || bad[3].Summary != "udp has number 9 here, and is 17" {
		t.Errorf("%v", bad)
	}
}

func FuzzServices(f *testing.F) {
	f.Add([]byte("telnet 23/tcp a b\n#\nx"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, _ := ParseServices(text)
		for _, name := range s.Names() {
			if name == "" {
				t.Error("a service without a name")
			}
		}
		CheckProtocols(text)
	})
}

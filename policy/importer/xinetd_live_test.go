package importer

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/acl"
	"casemate/policy"
	"casemate/tests/root/rig"
)

// live is an xinetd with many services, each with lists of its own.
type live struct {
	conf     strings.Builder
	ports    []int
	addrs    []netip.Addr
	services []string
}

// TestDecidesAsXinetd asks a real xinetd, which make deps-test unpacks, over loopback: clients have addresses of 127.0.0.0/8 and ::1, services have random lists, and
// lines that xinetd does not look at. Whom it serves, the imported policy admits, and nobody else;
// CASEMATE_XINETD_SEED asks for other lists.
func TestDecidesAsXinetd(t *testing.T) {
	xinetd, err := filepath.Abs("../../.cache/apart/xinetd/usr/sbin/xinetd")
	if err != nil {
		t.Fatal(err)
	}
	if exec.Command(xinetd, "-version").Run() != nil {
		if xinetd, err = exec.LookPath("xinetd"); err != nil {
			t.Log("there is no xinetd to ask: make deps-test unpacks one")
			return
		}
	}
	if os.Geteuid() == 0 && !rig.Alone(t, 5*time.Minute) { // others take ports as well
		return
	}
	r := rand.New(rand.NewPCG(4, uint64(len(os.Getenv("CASEMATE_XINETD_SEED")))))
	l := &live{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("127.1.0.1"), netip.MustParseAddr("127.1.1.9"), netip.MustParseAddr("::1")}}
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	list := func() (s string) {
		for range r.IntN(4) {
			s += " " + pick("127.0.0.0", "127.0.0.1", "127.0.0.2/32", "127.0.0.0/8", "127.0.0.0/24", "127.1.0.0", "127.{0,1}", "127.1.{0,1}", "127.1.1.{9,10}", "0.0.0.0", "::1", "::/0", "::", "10.0.0.0", "127.0.0.1/31", "fe80::/10")
		}
		return s
	}
	l.conf.WriteString("defaults\n{\n\tno_access = 127.1.1.0\n\tonly_from = 127.0.0.0 ::1\n}\n")
	const services = 60
	var probes []net.Listener
	for i := range services {
		probe, err := net.Listen("tcp", "[::]:0")
		for err != nil || probe.Addr().(*net.TCPAddr).Port > 32000 { // others connect from the ports above
			if err == nil {
				probe.Close()
			}
			probe, err = net.Listen("tcp", fmt.Sprintf("[::]:%d", 20000+r.IntN(12000)))
		}
		port := probe.Addr().(*net.TCPAddr).Port
		probes = append(probes, probe)
		name := fmt.Sprintf("s%d", i)
		l.ports, l.services = append(l.ports, port), append(l.services, name)
		fmt.Fprintf(&l.conf, "service %s\n{\n\ttype = UNLISTED\n\tsocket_type = stream\n\twait = no\n\tuser = root\n\tserver = /bin/echo\n\tserver_args = served\n\tport = %d\n\tcps = 10000 1\n", name, port)
		fmt.Fprintf(&l.conf, "\tflags = NOLIBWRAP %s\n", pick("", "IPv4", "IPv6", "IPv4 IPv6"))
		for range r.IntN(4) * min(1, services-1-i) { // the last one is open
			fmt.Fprintf(&l.conf, "\t%s %s%s\n", pick("only_from", "no_access"), pick("=", "+=", "-="), list())
		}
		if r.IntN(3) == 0 && i < services-1 {
			l.conf.WriteString("\t" + pick("bogus = 1", "port = 1", "wait = yes", "flags += IPv6", "disable = no", "v6only = no") + "\n")
		}
		l.conf.WriteString("}\n")
	}
	for _, probe := range probes { // open until now, for no two to have one port
		probe.Close()
	}
	conf := filepath.Join(t.TempDir(), "xinetd.conf")
	if err = os.WriteFile(conf, []byte(l.conf.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(xinetd, "-dontfork", "-f", conf, "-pidfile", conf+".pid", "-filelog", conf+".log")
	cmd.Stderr = os.Stderr
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	res, err := Xinetd(tree(map[string]string{"/x": l.conf.String()}), []string{"/x"}, Facts{})
	p := compiled(t, res, err)
	l.ready(t)
	differences, admitted, narrower := 0, 0, 0
	for i, port := range l.ports {
		for _, a := range l.addrs {
			want := served(a, port)
			if want {
				admitted++
			}
			got := admits(t, p, l.services[i], a)
			text := section(l.conf.String(), l.services[i])
			if doubtful := strings.Contains(text, "-=") || strings.Contains(text[1:], "{"); doubtful && want && !got {
				narrower++ // both are taken less openly than xinetd does
				continue
			}
			if got != want {
				if differences++; differences < 8 {
					t.Errorf("%s from %s: %v, xinetd %v\n%s", l.services[i], a, got, want, text)
				}
			}
		}
	}
	if t.Failed() {
		log, _ := os.ReadFile(conf + ".log")
		t.Logf("%s", log[:min(len(log), 4000)])
	}
	t.Logf("%d cases, %d admitted, %d differences; %d narrower", services*len(l.addrs), admitted, differences, narrower)
}

// ready waits until the last port is open that xinetd opens: one that nobody knows how to
// keep shut.
func (l *live) ready(t *testing.T) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.ports[len(l.ports)-1]))
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// served tells whether a client of an address is answered.
func served(a netip.Addr, port int) bool {
	host := "127.0.0.1"
	if a.Is6() {
		host = "::1"
	}
	d := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: a.AsSlice()}}
	c, err := d.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 16)
	n, _ := c.Read(buf)
	return string(buf[:n]) == "served\n"
}

// admits tells whether a policy serves a client: on its family, by its acl.
func admits(t *testing.T, p *policy.Policy, service string, a netip.Addr) bool {
	s := p.Service(service)
	if s == nil || a.Is6() && s.Listen[0].Network == "tcp4" || a.Is4() && s.Listen[0].Network == "tcp6" {
		return false
	}
	return decided(t, p, service, a.String(), "unknown") == acl.Allow
}

func section(conf, service string) string {
	_, after, _ := strings.Cut(conf, "service "+service+"\n")
	text, _, _ := strings.Cut(after, "\n}\n")
	return text
}

package root

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// nameRules are the services of the test: what each admits is its name.
var nameRules = map[string]string{
	"org":      `allow { from = [".example.org"] }`,
	"decent":   `deny { from = [".evil.example", "unknown", "paranoid"] }` + "\n" + `allow { from = ["any"] }`,
	"except":   "allow {\nfrom = [\"any\"]\nexcept = [\".evil.example\", \"unknown\", \"paranoid\"]\n}",
	"known":    `allow { from = ["known"] }`,
	"unknown":  `allow { from = ["unknown"] }`,
	"paranoid": `allow { from = ["paranoid"] }`,
	"plain":    `allow { from = ["127.0.0.0/8"] }`,
}

// named is a broker with those services, each of which tells its client's name.
func named(t *testing.T) (b *rig.Broker, ports map[string]string) {
	t.Helper()
	ports = map[string]string{}
	var s strings.Builder
	s.WriteString(head)
	for name, rules := range nameRules {
		ports[name] = rig.Port(t)
		fmt.Fprintf(&s, "\nacl %q {\n%s\n}\n", name, rules)
		s.WriteString(service(name, "tcp://127.0.0.1:"+ports[name], []string{"/bin/sh", "-c", `echo "name $${TCPREMOTEHOST-none}"`},
			"profile = profile.server", "acl = acl."+name, `banner = "go away"`))
	}
	ports["udp"] = rig.Port(t)
	s.WriteString(service("udp", "udp://127.0.0.1:"+ports["udp"], []string{"/usr/bin/head", "-c", "4"}, "profile = profile.line", "acl = acl.either"))
	s.WriteString("\nacl \"either\" {\nallow { from = [\".example.org\", \"127.3.4.1\"] }\n}\n")
	text := strings.ReplaceAll(s.String(), `listen  = ["tcp://127.0.0.1:`+ports["org"]+`"]`,
		fmt.Sprintf(`listen  = ["tcp://127.0.0.1:%[1]s", "tcp://[::1]:%[1]s"]`, ports["org"]))
	return rig.Serve(t, text), ports
}

// visit connects from the source address and returns the answer and how long
// it took.
func visit(source, port string) (string, time.Duration, error) {
	began := time.Now()
	to := "127.0.0.1"
	if strings.Contains(source, ":") {
		to = "::1"
	}
	d := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("tcp", net.JoinHostPort(to, port))
	if err != nil {
		return "", 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(began.Add(30 * time.Second)); err != nil {
		return "", 0, err
	}
	text, err := io.ReadAll(io.LimitReader(c, 1000))
	return string(text), time.Since(began), err
}

const goAway = "go away\r\n"

// TestHostNames asks a real resolver about clients that have a confirmed name, a
// forged one, none, or a name server that never answers.
func TestHostNames(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	cover(t, "/etc/resolv.conf", "nameserver 127.0.0.53\nsearch example.org\n")
	cover(t, "/etc/hosts", "127.0.0.1\tlocalhost casemate-test localhost.localdomain\n127.0.0.1 more.names.example\n127.1.0.10 files.example.org files\n")
	if _, err := os.Stat("/etc/nsswitch.conf"); err == nil {
		cover(t, "/etc/nsswitch.conf", "hosts: files dns\n")
	}
	dns := startDNS(t, "127.0.0.53:53")
	b, ports := named(t)
	t.Run("verdicts", func(t *testing.T) { testVerdicts(t, b, ports) })
	t.Run("udp", func(t *testing.T) { testNamesUDP(t, b, ports["udp"]) })
	t.Run("mute", func(t *testing.T) { testMute(t, ports) })
	t.Run("one source", func(t *testing.T) { testOneSource(t, b, ports) })
	t.Run("flood", func(t *testing.T) { testNameFlood(t, b, ports, dns) })
	t.Run("lost worker", func(t *testing.T) { testLostWorker(t, b, ports) })
}

func testVerdicts(t *testing.T, b *rig.Broker, ports map[string]string) {
	confirmed, none := "org decent except known", ""
	var wg sync.WaitGroup
	for _, c := range []struct{ what, source, admits, name string }{
		{"confirmed", "127.1.0.1", confirmed, "good.example.org"},
		{"forged", "127.1.0.2", "paranoid", ""},
		{"no name", "127.1.0.3", "unknown", ""},
		{"mute", "127.2.0.1", none, ""},
		{"mute when asked back", "127.1.0.5", none, ""},
		{"confirmed evil", "127.1.0.6", "known", "host.evil.example"},
		{"broken server", "127.1.0.7", none, ""},
		{"two names, one forged", "127.1.0.8", confirmed, "second.example.org"},
		{"search list", "127.1.0.9", "paranoid", ""},
		{"hosts file", "127.1.0.10", confirmed, "files.example.org"},
		{"several names in the hosts file", "127.0.0.1", "decent except known", "localhost"},
	} {
		for name := range nameRules {
			port, want := ports[name], goAway
			if strings.Contains(" "+c.admits+" ", " "+name+" ") {
				want = "name " + c.name + "\n"
				if c.name == "" {
					want = "name none\n"
				}
			}
			if name == "plain" {
				want = "name none\n"
			}
			wg.Go(func() {
				got, took, err := visit(c.source, port)
				if err != nil || got != want {
					t.Errorf("%s (%s) to %s: %q after %s (%v), want %q", c.what, c.source, name, got, took, err, want)
				}
			})
		}
	}
	wg.Wait()
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Logf("no IPv6 here: %v", err)
	} else {
		l.Close()
		if got, _, err := visit("::1", ports["org"]); err != nil || got != "name six.example.org\n" {
			t.Errorf("::1: %q (%v), want six.example.org", got, err)
		}
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "decision", "client", "127.1.0.1", "service", "org", "client_name", "good.example.org", "verdict", "allow"); err != nil {
		t.Error(err)
	}
}

// testNamesUDP: for a datagram no name is asked, since it would hold up those
// behind it in the socket's queue. Rules by address decide at once.
func testNamesUDP(t *testing.T, b *rig.Broker, port string) {
	for _, source := range []string{"127.2.4.1", "127.1.0.1"} {
		silent(t, b, "udp", "acl", source, "127.0.0.1:"+port)
	}
	if got, err := datagram("127.3.4.1", "127.0.0.1:"+port, "ping"); err != nil || got != "ping" {
		t.Errorf("by udp: %q (%v), want an answer", got, err)
	}
}

// testMute: clients whose names hang keep nobody else waiting.
func testMute(t *testing.T, ports map[string]string) {
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			service := []string{"org", "decent"}[i%2]
			got, took, err := visit(fmt.Sprintf("127.2.1.%d", i+1), ports[service])
			if err != nil || got != goAway || took < time.Second || took > resolved+crowded {
				t.Errorf("mute client of %s: %q after %s (%v), want a refusal after the resolver's deadline", service, got, took, err)
			}
		})
	}
	quick := quickest{}
	for i, service := range []string{"plain", "org", "plain", "org", "plain", "org"} {
		quick.visit(t, fmt.Sprintf("127.3.0.%d", i+1), service, ports[service])
	}
	quick.judge(t, "beside hanging lookups")
	wg.Wait()
}

// A lookup that hangs is given up after resolved; crowded is what a crowded machine may take longer.
const (
	resolved = 2 * time.Second
	crowded  = 15 * time.Second
)

// quickest is the least time that each service took for an answer: whoever waits
// for a lookup that hangs needs the resolver's deadline each time, whoever waits for
// a processor does not.
type quickest map[string]time.Duration

func (q quickest) visit(t *testing.T, source, service, port string) {
	t.Helper()
	got, took, err := visit(source, port)
	if err != nil || !strings.HasPrefix(got, "name ") {
		t.Errorf("%s: %q after %s (%v), want an answer", service, got, took, err)
	}
	if least, ok := q[service]; !ok || took < least {
		q[service] = took
	}
}

func (q quickest) judge(t *testing.T, when string) {
	t.Helper()
	for service, took := range q {
		if took > time.Second {
			t.Errorf("%s: an answer of %s took %s at least, want it at once", when, service, took)
		}
	}
}

// testOneSource: one address cannot hold more than a few connections open by
// keeping its name server silent.
func testOneSource(t *testing.T, b *rig.Broker, ports map[string]string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	quick := 0
	for range 40 {
		wg.Go(func() {
			got, took, err := visit("127.2.2.1", ports["org"])
			if err != nil || got != goAway {
				t.Errorf("%q after %s (%v), want a refusal", got, took, err)
			}
			if took < resolved/2 {
				mu.Lock()
				quick++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if quick < 32 {
		t.Errorf("%d of 40 connections of one source were refused at once, want 32", quick)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "decision", "client", "127.2.2.1", "verdict", "deny", "reason", "names"); err != nil {
		t.Error(err)
	}
}

// testNameFlood: 300 clients with mute name servers at the same time cost a
// bounded number of lookups and a bounded time.
func testNameFlood(t *testing.T, b *rig.Broker, ports map[string]string, dns *nameServer) {
	before := counters(t, b)
	worker := namesWorker(t, b)
	began := time.Now()
	asked := dns.count()
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			if got, took, err := visit(fmt.Sprintf("127.2.%d.%d", 10+i/100, 1+i%100), ports["org"]); err != nil || got != goAway {
				t.Errorf("%q after %s (%v), want a refusal", got, took, err)
			}
		})
	}
	sockets, quick := 0, quickest{}
	for time.Since(began) < 1500*time.Millisecond || sockets < 16 && time.Since(began) < crowded {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", worker))
		if err != nil {
			t.Fatal(err)
		}
		sockets = max(sockets, len(fds))
		quick.visit(t, "127.0.0.9", "plain", ports["plain"])
	}
	quick.judge(t, "beside 300 lookups")
	wg.Wait()
	if d := time.Since(began); d > 3*resolved+crowded {
		t.Errorf("the last of 300 clients was refused after %s", d)
	}
	if sockets < 16 || sockets > 64+24 {
		t.Errorf("the worker had %d descriptors open, want one for each of 64 lookups and a few", sockets)
	}
	t.Logf("%d questions, %d descriptors, %s", dns.count()-asked, sockets, time.Since(began))
	if got, took, err := visit("127.3.1.1", ports["org"]); err != nil || got != "name h127-3-1-1.example.org\n" {
		t.Errorf("after the flood: %q after %s (%v)", got, took, err)
	}
	quiet(t, b, before)
}

// namesWorker is the process that asks; a lookup has started it.
func namesWorker(t *testing.T, b *rig.Broker) int {
	t.Helper()
	children, err := rig.Children(b.PID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range children {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.PID))
		if err == nil && strings.HasPrefix(string(args), "casemate-worker\x00names\x00") {
			return c.PID
		}
	}
	t.Fatal("casemate-worker names does not run")
	return 0
}

// testLostWorker: what a worker was asked that dies, the next one is asked; later
// clients have their answers too.
func testLostWorker(t *testing.T, b *rig.Broker, ports map[string]string) {
	pid := namesWorker(t, b)
	rig.Signal(t, pid, unix.SIGSTOP) // it answers nobody
	answered := make(chan string, 1)
	go func() {
		got, _, err := visit("127.1.0.1", ports["org"])
		answered <- fmt.Sprintf("%q %v", got, err)
	}()
	time.Sleep(300 * time.Millisecond) // the question is with the worker
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got, want := <-answered, `"name good.example.org\n" <nil>`; got != want {
		t.Errorf("a client that waited when the worker died: %s, want %s", got, want)
	}
	if err := rig.Until(30*time.Second, func() error {
		got, _, err := visit("127.1.0.1", ports["org"])
		if err == nil && got != "name good.example.org\n" {
			err = fmt.Errorf("answer %q", got)
		}
		return err
	}); err != nil {
		t.Errorf("after the worker's death: %v", err)
	}
}

package root

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// dialFrom connects from a loopback address of the caller's choice.
func dialFrom(source, port string) (*net.TCPConn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 30 * time.Second}
	c, err := d.Dial("tcp4", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(30 * time.Second))
}

// order sends one line from source and returns the answer; a refusal is an error.
func order(source, port, line string) (string, error) {
	c, err := dialFrom(source, port)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// served and refused are what a client at source is to find.
func served(t *testing.T, source, port string) {
	t.Helper()
	if got, err := order(source, port, "please"); err != nil || got != "served please\n" {
		t.Errorf("%s got %q (%v), want to be served", source, got, err)
	}
}

func refused(t *testing.T, source, port string) {
	t.Helper()
	if got, err := order(source, port, "please"); err == nil || got != "" {
		t.Errorf("%s got %q (%v), want to be refused", source, got, err)
	}
}

// servedWithin polls until source is served.
func servedWithin(t *testing.T, limit time.Duration, source, port string) time.Duration {
	t.Helper()
	began := time.Now()
	if err := rig.Until(limit, func() error {
		got, err := order(source, port, "please")
		if err == nil && got != "served please\n" {
			err = fmt.Errorf("answer %q", got)
		}
		return err
	}); err != nil {
		t.Errorf("%s is not served again: %v", source, err)
	}
	return time.Since(began)
}

// obedient serves the program that does what its client says under the limit
// block called it.
func obedient(t *testing.T, limit string, extra ...string) (b *rig.Broker, port string) {
	t.Helper()
	rig.Root(t)
	program := rig.Compile(t, "testdata/manners.c")
	port = rig.Port(t)
	extra = append([]string{"profile = profile.strict", "limit = limit.it"}, extra...)
	return rig.Serve(t, head+limit+service("it", "tcp://127.0.0.1:"+port, []string{program, "serve"}, extra...)), port
}

// refusedBy is how many clients the service's status says a limit refused.
func refusedBy(t *testing.T, b *rig.Broker, name, reason string) uint64 {
	t.Helper()
	s, err := b.Service(name)
	if err != nil {
		t.Fatal(err)
	}
	return s.RefusedBy[reason]
}

// TestRateSurvivesReload: a reload, also one that changes the limit block, gives
// nobody a fresh budget, and a source that used its own up takes nobody else's.
func TestRateSurvivesReload(t *testing.T) {
	limit := func(burst int) string {
		return fmt.Sprintf("limit \"it\" {\n  session = \"60s\"\n  per_source {\n    rate = \"2/h\"\n    burst = %d\n  }\n}\n", burst)
	}
	b, port := obedient(t, limit(2))
	served(t, "127.0.0.1", port)
	served(t, "127.0.0.1", port)
	refused(t, "127.0.0.1", port)
	text := readPolicy(t, b)
	for _, change := range []string{text + "\nacl \"more\" {\n}\n", strings.Replace(text, "session = \"60s\"", "session = \"50s\"", 1)} {
		if err := b.WritePolicy("test.cm.hcl", change); err != nil {
			t.Fatal(err)
		}
		reload(t, b, "")
		refused(t, "127.0.0.1", port)
	}
	served(t, "127.0.0.2", port)
	served(t, "127.0.0.2", port)
	refused(t, "127.0.0.2", port)
	if n := refusedBy(t, b, "it", "source-rate"); n != 4 {
		t.Errorf("status counts %d refusals by source-rate, want 4", n)
	}
}

func readPolicy(t *testing.T, b *rig.Broker) string {
	t.Helper()
	return must(t, "cat", b.Policy+"/test.cm.hcl")
}

// TestConcurrency: places are counted for the service and for each source, and
// are free again when a session ends, however it ends.
func TestConcurrency(t *testing.T) {
	b, port := obedient(t, "limit \"it\" {\n  concurrent = 3\n  session = \"60s\"\n  per_source {\n    concurrent = 2\n  }\n}\n")
	hold := func(source string) *net.TCPConn {
		t.Helper()
		c, err := dialFrom(source, port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	live := func(n int) {
		t.Helper()
		if err := rig.Until(30*time.Second, func() error {
			s, err := b.Service("it")
			if err == nil && s.Live != n {
				err = fmt.Errorf("%d live, want %d", s.Live, n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	first := hold("127.0.0.1")
	hold("127.0.0.1")
	live(2)
	refused(t, "127.0.0.1", port)
	served(t, "127.0.0.2", port)
	live(2)
	second := hold("127.0.0.2")
	live(3)
	refused(t, "127.0.0.3", port)
	_, _ = second.Write([]byte("crash\n"))
	live(2)
	served(t, "127.0.0.3", port)
	first.Close()
	live(1)
	served(t, "127.0.0.1", port)
	if a, c := refusedBy(t, b, "it", "source-concurrency"), refusedBy(t, b, "it", "concurrency"); a != 1 || c != 1 {
		t.Errorf("status counts %d and %d refusals, want 1 and 1", a, c)
	}
}

// TestSessionLimit: at its end a session is asked, and two seconds later ended.
func TestSessionLimit(t *testing.T) {
	rig.Root(t)
	manners, rogue := rig.Compile(t, "testdata/manners.c"), rig.Compile(t, "testdata/rogue.c")
	polite, deaf := rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+"limit \"brief\" {\n  session = \"2s\"\n}\n"+
		service("polite", "tcp://127.0.0.1:"+polite, []string{manners, "polite"}, "profile = profile.strict", "limit = limit.brief")+
		service("deaf", "tcp://127.0.0.1:"+deaf, []string{rogue, "deaf"}, "profile = profile.strict", "limit = limit.brief"))
	began := time.Now()
	gone, err := rig.Dial(deaf)
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	if got, err := rig.Exchange(polite, ""); err != nil || got != "ready\nasked to end\n" {
		t.Errorf("the polite one said %q (%v)", got, err)
	}
	if d := time.Since(began); d < 2*time.Second || d > 15*time.Second {
		t.Errorf("it was asked after %s", d)
	}
	if _, err := io.ReadAll(gone); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("the deaf one's client: %v", err)
	}
	if d := time.Since(began); d < 3900*time.Millisecond || d > 15*time.Second {
		t.Errorf("the deaf one was ended after %s, want 4 s", d)
	}
	if r := record(t, b, "polite", "reason", "timeout"); r.Str("exit") != "0" {
		t.Errorf("the polite one's record: %v", r)
	}
	if r := record(t, b, "deaf", "reason", "timeout"); !strings.Contains(r.Str("signal"), "KILL") {
		t.Errorf("the deaf one's record: %v", r)
	}
}

// penalties shut a source out for so long at its first offence, and for twice as
// long at most.
func penalties(seconds int) string {
	return fmt.Sprintf(`
limit "it" {
  session = "1h"
  penalty {
    on    = ["crash", "violation"]
    first = "%ds"
    max   = "%ds"
  }
}
`, seconds, 2*seconds)
}

// TestPenalties: a source that crashes the service, or makes it break its
// profile, is shut out for a while, and nobody else is; behind an init as without one.
func TestPenalties(t *testing.T) {
	rig.Root(t)
	const first = 10 // s, in which a crowded machine can ask three times and reload once
	program := rig.Compile(t, "testdata/manners.c")
	ports, text := map[string]string{}, head+penalties(first)+"\nprofile \"init\" {\n  base = profile.strict\n  init = true\n}\n"
	for _, profile := range []string{"strict", "init"} {
		ports[profile] = rig.Port(t)
		text += service(profile, "tcp://127.0.0.1:"+ports[profile], []string{program, "serve"}, "profile = profile."+profile, "limit = limit.it")
	}
	b := rig.Serve(t, text)
	type source struct{ address, port string }
	began := map[source]time.Time{}
	for name, port := range ports {
		for i, offence := range []string{"crash", "violate"} {
			guilty := fmt.Sprintf("127.0.0.%d", 11+i)
			served(t, guilty, port)
			began[source{guilty, port}] = time.Now()
			if got, _ := order(guilty, port, offence); got != "" {
				t.Errorf("%s was answered with %q", offence, got)
			}
			end := map[string][]string{"crash": {"reason", "crash"}, "violate": {"reason", "violation", "signal", "SIGSYS"}}[offence]
			if _, err := b.Await(1, 30*time.Second, append(end, "msg", "session", "service", name)...); err != nil {
				t.Fatal(err)
			}
			refused(t, guilty, port)
			served(t, "127.0.0.2", port)
			reload(t, b, "") // changes nothing of that
			refused(t, guilty, port)
		}
	}
	for guilty, since := range began {
		servedWithin(t, 30*time.Second, guilty.address, guilty.port)
		if d := time.Since(since); d < first*time.Second {
			t.Errorf("%v: the penalty of %d s was over after %s", guilty, first, d)
		}
	}
	for name := range ports {
		if n := refusedBy(t, b, name, "penalty"); n < 4 {
			t.Errorf("status of %s counts %d refusals by penalty, want 4 and more", name, n)
		}
	}
}

// TestExplainSaysRefusedNow: while a penalty stands, explain's first line tells its source so,
// with the seconds that are left, and nobody else.
func TestExplainSaysRefusedNow(t *testing.T) {
	b, port := obedient(t, penalties(300))
	first := func(client string) string {
		code, said, errs := casemate(t, b, "explain", "it", client)
		line, _, _ := strings.Cut(said, "\n")
		if code == 1 {
			t.Errorf("explain: %s%s", said, errs)
		}
		return line
	}
	if line := first("127.0.0.1"); !strings.HasPrefix(line, "allow  it from 127.0.0.1") {
		t.Errorf("before: %q", line)
	}
	_, _ = order("127.0.0.1", port, "crash")
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "reason", "crash"); err != nil {
		t.Fatal(err)
	}
	var left int
	if line := first("127.0.0.1"); !strings.HasPrefix(line, "refused now (penalty, ") {
		t.Errorf("within the penalty: %q", line)
	} else if _, err := fmt.Sscanf(line, "refused now (penalty, %d s left)  it from 127.0.0.1", &left); err != nil || left < 1 || left > 300 {
		t.Errorf("within the penalty: %q, %v", line, err)
	}
	if line := first("127.0.0.2"); !strings.HasPrefix(line, "allow  it from 127.0.0.2") {
		t.Errorf("another one: %q", line)
	}
}

// TestCrashLoop: after fifty crashes by fifty sources, and as many by one, the
// service is there for everybody; the one waits no longer than its penalty.
func TestCrashLoop(t *testing.T) {
	b, port := obedient(t, penalties(1))
	before := counters(t, b)
	for i := range 50 {
		if got, _ := order(fmt.Sprintf("127.0.1.%d", i+1), port, "crash"); got != "" {
			t.Fatalf("crash was answered with %q", got)
		}
		_, _ = order("127.0.0.9", port, "crash")
	}
	if _, err := b.Await(50, 30*time.Second, "msg", "session", "reason", "crash"); err != nil {
		t.Fatal(err)
	}
	served(t, "127.0.0.2", port)
	if d := servedWithin(t, 30*time.Second, "127.0.0.9", port); d > 10*time.Second {
		t.Errorf("it was shut out for %s, want no more than its most of 2 s", d)
	}
	quiet(t, b, before)
}

// TestWaitService: what a program leaves unread starts the next one, a program
// that crashes makes the next one wait but never for good.
func TestWaitService(t *testing.T) {
	rig.Root(t)
	program, port := rig.Compile(t, "testdata/manners.c"), rig.Port(t)
	b := rig.Serve(t, head+`
profile "answers" {
  base    = profile.strict
  widens  = ["network"]
  network { mode = "listener" }
}
`+service("it", "udp4://127.0.0.1:"+port, []string{program, "datagram"},
		"wait = true", "profile = profile.answers", "acl = acl.anyone", "limit = limit.wait"))
	c, err := net.Dial("udp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	send := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			if _, err := c.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(want string) {
		t.Helper()
		buf := make([]byte, 600)
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("got %q (%v), want %q", buf[:n], err, want)
		}
	}
	send("a", "b", "c", "d")
	for _, x := range []string{"a", "b", "c", "d"} {
		expect("served " + x + " by one")
	}
	if _, err := b.Await(4, 30*time.Second, "msg", "session", "reason", "exit"); err != nil {
		t.Error(err)
	}
	began := time.Now()
	send("crash", "crash", "crash", "crash", "e", "f")
	expect("served e by one")
	d := time.Since(began)
	if d < 600*time.Millisecond || d > 15*time.Second { // 100 + 200 + 400 + 800 ms of backing off
		t.Errorf("after four crashes in a row it was served after %s", d)
	}
	began = time.Now()
	expect("served f by one")
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("after a success it was served after %s", d)
	}
}

// TestKilledZygote: what starts a service's programs may die again and again;
// running sessions go on, and the service is served again within the backoff.
func TestKilledZygote(t *testing.T) {
	b, port := obedient(t, "limit \"it\" {\n  session = \"60s\"\n}\n")
	before := counters(t, b)
	running, err := dialFrom("127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	session(t, b, "it")
	for range 5 {
		if err := rig.Until(30*time.Second, func() error {
			_, _ = order("127.0.0.1", port, "please") // starts one, if none is there
			s, err := b.Service("it")
			if err == nil && s.ZygotePID == 0 {
				err = errors.New("no zygote")
			}
			if err == nil {
				err = unix.Kill(s.ZygotePID, unix.SIGKILL)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("served again after %s", servedWithin(t, 30*time.Second, "127.0.0.1", port))
	if _, err := running.Write([]byte("still here\n")); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(running); err != nil || string(text) != "served still here\n" {
		t.Errorf("the session from before got %q (%v)", text, err)
	}
	quiet(t, b, before)
}

package root

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy/input"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// written reads a folder of examples/ as it is.
func written(t *testing.T, name string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(rig.Top(t), "examples", name, "*.cm.hcl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no policy in examples/%s: %v", name, err)
	}
	tables, err := filepath.Glob(filepath.Join(rig.Top(t), "examples", name, "inetd.conf"))
	if err != nil {
		t.Fatal(err)
	}
	paths = append(paths, tables...)
	files := map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = string(text)
	}
	return files
}

// TestExamplesCheck: every example is valid, without a warning, and formatted; the tests that it has pass, and
// those that are a scenario have some.
func TestExamplesCheck(t *testing.T) {
	bin := rig.Root(t)
	dirs, err := filepath.Glob(filepath.Join(rig.Top(t), "examples", "*"))
	if err != nil || len(dirs) < 4 {
		t.Fatalf("%d examples (%v)", len(dirs), err)
	}
	services, err := filepath.Glob(filepath.Join(rig.Top(t), "examples", "services", "*", "README.md"))
	if err != nil || len(services) < len(programs)+len(daemons) {
		t.Fatalf("%d examples of services (%v)", len(services), err)
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return filepath.Base(dir) == "services" })
	for _, readme := range services {
		dirs = append(dirs, filepath.Dir(readme))
	}
	for _, dir := range dirs {
		if filepath.Base(dir) == "review" { // a gate with the policy that it is about
			dir = filepath.Join(dir, "policy")
		}
		must(t, filepath.Join(bin, "casemate"), "check", "-q", "--fail-on", "warning", dir)
		must(t, filepath.Join(bin, "casemate"), "fmt", "--check", dir)
		if tests, _ := filepath.Glob(filepath.Join(dir, "*"+input.TestSuffix)); len(tests) > 0 {
			must(t, filepath.Join(bin, "casemate"), "test", dir)
		} else if filepath.Base(filepath.Dir(dir)) != "services" {
			t.Errorf("%s has no tests", filepath.Base(dir))
		}
		if _, err := os.Stat(filepath.Join(strings.TrimSuffix(dir, "/policy"), "README.md")); err != nil {
			t.Error(err)
		}
	}
}

// TestQuickstartRun runs the script of `make run` and tries each service as its
// README and the script's own hints say.
func TestQuickstartRun(t *testing.T) {
	bin := rig.Root(t)
	if !alone(t) {
		return
	}
	top := rig.PublicDir(t)
	if err := os.Symlink(bin, filepath.Join(top, "bin")); err != nil {
		t.Fatal(err)
	}
	must(t, "cp", "-r", filepath.Join(rig.Top(t), "examples"), top)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	said := filepath.Join(top, "said")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// A shell traps no signal that it was started ignoring, as under nohup.
	cmd := exec.CommandContext(ctx, "env", "--default-signal=HUP", filepath.Join(top, "examples", "quickstart", "run"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var control string
	ready := rig.Until(30*time.Second, func() error {
		text, err := os.ReadFile(said)
		if m := regexp.MustCompile(`--control (\S+) explain`).FindSubmatch(text); m != nil && strings.Contains(string(text), "to stop") {
			control = string(m[1])
			return nil
		}
		return fmt.Errorf("it said %q (%v)", text, err)
	})
	if ready != nil {
		t.Error(ready)
	} else {
		tryQuickstart(t, filepath.Join(bin, "casemate"), control)
	}
	// As a terminal that is closed does: casemated alone would take it for a reload.
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the script ended with %v", err)
	}
	if _, err := os.Stat(filepath.Dir(control)); control != "" && err == nil {
		t.Errorf("%s is left", filepath.Dir(control))
	}
}

func tryQuickstart(t *testing.T, casemate, control string) {
	exchange(t, "7001", "1234567890\n", "1234567890: 2 3 3 5 3607 3803\n")
	look, err := rig.Exchange("7002", "")
	if err != nil || !strings.HasPrefix(look, "You are 127.0.0.1, I am uid 18") || strings.Contains(look, "home") || !strings.Contains(look, "processes: /proc/") {
		t.Errorf("look showed %q (%v)", look, err)
	}
	if six, _, err := visit("::1", "7002"); err != nil || !strings.HasPrefix(six, "You are ::1,") {
		t.Errorf("look by IPv6 showed %q (%v)", six, err)
	}
	served, refused, began := 0, 0, time.Now()
	for range 5 {
		switch got, _, err := visit("127.0.0.1", "7003"); {
		case err != nil:
			t.Error(err)
		case got == "slow down\r\n":
			refused++
		case strings.Contains(got, fmt.Sprint(time.Now().Year())):
			served++
		default:
			t.Errorf("limited answered %q", got)
		}
	}
	if served < 1 || served > 3+int(time.Since(began)/time.Second) { // a third waits until the broker has seen one of two end
		t.Errorf("limited: %d served and %d refused of 5, want a burst of 3 at most", served, refused)
	}
	if got, _, err := visit("127.0.0.1", "7004"); err == nil || got != "" {
		t.Errorf("closed answered %q (%v), want a reset", got, err)
	}
	out := must(t, casemate, "--control", control, "explain", "closed", "127.0.0.1")
	if !strings.Contains(out, "deny") || !strings.Contains(out, "elsewhere") {
		t.Errorf("explain closed said %q", out)
	}
	for _, c := range []struct{ network, port, send, want string }{
		{"tcp", "7007", "hello\n", "hello\n"}, {"udp", "7007", "hello\n", "hello\n"},
		{"tcp", "7013", "", fmt.Sprint(time.Now().UTC().Year())}, {"udp", "7013", strings.Repeat(" ", 100), fmt.Sprint(time.Now().UTC().Year())},
	} {
		if got, err := ask(c.network, c.port, c.send); err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s %s answered %q (%v), want %q", c.network, c.port, got, err, c.want)
		}
	}
}

// ask sends once and returns the answer: all of it by tcp, one datagram by udp.
func ask(network, port, send string) (string, error) {
	if network == "tcp" {
		return rig.Exchange(port, send)
	}
	return datagram("127.0.0.1", "127.0.0.1:"+port, send)
}

// datagram sends one from the source address and returns the one that answers.
func datagram(source, to, send string) (string, error) {
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("udp", to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, send); err != nil {
		return "", err
	}
	buf := make([]byte, 1<<16)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

// TestPublicEndpoints serves that example on its own ports and asks each
// service by tcp and udp, from an address that is not the host's idea of itself.
func TestPublicEndpoints(t *testing.T) {
	rig.Root(t)
	ip := need.Programs(t, "ip")[0]
	if !alone(t) {
		return
	}
	must(t, ip, "address", "add", "192.0.2.1/32", "dev", "lo")
	must(t, ip, "address", "add", "192.0.2.2/32", "dev", "lo")
	b := rig.ServeWith(t, rig.Options{Files: written(t, "public-endpoints")})
	year, request := fmt.Sprint(time.Now().UTC().Year()), strings.Repeat("?", 80)
	exchange(t, "7", "marco\n", "marco\n")
	exchange(t, "9", "anything\n", "")
	if got, err := ask("tcp", "13", ""); err != nil || !strings.Contains(got, year) {
		t.Errorf("daytime answered %q (%v)", got, err)
	}
	if got, err := ask("tcp", "37", ""); err != nil || len(got) != 4 {
		t.Errorf("time answered %q (%v), want 4 bytes", got, err)
	}
	quote := func(a string) bool {
		return a == "Perfection is reached when there is nothing left to take away.\r\n" || a == "Simplicity is prerequisite for reliability.\r\n"
	}
	if got, err := ask("tcp", "17", ""); err != nil || !quote(got) {
		t.Errorf("qotd answered %q (%v)", got, err)
	}
	c, err := rig.Dial("19")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	line := make([]byte, 74) // RFC 864: 72 characters and a line end
	if _, err := io.ReadFull(c, line); err != nil || string(line[72:]) != "\r\n" {
		t.Errorf("chargen wrote %q (%v)", line, err)
	}
	for _, x := range []struct {
		port string
		good func(answer string) bool
	}{
		{"7", func(a string) bool { return a == request }},
		{"13", func(a string) bool { return strings.Contains(a, year) }},
		{"17", quote},
		{"19", func(a string) bool { return len(a) > 0 }},
		{"37", func(a string) bool { return len(a) == 4 }},
	} {
		got, err := datagram("192.0.2.2", "192.0.2.1:"+x.port, request)
		if err != nil || !x.good(got) || len(got) > len(request) {
			t.Errorf("udp port %s answered %q (%v)", x.port, got, err)
		}
	}
	silent(t, b, "qotd", "", "192.0.2.2", "192.0.2.1:17") // every quote is longer than the question
	silent(t, b, "discard", "", "192.0.2.2", "192.0.2.1:9")
	silent(t, b, "echo", "loopback-source", "127.0.0.1", "127.0.0.1:7")
	silent(t, b, "echo", "own-address", "192.0.2.1", "192.0.2.1:7")
}

// silent sends a datagram that gets no answer; the log says why.
func silent(t *testing.T, b *rig.Broker, name, reason, source, to string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "anybody?"); err != nil {
		t.Fatal(err)
	}
	want := []string{"msg", "decision", "service", name, "client", source}
	if reason != "" {
		want = append(want, "reason", reason, "verdict", "deny")
	}
	if _, err := b.Await(1, 30*time.Second, want...); err != nil {
		t.Error(err)
	}
	_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("%s answered %d bytes to %s", to, n, source)
	}
}

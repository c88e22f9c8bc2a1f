package root

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// TestLearnPrivate: what a program does in a network of each connection's own is learnt as that, by counting and
// with clients, and not as the host's; one that makes no use of it is given none; and of one that its clients are
// served by through the host's alone that is learnt.
func TestLearnPrivate(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "nc")
	program := rig.Compile(t, "testdata/inner.c")
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintln(c, "hello")
			_ = c.Close()
		}
	}()
	_, outside, err := net.SplitHostPort(other.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	own := private +
		"\nprofile \"out\" {\n  base = profile.line\n  widens = [\"network\"]\n  because = \"it asks another\"\n  network {\n    mode = \"host\"\n    connect = [\"any\"]\n  }\n}\n"
	ports := map[string]string{"inner": rig.Port(t), "plain": rig.Port(t), "outer": rig.Port(t)}
	const relay = `stdio = "relay"`
	text := head + own +
		service("inner", "tcp4://127.0.0.1:"+ports["inner"], []string{program}, relay, "profile = profile.own") +
		service("plain", "tcp4://127.0.0.1:"+ports["plain"], []string{"/bin/cat"}, relay, "profile = profile.own") +
		service("outer", "tcp4://127.0.0.1:"+ports["outer"], []string{program, outside}, relay, "profile = profile.out")
	b := rig.Serve(t, text)
	network := regexp.MustCompile(`(?s)network \{.*?\n  \}`)
	for _, tt := range []struct {
		service string
		clients bool
		want    []string // of its network block; nil is none
	}{
		{"inner", false, []string{`mode = "private"`, `sockets = ["tcp"]`}},
		{"inner", true, []string{`mode = "private"`, `sockets = ["tcp"]`}},
		{"plain", false, nil},
		{"plain", true, nil},
		{"outer", true, []string{`mode = "host"`, `connect = ["` + outside + `"]`, `sockets = ["tcp"]`}},
	} {
		if tt.service == "outer" && landlock.ABI() < landlock.ABIScopes {
			continue // no service that reaches the host's network is served there without best_effort, which learn never writes
		}
		port := ports[tt.service]
		args, n := []string{"--connections", "2"}, 4
		if tt.clients {
			args, n = append(args, "--client", "echo hello | timeout 10 nc -N $HOST $PORT | grep -qx hello"), 2
		}
		code, out, said := followed(t, b, tt.service, func() {
			for range n {
				if got, err := rig.Exchange(port, "hello\n"); err != nil || got != "hello\n" {
					t.Errorf("%s says %q (%v)", tt.service, got, err)
				}
			}
		}, args...)
		got := new(learntProfile)
		if err := json.Unmarshal([]byte(out), got); code != 0 || err != nil {
			t.Errorf("%s, %v: learn exits with %d: %s%s", tt.service, tt.clients, code, out, said)
			continue
		}
		bare := regexp.MustCompile(`(?m) *#.*$`).ReplaceAllString(got.Profile, "")
		block := network.FindString(bare)
		plain := strings.NewReplacer("[\n", "[", ",\n", ",").Replace(regexp.MustCompile(`(?m)^ +`).ReplaceAllString(block, ""))
		plain = regexp.MustCompile(` += `).ReplaceAllString(strings.ReplaceAll(plain, ",]", "]"), " = ")
		lines := strings.Split(strings.Trim(strings.TrimPrefix(plain, "network {"), "\n}"), "\n")
		if strings.Join(lines, "; ") != strings.Join(tt.want, "; ") {
			t.Errorf("%s, %v: %q, want %q:\n%s", tt.service, tt.clients, lines, tt.want, got.Profile)
		}
		if got, err, said := retaught(t, text, tt.service, port, got.Profile); got != "hello\n" {
			t.Errorf("under its profile it says %q (%v): %s", got, err, said)
		}
	}
}

// TestTightenPrivate: a network of each connection's own that no session used is taken from a profile, and one that
// they used stays.
func TestTightenPrivate(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/inner.c")
	text, ports := head+private, map[string]string{}
	for name, command := range map[string][]string{"inner": {program}, "plain": {"/bin/cat"}} {
		ports[name] = rig.Port(t)
		text += service(name, "tcp4://127.0.0.1:"+ports[name], command, `stdio = "relay"`, "profile = profile.own")
	}
	b := rig.Serve(t, text)
	for name, stays := range map[string]bool{"inner": true, "plain": false} {
		code, out, said := followed(t, b, name, func() {
			for range 4 {
				if got, err := rig.Exchange(ports[name], "hello\n"); err != nil || got != "hello\n" {
					t.Errorf("%s says %q (%v)", name, got, err)
				}
			}
		}, "--connections", "2", "--tighten")
		got := new(learntProfile)
		if err := json.Unmarshal([]byte(out), got); code != 0 || err != nil {
			t.Fatalf("%s: learn exits with %d: %s%s", name, code, out, said)
		}
		bare := regexp.MustCompile(`(?m) *#.*$`).ReplaceAllString(got.Profile, "")
		if strings.Contains(bare, `"private"`) != stays || strings.Contains(got.Profile, `#   network.mode "private"`) == stays {
			t.Errorf("%s, want the network to stay: %t:\n%s", name, stays, got.Profile)
		}
		if got, err, said := retaught(t, text, name, ports[name], got.Profile); got != "hello\n" {
			t.Errorf("under its profile it says %q (%v): %s", got, err, said)
		}
	}
}

// private is a profile with a network of each connection's own.
const private = "\nprofile \"own\" {\n  base = profile.server\n  widens = [\"network\"]\n  network {\n    mode = \"private\"\n    sockets = [\"tcp\"]\n  }\n}\n"

// retaught serves a service of a policy under the profile learnt in place of its own, and gives what it says to hello.
func retaught(t *testing.T, policy, name, port, profile string) (string, error, string) {
	t.Helper()
	at := rig.Port(t)
	name = fmt.Sprintf("service %q", name)
	begin := strings.Index(policy, name)
	block := policy[begin : begin+strings.Index(policy[begin:], "\n}\n")+3]
	block = regexp.MustCompile(`profile\.\w+`).ReplaceAllString(strings.ReplaceAll(block, ":"+port, ":"+at), "profile.again")
	text := head + regexp.MustCompile(`(?m)^profile "[^"]*"`).ReplaceAllString(profile, `profile "again"`) + block
	b := rig.Serve(t, text)
	defer b.Stop()
	got, err := rig.Exchange(at, "hello\n")
	return got, err, text
}

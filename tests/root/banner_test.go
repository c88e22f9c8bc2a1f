package root

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// TestBanners: who comes gets the banner of everybody before anything else, who is admitted another one before the
// first byte of the program or of the redirect's target, and who is refused the third and an end in order: each
// as its file has it, byte by byte, and as the digest covers it. A tcpmux has said its + by then.
func TestBanners(t *testing.T) {
	rig.Root(t)
	to := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) { _, _ = io.WriteString(c, "target\n") })
	direct, relay, silent, mux := rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t)
	banners := []string{`banner_accept = { file = "legal.banner" }`, `banner_success = { file = "welcome.banner" }`, "acl = acl.staff"}
	muxed := service("muxed", "tcpmux:+muxed", []string{"/bin/echo", "program"}, append(banners, `banner = { file = "closed.banner" }`, "profile = profile.line")...)
	files := map[string]string{
		"legal.banner": "all you do\nis logged\n\x1b[0m", "welcome.banner": strings.Repeat("w", policy.MaxBanner), "closed.banner": "go\r\naway",
		"test.cm.hcl": head + "acl \"staff\" {\n  allow { from = [\"127.0.0.2\"] }\n}\n" +
			service("direct", "tcp://127.0.0.1:"+direct, []string{"/bin/echo", "program"}, append(banners, `banner = { file = "closed.banner" }`, "profile = profile.line")...) +
			redirect("relay", relay, to.Addr().String(), append(banners, `banner = "closed"`)...) +
			service("silent", "tcp://127.0.0.1:"+silent, []string{"/bin/echo", "program"}, append(banners, "profile = profile.line")...) + muxed +
			fmt.Sprintf("service \"mux\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"tcpmux\"\n  acl = acl.anyone\n}\n", mux),
	}
	b := rig.ServeWith(t, rig.Options{Files: files})
	accept, success := files["legal.banner"], files["legal.banner"]+files["welcome.banner"]
	for range 2 {
		for _, c := range []struct{ source, port, line, want string }{
			{"127.0.0.2", direct, "", success + "program\n"}, {"127.0.0.3", direct, "", accept + "go\r\naway"},
			{"127.0.0.2", relay, "", success + "target\n"}, {"127.0.0.3", relay, "", accept + "closed\r\n"},
			{"127.0.0.2", silent, "", success + "program\n"}, {"127.0.0.3", silent, "", accept},
			{"127.0.0.2", mux, "muxed\r\n", "+Go\r\n" + success + "program\n"}, {"127.0.0.3", mux, "muxed\r\n", "+Go\r\n" + accept + "go\r\naway"},
		} {
			if got := saidTo(t, c.source, c.port, c.line); got != c.want {
				t.Errorf("%s at %s: %q, want %q", c.source, c.port, got, c.want)
			}
		}
	}
	before, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.WritePolicy("closed.banner", "come\nagain"); err != nil {
		t.Fatal(err)
	}
	if got := saidTo(t, "127.0.0.3", direct, ""); got != accept+"go\r\naway" {
		t.Errorf("what nobody has loaded is sent: %q", got)
	}
	reloads(t, b, files["test.cm.hcl"])
	if got := saidTo(t, "127.0.0.3", direct, ""); got != accept+"come\nagain" {
		t.Errorf("after a reload: %q", got)
	}
	if after, err := b.Status(); err != nil || after.Digest == before.Digest {
		t.Errorf("the digest is %s as before, %v", before.Digest, err)
	}
	if err := b.WritePolicy("closed.banner", strings.Repeat("x", policy.MaxBanner+1)); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || r.OK || len(r.Diagnostics) == 0 || !strings.Contains(r.Diagnostics[0].Summary, "longer than the 4096") {
		t.Errorf("%+v, %v, of a text that does not fit", r, err)
	}
	if got := saidTo(t, "127.0.0.3", direct, ""); got != accept+"come\nagain" {
		t.Errorf("after a failed reload: %q", got)
	}
}

// TestQueueBeforeARedirect: who finds all places of a redirect taken has the banner of everybody, waits, and is carried to
// the target when a place is free, with the banner of who is admitted; nobody comes to the target before.
func TestQueueBeforeARedirect(t *testing.T) {
	rig.Root(t)
	came := make(chan struct{}, 10)
	to := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) {
		came <- struct{}{}
		text, _ := io.ReadAll(c)
		fmt.Fprintf(c, "carried %s", text)
	})
	port := rig.Port(t)
	b := rig.Serve(t, head+"limit \"it\" {\n  concurrent = 1\n  queue = \"5m\"\n  queue_length = 4\n  session = \"1h\"\n}\n"+
		redirect("it", port, to.Addr().String(), "limit = limit.it", `banner_accept = "wait\n"`, `banner_success = "go\n"`))
	holder := joins(t, "127.0.0.1", port)
	waiting(t, b, 1, 0)
	next := joins(t, "127.0.0.2", port)
	waiting(t, b, 1, 1)
	early := make([]byte, 99)
	if n, err := next.Read(early); err != nil || string(early[:n]) != "wait\n" {
		t.Errorf("who waits reads %q, %v", early[:n], err)
	}
	if <-came; len(came) > 0 {
		t.Error("who waits is at the target already")
	}
	for i, c := range []*net.TCPConn{holder, next} {
		want := []string{"wait\ngo\ncarried 0", "go\ncarried 1"}[i]
		if _, err := fmt.Fprint(c, i); err != nil || c.CloseWrite() != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != want {
			t.Errorf("client %d: %q, %v, want %q", i, got, err, want)
		}
	}
	<-came
	waiting(t, b, 0, 0)
	if _, err := b.Await(2, 30*time.Second, "msg", "decision", "service", "it", "verdict", "allow"); err != nil {
		t.Error(err)
	}
}

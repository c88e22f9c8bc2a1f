package lang

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// compileWith compiles a policy in /etc/c beside other sources.
func compileWith(text string, more ...policy.SourceFile) (*policy.Document, []policy.Diagnostic) {
	return Compile(append(more, policy.SourceFile{Name: "/etc/c/p.cm.hcl", Data: []byte(text)}))
}

// TestBanners: a text is what is sent: inline with an end of its line where it has none, of a file byte by byte, with that file for its origin.
func TestBanners(t *testing.T) {
	exact := "\ufeffa\nb\x1b[1m\x00 é"
	files := []policy.SourceFile{{Name: "/etc/c/x.banner", Data: []byte(exact)}, {Name: "/srv/y.banner", Data: []byte(strings.Repeat("y", policy.MaxBanner))}}
	doc, ds := compileWith(one("acl = acl.anyone\nbanner = \"try later\"\nbanner_accept = { file = \"x.banner\" }\nbanner_success = { file = \"/srv/../srv/y.banner\" }"), files...)
	if doc == nil || len(ds) > 0 {
		t.Fatal(show(ds))
	}
	s := doc.Policy.Service("s")
	if s.Banner != "try later\r\n" || s.BannerAccept != exact || s.BannerSuccess != strings.Repeat("y", policy.MaxBanner) {
		t.Errorf("%q, %q, %q", s.Banner, s.BannerAccept, s.BannerSuccess)
	}
	for key, want := range map[string]string{"banner": "/etc/c/p.cm.hcl:", "banner_accept": "/etc/c/x.banner:1:1", "banner_success": "/srv/y.banner:1:1"} {
		if at := doc.Origins["services.s."+key]; !strings.HasPrefix(at, want) {
			t.Errorf("%s is from %q", key, at)
		}
	}
	for text, want := range map[string]string{`"a\nb\n"`: "a\nb\n", `"a\r\n"`: "a\r\n", "<<-E\n  a\n  b\n  E": "a\nb\n", `""`: "", `"a\nb"`: "a\nb\r\n"} {
		if doc, ds := compileWith(one("acl = acl.anyone\nbanner = " + text)); doc == nil || doc.Policy.Service("s").Banner != want {
			t.Errorf("%s: %s", text, show(ds))
		}
	}
	if doc, ds := compileWith(one("acl = acl.anyone"), files[0]); doc == nil || len(ds) != 1 || ds[0].File != "/etc/c/x.banner" || !strings.Contains(ds[0].Summary, "no service sends") {
		t.Errorf("a text that nobody sends: %s", show(ds))
	}
}

func TestBannersRefused(t *testing.T) {
	file := func(name, text string) policy.SourceFile {
		return policy.SourceFile{Name: "/etc/c/" + name, Data: []byte(text)}
	}
	onUDP := strings.Replace(one(`banner_accept = "x"`), "tcp://", "udp://", 1)
	muxed := strings.Replace(one(`banner_success = "x"`), `"tcp://:79"`, `"tcpmux:s"`, 1)
	for _, c := range []struct {
		text string
		with policy.SourceFile
		want string
		at   string
	}{
		{one(`banner = { file = "x.banner" }`), file("y.banner", "y"), "/etc/c/x.banner is not among the sources", "p.cm.hcl:"},
		{one(`banner = { file = "x.txt" }`), file("x.banner", "y"), "is called *.banner", "p.cm.hcl:"},
		{one(`banner = { path = "x.banner" }`), file("x.banner", "y"), "must be a text or a file", "p.cm.hcl:"},
		{one(`banner = 5`), file("x.banner", "y"), "must be a text or a file", "p.cm.hcl:"},
		{one(`banner_accept = { file = "x.banner" }`), file("x.banner", ""), "the banner is empty", "x.banner:1:1"},
		{one(`banner_accept = { file = "x.banner" }`), file("x.banner", "a\nb\xff"), "not UTF-8", "x.banner:2:2"},
		{one(`banner_success = { file = "x.banner" }`), file("x.banner", strings.Repeat("y", policy.MaxBanner+1)), "4097 bytes is longer than the 4096", "x.banner:1:1"},
		{one(`banner_success = "` + strings.Repeat("y", policy.MaxBanner-1) + `"`), file("x.banner", "y"), "4097 bytes are more than the 4096", "p.cm.hcl:"},
		{onUDP, file("x.banner", "y"), "is for connections", "p.cm.hcl:"},
		{one("wait = true\nacl = acl.anyone\nbanner_accept = \"x\""), file("x.banner", "y"), "take their clients themselves", "p.cm.hcl:"},
		{strings.Replace(one(`banner_success = "x"`), `command = ["/bin/cat"]`, `builtin = "daytime"`, 1), file("x.banner", "y"), "take their clients themselves", "p.cm.hcl:"},
		{one("banner = \"x\"\nsocket {\n  send_buffer = \"8KiB\"\n}"), file("x.banner", "y"), "send_buffer of 8192 bytes may not take", "p.cm.hcl:"},
		{muxed, file("x.banner", "y"), "the program's answer to the name first", "p.cm.hcl:"},
	} {
		doc, ds := compileWith(c.text, c.with)
		if i := slices.IndexFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, c.want) }); doc != nil || i < 0 || !strings.Contains(fmt.Sprintf("%s:%d:%d", ds[i].File, ds[i].Line, ds[i].Column), c.at) {
			t.Errorf("want %q at %s, got %s", c.want, c.at, show(ds))
		}
	}
	muxed += "service \"mux\" {\n  listen = [\"tcp://:1\"]\n  builtin = \"tcpmux\"\n  acl = acl.anyone\n}\n"
	for _, good := range []string{strings.Replace(muxed, "tcpmux:", "tcpmux:+", 1), strings.Replace(muxed, "banner_success", "banner", 1),
		strings.Replace(one(`banner_accept = "x"`), `command = ["/bin/cat"]`, `redirect = "192.0.2.1:80"`, 1), strings.Replace(onUDP, `["udp`, `["tcp://:79", "udp`, 1)} {
		if doc, ds := compileWith(good); doc == nil {
			t.Errorf("%s: %s", good, show(ds))
		}
	}
}

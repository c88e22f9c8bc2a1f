package root

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// planned is the JSON of plan.
type planned struct {
	Digest    string
	Same      bool
	Listeners map[string][]struct{ Key, Service, Was string }
	Services  []struct {
		Name, Sandbox string
		Live          int
	}
	Refused []string
	Reload  []string
	Diff    struct {
		Verdict  string
		Services []struct{ Service, Verdict string }
	}
}

func plan(t *testing.T, b *rig.Broker, want int, args ...string) (p planned) {
	t.Helper()
	code, out, errs := casemate(t, b, append([]string{"plan", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &p); code != want || err != nil {
		t.Fatalf("plan: %d, want %d, %v, %s%s", code, want, err, out, errs)
	}
	return p
}

// TestPlan: what plan says is what the reload does then, which it names: of listeners, of sandboxes, of sessions; it changes nothing
// itself, and says what the reload refuses.
func TestPlan(t *testing.T) {
	rig.Root(t)
	ports := map[string]string{}
	for _, name := range []string{"stays", "turns", "moves", "goes", "comes", "moved", "day"} {
		ports[name] = rig.Port(t)
	}
	of := func(name, at string, more ...string) string {
		return service(name, "tcp4://127.0.0.1:"+ports[at], []string{"/bin/cat"}, append(more, "profile = profile.line")...)
	}
	before := head + of("stays", "stays") + of("turns", "turns") + of("moves", "moves") + of("goes", "goes") +
		service("day", "tcp4://127.0.0.1:"+ports["day"], nil, `builtin = "daytime"`)
	after := head + of("stays", "stays", "acl = acl.loopback") + of("turns", "turns", "umask = \"0027\"", "socket {\n  backlog = 7\n}") + of("moves", "moved") + of("comes", "goes") +
		of("more", "comes") + service("day", "tcp4://127.0.0.1:"+ports["day"], nil, `builtin = "daytime"`)
	b := rig.Serve(t, before)
	c, err := rig.Dial(ports["goes"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	session(t, b, "goes")
	if p := plan(t, b, 0, "--fail-on", "changed,widened", "--fail-on", "refused"); !p.Same || p.Diff.Verdict != "unchanged" || len(p.Refused) > 0 || len(p.Listeners["kept"]) != 5 || len(p.Listeners["opened"])+len(p.Listeners["closed"])+len(p.Listeners["changed"]) > 0 ||
		slices.ContainsFunc(p.Services, func(s struct {
			Name, Sandbox string
			Live          int
		}) bool {
			return s.Sandbox != "kept"
		}) {
		t.Errorf("of the same policy: %+v", p)
	}

	taken, err := net.Listen("tcp4", "127.0.0.1:"+ports["moved"])
	if err != nil {
		t.Fatal(err)
	}
	if err := b.WritePolicy("test.cm.hcl", after); err != nil {
		t.Fatal(err)
	}
	if p := plan(t, b, 3, "--fail-on", "refused"); len(p.Refused) != 1 || !strings.Contains(p.Refused[0], ports["moved"]) {
		t.Errorf("%q", p.Refused)
	}
	if code, _, errs := casemate(t, b, "reload"); code != 1 || !strings.Contains(errs, ports["moved"]) {
		t.Errorf("reload: %d, %s", code, errs)
	}
	taken.Close()

	p := plan(t, b, 3, "--fail-on", "widened") // two services are new
	differs := map[string]string{}
	for _, s := range p.Diff.Services {
		differs[s.Service] = s.Verdict
	}
	if differs["comes"] != "added" || differs["more"] != "added" || differs["goes"] != "removed" || differs["moves"] == "" || differs["stays"]+differs["day"] != "" {
		t.Errorf("%+v", p.Diff)
	}
	st, err := b.Status()
	if err != nil || st.Generation != 1 || len(p.Refused) > 0 || p.Same {
		t.Fatalf("%+v, %v, %+v", st, err, p)
	}
	if code, out, errs := casemate(t, b, p.Reload[1:]...); code != 0 || !strings.Contains(out, p.Digest) {
		t.Fatalf("%v: %d, %s%s", p.Reload, code, out, errs)
	}
	now, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, list := range []string{"kept", "changed", "opened"} {
		for _, l := range p.Listeners[list] {
			want = append(want, l.Service+" "+l.Key)
		}
	}
	for _, s := range now.Services {
		for _, l := range s.Listeners {
			got = append(got, s.Name+" "+l.Key)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("listeners %q, planned %q", got, want)
	}
	at := func(list string) (out string) {
		for _, l := range p.Listeners[list] {
			out += fmt.Sprintf("%s/%s ", l.Service, l.Was)
		}
		return out
	}
	if at("opened") != "more/ moves/ " || at("closed") != "moves/ " || at("changed") != "turns/ " || at("kept") != "comes/goes day/ stays/ " {
		t.Errorf("%+v", p.Listeners)
	}
	zygote := func(st *control.Status, name string) int {
		for _, s := range st.Services {
			if s.Name == name {
				return s.ZygotePID
			}
		}
		return 0
	}
	for _, s := range p.Services {
		if was, is := zygote(st, s.Name), zygote(now, s.Name); s.Sandbox == "kept" != (was == is && is != 0) || s.Sandbox == "removed" != (is == 0) {
			t.Errorf("%+v: its zygote is %d, was %d", s, is, was)
		}
		if s.Name == "goes" != (s.Live == 1) {
			t.Errorf("%+v", s)
		}
	}
	if _, err := c.Write([]byte("still\n")); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 8)); n != 6 {
		t.Errorf("the session of a service that has gone: %d, %v", n, err)
	}
}

package learn

import (
	"path"
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox"
)

// TestNeverThroughLinks: what no profile is given is not given by another name either, to
// be read, written or executed, found, missed or observed.
func TestNeverThroughLinks(t *testing.T) {
	linked := bare
	links := map[string]string{"/home": "/data/home", "/data/lnk": "/data/home", "/srv/lnk": "/etc", "/srv/all": "/", "/srv/log": "/var/log", "/srv/exec": "/opt"}
	linked.Real = func(p string) string {
		for from, to := range links {
			if under(p, from) {
				return path.Join(to, strings.TrimPrefix(p, from))
			}
		}
		return path.Clean(p)
	}
	links["/data/home"] = "/data/home" // what /home leads to
	given := func(p string) bool {
		return never[p] != "" || never[linked.Real(p)] != "" || linked.Real(p) == "/data/home"
	}
	for from := range links {
		var facts []Fact
		for _, f := range []string{"/a.txt", "/b.txt", "/c.txt", "/d.txt", "/e.txt"} {
			facts = append(facts, ok("openat", from+f))
		}
		facts = append(facts, ok("mkdir", from+"/x.d"), ok("openat", from+"/w.txt", 0, 0, 1), ok("getdents64", from), ok("newfstatat", from), ok("execve", from))
		n := Find([]*Session{{Facts: facts}}, everything, linked, Extras{Mode: sandbox.NetworkNone})
		for _, o := range n.Other {
			if strings.HasPrefix(o.Value, "/") && given(o.Value) {
				t.Errorf("%s is needed, which is %s", o.Attr+" "+o.Value, linked.Real(o.Value))
			}
		}
		if !strings.Contains(strings.Join(found(n), "\n"), from+"/a.txt") {
			t.Errorf("what lies in %s is not named: %q", from, found(n))
		}
		if len(n.Never) == 0 {
			t.Errorf("%s is refused without a word", from)
		}

		n = new(Needs)
		c := confinesOf(sandbox.Profile{}, append(Leaves(), "chroot"))
		for i := range facts {
			facts[i].Err = syscall.EACCES
		}
		n.Miss([]*Session{{Facts: facts}}, c, linked)
		for _, o := range n.Other {
			if strings.HasPrefix(o.Value, "/") && given(o.Value) {
				t.Errorf("missed: %s is needed, which is %s", o.Attr+" "+o.Value, linked.Real(o.Value))
			}
		}

		w := Wide{}
		for _, err := range []syscall.Errno{syscall.EROFS, syscall.EACCES, syscall.ENOENT} {
			var refused []Fact
			for _, f := range facts {
				f.Err = err
				refused = append(refused, f)
			}
			for _, sub := range []string{"/p/x", "/q/x", "/r/x", "/s/x"} { // siblings
				f := ok("mkdir", from+sub)
				f.Err = err
				refused = append(refused, f)
			}
			w.Widen([]*Session{{Facts: refused}}, c, linked)
		}
		for _, p := range append(append(w.Read, w.Write...), w.Exec...) {
			if given(p) {
				t.Errorf("observed with %s, which is %s", p, linked.Real(p))
			}
		}
	}
}

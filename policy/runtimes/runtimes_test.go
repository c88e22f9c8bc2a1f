package runtimes

import (
	"strings"
	"testing"
)

// TestOf: names with versions are known, and what is not sure is nothing.
func TestOf(t *testing.T) {
	for command, want := range map[string]struct {
		name     string
		compiles bool
		script   string
	}{
		"/usr/bin/node /srv/a.js":                 {"node", true, "/srv/a.js"},
		"/usr/bin/node --jitless /srv/a.js":       {"node", false, "/srv/a.js"},
		"/usr/bin/python3.11 -u /srv/a.py":        {"python", false, "/srv/a.py"},
		"/usr/bin/python3 -c /srv/a.py":           {"python", false, ""},
		"/usr/bin/python3 -m http.server /srv":    {"python", false, ""},
		"/usr/bin/pypy3 /srv/a.py":                {"pypy", true, "/srv/a.py"},
		"/usr/bin/luajit -joff /a.lua":            {"luajit", false, "/a.lua"},
		"/usr/bin/perl -T -w /opt/x.pl":           {"perl", false, "/opt/x.pl"},
		"/usr/bin/perl -ne /opt/x.pl":             {"perl", false, ""},
		"/usr/bin/perl -I /opt/lib /opt/x.pl":     {"perl", false, ""},
		"/usr/lib/jvm/x/bin/java -jar /srv/a.jar": {"java", true, "/srv/a.jar"},
		"/usr/bin/java -cp /srv/a.jar Main":       {"java", true, ""},
		"/bin/sh -c /opt/x":                       {"sh", false, ""},
		"/bin/sh x.sh /opt/x":                     {"sh", false, ""},
		"/bin/cat /opt/x":                         {"", false, ""},
		"/usr/bin/nodequery /x":                   {"", false, ""},
	} {
		words := strings.Fields(command)
		r, name := Of(words), ""
		if r != nil {
			name = r.Name
		}
		if compiles, script := r.CompilesIn(words[1:]), r.ScriptIn(words[1:]); name != want.name || compiles != want.compiles || script != want.script {
			t.Errorf("%s: %q %v %q, want %+v", command, name, compiles, script, want)
		}
	}
	if Of(nil) != nil {
		t.Error("nothing is a runtime")
	}
}

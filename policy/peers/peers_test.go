package peers_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"casemate/policy/peers"
	"casemate/sandbox/seccomp"
	"casemate/tests/need"
)

// TestListsAreCalls: every name is a call, once, and the lists are sorted as Has asks.
func TestListsAreCalls(t *testing.T) {
	for _, l := range peers.Lists {
		seen := map[string]bool{}
		for _, name := range l.Calls() {
			if _, ok := seccomp.Number(name); !ok && !seccomp.Elsewhere(name) || seen[name] {
				t.Errorf("%s: %s is no call, or there twice", l.Name, name)
			}
			if has, _ := l.Has(name); !has {
				t.Errorf("%s does not find %s", l.Name, name)
			}
			seen[name] = true
		}
		if has, _ := l.Has("kexec_load"); has || len(seen) < 25 {
			t.Errorf("%s has kexec_load, or is no list: %d calls", l.Name, len(seen))
		}
	}
}

// TestSystemdsListIsSystemds compares with the systemd that is here, of which this one is a fact.
func TestSystemdsListIsSystemds(t *testing.T) {
	version, err := exec.Command("systemd-analyze", "--version").Output()
	if err != nil || !strings.HasPrefix(string(version), "systemd 252 ") {
		need.Skip(t, "no systemd 252 here: %q %v", version, err)
	}
	out, err := exec.Command("systemd-analyze", "--no-pager", "syscall-filter").Output()
	if err != nil {
		t.Fatal(err)
	}
	groups, name := map[string][]string{}, ""
	for line := range strings.Lines(string(out)) {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "@"):
			name = word
		case strings.HasPrefix(line, " ") && word != "" && !strings.HasPrefix(word, "#"):
			groups[name] = append(groups[name], word)
		}
	}
	want := map[string]bool{}
	var add func(group string)
	add = func(group string) {
		for _, w := range groups[group] {
			if strings.HasPrefix(w, "@") {
				add(w)
			} else if _, ok := seccomp.Number(w); ok || seccomp.Elsewhere(w) {
				want[w] = true
			}
		}
	}
	add("@system-service")
	add("@default")
	i := slices.IndexFunc(peers.Lists, func(l *peers.List) bool { return l.Name == "systemd" })
	for w := range want {
		if has, _ := peers.Lists[i].Has(w); !has {
			t.Errorf("systemd has %s, its list not", w)
		}
	}
	if have := len(peers.Lists[i].Calls()); have != len(want) || have < 250 {
		t.Errorf("%d calls, systemd has %d", have, len(want))
	}
}

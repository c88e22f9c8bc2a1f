package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeTree makes plain directories that look like a version 2 tree to find: the
// root has no cgroup.type, and each group holds the processes named.
func fakeTree(t *testing.T, groups map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for group, procs := range groups {
		dir := filepath.Join(top, group)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{"cgroup.controllers": "pids memory\n", "cgroup.procs": procs}
		if group != "/" {
			files["cgroup.type"] = "domain\n"
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return top
}

// Where a process may make groups, and what it is told where it may not.
func TestFind(t *testing.T) {
	const unit = "/system.slice/casemated.service"
	alone, shell := "42\n", "17\n42\n43\n"
	for _, c := range []struct {
		name      string
		groups    map[string]string
		own       string
		systemd   bool
		delegated []string
		want      string // the group, or
		wrong     string // a part of the error
		leaf      bool
	}{
		{name: "the root, among everybody", groups: map[string]string{"/": shell}, own: "/", want: "/"},
		{name: "delegated unit", groups: map[string]string{"/": "", unit: alone}, own: unit, systemd: true, delegated: []string{unit}, want: unit, leaf: true},
		{name: "leaf of a delegated unit", groups: map[string]string{"/": "", unit: "", unit + "/main": alone}, own: unit + "/main", systemd: true,
			delegated: []string{unit}, want: unit},
		{name: "delegated below delegated", groups: map[string]string{"/": "", unit: "", unit + "/main": alone}, own: unit + "/main", systemd: true,
			delegated: []string{unit, unit + "/main"}, want: unit + "/main", leaf: true},
		{name: "deep below a delegated unit", groups: map[string]string{"/": "", unit: "", unit + "/a/b": alone}, own: unit + "/a/b", systemd: true,
			delegated: []string{unit}, wrong: "write Delegate=yes into the unit"},
		{name: "unit without delegation", groups: map[string]string{"/": "", unit: alone}, own: unit, systemd: true, wrong: "write Delegate=yes into the unit"},
		{name: "shell of a session", groups: map[string]string{"/": "", "/user.slice/session-1.scope": shell}, own: "/user.slice/session-1.scope", systemd: true,
			wrong: "systemd-run -p Delegate=yes"},
		{name: "shell of a delegated scope", groups: map[string]string{"/": "", "/run.scope": shell}, own: "/run.scope", systemd: true,
			delegated: []string{"/run.scope"}, wrong: "other processes too (17 43)"},
		{name: "service of another init", groups: map[string]string{"/": "1\n", "/openrc.casemated": alone}, own: "/openrc.casemated", want: "/openrc.casemated", leaf: true},
		{name: "among others under another init", groups: map[string]string{"/": "1\n", "/x": shell}, own: "/x", wrong: "container's only program"},
		{name: "outside the namespace", groups: map[string]string{"/": ""}, own: "/../elsewhere", wrong: "does not show this process's group"},
		{name: "no version 2 group", groups: map[string]string{"/": ""}, own: "", wrong: "does not show this process's group"},
		{name: "deleted", groups: map[string]string{"/": ""}, own: "/gone (deleted)", wrong: "no such file"},
	} {
		top := fakeTree(t, c.groups)
		s := surroundings{top: top, own: c.own, pid: 42, systemd: c.systemd, delegated: func(dir string) bool {
			return slices.Contains(c.delegated, strings.TrimPrefix(dir, top))
		}}
		h, err := s.find()
		if c.wrong != "" {
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
			}
			continue
		}
		if err != nil || h.Path != filepath.Join(top, c.want) || h.leaf != c.leaf {
			t.Errorf("%s: %+v %v, want %s, leaf %v", c.name, h, err, c.want, c.leaf)
		}
	}
}

// A container sees its own group as the root of the tree, but it has a type: it is
// claimed if the broker is the only program there.
func TestFindContainer(t *testing.T) {
	top := fakeTree(t, map[string]string{"/": "42\n"})
	if err := os.WriteFile(filepath.Join(top, "cgroup.type"), []byte("domain\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := surroundings{top: top, own: "/", pid: 42, delegated: func(dir string) bool { return dir == filepath.Dir(top) }}
	if h, err := s.find(); err != nil || h.Path != top || !h.leaf {
		t.Errorf("%+v, %v", h, err)
	}
	s.pid = 1
	if _, err := s.find(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("beside another process: %v", err)
	}
	s.top = ""
	if _, err := s.find(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a mount: %v", err)
	}
}

func TestOwnGroup(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"0::/\n":                           "/",
		"4:memory:/x\n0::/a b/c.service\n": "/a b/c.service",
		"1:name=systemd:/0::/x\n0::/gone (deleted)\n": "/gone (deleted)",
		"10::/x\n": "",
	} {
		if got := ownGroup(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Settling in a tree that is read-only, or none, is the same as having none.
func TestSettleRefused(t *testing.T) {
	if err := (Hierarchy{Path: "/proc/none"}).settle(); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if err := (Hierarchy{Path: t.TempDir()}).settle(); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

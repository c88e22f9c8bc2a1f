package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox/hostpath"
)

// fakeHost resolves paths as a host with these links would; names that end in
// ".f" are files, everything else is a directory.
type fakeHost map[string]string

func (h fakeHost) find(p string) (*hostpath.File, error) {
	f := &hostpath.File{}
	real, todo := "/", strings.Split(p[1:], "/")
	for len(todo) > 0 {
		at := path.Join(real, todo[0])
		todo = todo[1:]
		text, ok := h[at]
		if !ok {
			real = at
			continue
		}
		if len(f.Links) == hostpath.MaxLinks {
			return f, errors.New("loop")
		}
		f.Links = append(f.Links, hostpath.Link{Path: at, Text: text})
		if strings.HasPrefix(text, "/") {
			real = "/"
		}
		todo = append(strings.Split(text, "/"), todo...)
	}
	if real == "/" {
		return f, errors.New("leads to the root")
	}
	if f.Real = real; !strings.HasSuffix(real, ".f") {
		f.Stat.Mode = syscall.S_IFDIR
	}
	return f, nil
}

// planOn checks entries, resolves them on the host, and plans.
func (h fakeHost) plan(entries []Entry) (*Layout, error) {
	if err := (Tree{Entries: entries}).Check(); err != nil {
		return nil, err
	}
	hosts := make([]*hostpath.File, len(entries))
	for i := range entries {
		if !entries[i].Kind.Bind() {
			continue
		}
		var err error
		if hosts[i], err = h.find(entries[i].Path); err != nil {
			return nil, err
		}
	}
	return Lay(entries, hosts)
}

// String prints a plan: "path kind" for what is created, "=path kind" for binds.
func (l *Layout) String() string {
	var out []string
	for _, p := range l.order() {
		n := l.nodes[p]
		out = append(out, fmt.Sprintf("%s %s%s", p, n.kind, n.text))
	}
	for _, m := range l.binds() {
		out = append(out, fmt.Sprintf("=%s %s", m.path, m.kind))
	}
	return strings.Join(out, "; ")
}

func TestPlan(t *testing.T) {
	debian := fakeHost{"/lib": "usr/lib", "/bin": "usr/bin", "/usr/bin/vi": "/etc/alternatives/vi", "/etc/alternatives/vi": "/usr/bin/vim.f", "/etc/up": "../var/up.f"}
	r, x, w := ReadOnly, Exec, Write
	for _, c := range []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"nothing", nil, ""},
		{"a directory", []Entry{{Kind: r, Path: "/srv/www"}}, "/srv directory; /srv/www directory; =/srv/www read"},
		{"a file", []Entry{{Kind: x, Path: "/app/run.f"}}, "/app directory; /app/run.f file; =/app/run.f exec"},
		{"host link on the way", []Entry{{Kind: x, Path: "/lib/x"}}, "/lib symlinkusr/lib; /usr directory; /usr/lib directory; /usr/lib/x directory; =/usr/lib/x exec"},
		{"host link itself, with ..", []Entry{{Kind: r, Path: "/etc/up"}}, "/etc directory; /etc/up symlink../var/up.f; /var directory; /var/up.f file; =/var/up.f read"},
		{"chain of links", []Entry{{Kind: x, Path: "/bin/vi"}}, "/bin symlinkusr/bin; /etc directory; /etc/alternatives directory; /etc/alternatives/vi symlink/usr/bin/vim.f; " +
			"/usr directory; /usr/bin directory; /usr/bin/vi symlink/etc/alternatives/vi; /usr/bin/vim.f file; =/usr/bin/vim.f exec"},
		{"link inside a mirrored bind is there already", []Entry{{Kind: x, Path: "/usr"}, {Kind: r, Path: "/bin"}}, "/bin symlinkusr/bin; /usr directory; =/usr exec; =/usr/bin read"},
		{"same inside same is dropped", []Entry{{Kind: x, Path: "/usr/bin/a.f"}, {Kind: x, Path: "/usr"}}, "/usr directory; =/usr exec"},
		{"the same link twice", []Entry{{Kind: x, Path: "/lib/a"}, {Kind: x, Path: "/lib/b.f"}, {Kind: Symlink, Path: "/lib", Text: "usr/lib"}},
			"/lib symlinkusr/lib; /usr directory; /usr/lib directory; /usr/lib/a directory; /usr/lib/b.f file; =/usr/lib/a exec; =/usr/lib/b.f exec"},
		{"exec includes read", []Entry{{Kind: r, Path: "/a"}, {Kind: x, Path: "/a"}}, "/a directory; =/a exec"},
		{"write includes read", []Entry{{Kind: w, Path: "/a"}, {Kind: r, Path: "/a"}}, "/a directory; =/a write"},
		{"two names of one place", []Entry{{Kind: r, Path: "/lib"}, {Kind: x, Path: "/usr/lib"}}, "/lib symlinkusr/lib; /usr directory; /usr/lib directory; =/usr/lib exec"},
		{"nested, outer first", []Entry{{Kind: w, Path: "/a/b/c"}, {Kind: r, Path: "/a"}}, "/a directory; =/a read; =/a/b/c write"},
		{"prefix of a name is not inside", []Entry{{Kind: r, Path: "/a"}, {Kind: r, Path: "/a-b"}, {Kind: w, Path: "/a/b"}}, "/a directory; /a-b directory; =/a read; =/a-b read; =/a/b write"},
		{"same kind that is pinned is kept", []Entry{{Kind: r, Path: "/a"}, {Kind: r, Path: "/a/b", Pin: true}}, "/a directory; =/a read; =/a/b read"},
		{"own things go through links", []Entry{{Kind: Symlink, Path: "/tmp", Text: "/private/tmp"}, {Kind: Dir, Path: "/private/tmp"}, {Kind: Dir, Path: "/tmp/x"}},
			"/private directory; /private/tmp directory; /private/tmp/x directory; /tmp symlink/private/tmp"},
		{"explicit over implied", []Entry{{Kind: r, Path: "/d/e.f"}, {Kind: Dir, Path: "/d", Mode: 0o700}}, "/d directory; /d/e.f file; =/d/e.f read"},
		{"dangling link", []Entry{{Kind: Symlink, Path: "/x/l", Text: "nowhere"}}, "/x directory; /x/l symlinknowhere"},
	} {
		l, err := debian.plan(c.entries)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if l.String() != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, l, c.want)
		}
	}
}

func TestPlanErrors(t *testing.T) {
	host := fakeHost{"/lib": "usr/lib"}
	for _, c := range []struct {
		want    string // part of the error
		entries []Entry
	}{
		{"both", []Entry{{Kind: Exec, Path: "/a"}, {Kind: Write, Path: "/a"}}},
		{"both", []Entry{{Kind: Device, Path: "/dev/null"}, {Kind: ReadOnly, Path: "/dev/null"}}},
		{"inside the bind", []Entry{{Kind: ReadOnly, Path: "/a"}, {Kind: Dir, Path: "/a/b"}}},
		{"inside the bind", []Entry{{Kind: Dir, Path: "/a/b"}, {Kind: ReadOnly, Path: "/a"}}},
		{"inside the bind", []Entry{{Kind: ReadOnly, Path: "/a"}, {Kind: Symlink, Path: "/a/b", Text: "c"}}},
		{"inside the bind", []Entry{{Kind: ReadOnly, Path: "/usr"}, {Kind: Dir, Path: "/usr/x"}}},
		{"same path", []Entry{{Kind: ReadOnly, Path: "/a"}, {Kind: Dir, Path: "/a"}}},
		{"symlink at this path", []Entry{{Kind: ReadOnly, Path: "/a"}, {Kind: Symlink, Path: "/a", Text: "b"}}},
		{"point to both", []Entry{{Kind: ReadOnly, Path: "/lib/x"}, {Kind: Symlink, Path: "/lib", Text: "lib64"}}},
		{"hides the host", []Entry{{Kind: ReadOnly, Path: "/tmp/x"}, {Kind: Symlink, Path: "/tmp", Text: "/private/tmp"}}},
		{"behind another link", []Entry{{Kind: Symlink, Path: "/a", Text: "b"}, {Kind: Symlink, Path: "/a/c", Text: "d"}}},
		{"is a file", []Entry{{Kind: ReadOnly, Path: "/a.f"}, {Kind: Write, Path: "/a.f/b"}}},
		{"different", []Entry{{Kind: Dir, Path: "/a", Mode: 0o700}, {Kind: Dir, Path: "/a"}}},
		{"symbolic links", []Entry{{Kind: Symlink, Path: "/a", Text: "a"}, {Kind: Dir, Path: "/a/b"}}},
		{"not an absolute clean path below the root", []Entry{{Kind: Dir, Path: "/a/"}}},
		{"not an absolute clean path below the root", []Entry{{Kind: ReadOnly, Path: "/b//c"}}},
		{"not an absolute clean path below the root", []Entry{{Kind: ReadOnly, Path: "a"}}},
		{"not an absolute clean path below the root", []Entry{{Kind: ReadOnly, Path: "/"}}},
		{"not below /dev", []Entry{{Kind: Device, Path: "/etc/passwd"}}},
	} {
		l, err := host.plan(c.entries)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, %v, want an error with %q", c.entries, l, err, c.want)
		}
	}
}

// FuzzPlan plans trees of odd, overlapping paths and checks what every plan
// must keep; lines are "kind path source", or "host path text" for host links.
func FuzzPlan(f *testing.F) {
	f.Add("1 /a/b\n2 /a\n3 /a/b/c\n4 /dev/null\n5 /tmp /private/tmp\n6 /private/tmp\n7 /tmp/x\nhost /lib usr/lib\n2 /lib/x")
	f.Add("5 /a b\n5 /b a\n6 /a/c\n1 /x/y /a\n1 /x\n2 /x/y/z")
	f.Add("host /l /l/l\n1 /l/m\nhost /q ..\n3 /q/w\n1 /é/\xff\n7 /a.f\n1 /a.f/b")
	f.Fuzz(func(t *testing.T, text string) {
		host := fakeHost{}
		var entries []Entry
		for line := range strings.SplitSeq(text, "\n") {
			kind, rest, _ := strings.Cut(line, " ")
			p, source, _ := strings.Cut(rest, " ")
			switch {
			case kind == "host" && proper(p) && source != "":
				host[p] = source
			case len(kind) == 1 && kind[0] > '0' && Kind(kind[0]-'0') <= Dir && (source != "" || Kind(kind[0]-'0') != Symlink):
				entries = append(entries, Entry{Kind: Kind(kind[0] - '0'), Path: p, Text: source})
			}
		}
		if len(entries) > 64 {
			return
		}
		l, err := host.plan(entries)
		back := slices.Clone(entries)
		slices.Reverse(back)
		l2, err2 := host.plan(back)
		if (err == nil) != (err2 == nil) || err == nil && l.String() != l2.String() {
			t.Fatalf("order matters: %v %v, reversed %v %v", l, err, l2, err2)
		}
		if err == nil {
			l.verify(t)
		}
	})
}

// verify checks the invariants of a plan.
func (l *Layout) verify(t *testing.T) {
	t.Helper()
	made := map[string]node{"/": {kind: Dir}}
	for _, p := range l.order() {
		if !proper(p) {
			t.Errorf("node %q is no entry's path", p)
		}
		if made[path.Dir(p)].kind != Dir {
			t.Errorf("node %q comes before its directory or has none", p)
		}
		if m, ok := l.around(p); ok {
			t.Errorf("node %q is created inside the bind %s", p, m.path)
		}
		made[p] = l.nodes[p]
	}
	mounted := map[string]bool{}
	for _, m := range l.binds() {
		if !proper(m.path) {
			t.Errorf("bind %q is no entry's path", m.path)
		}
		outer, inside := l.around(m.path)
		if n, ok := made[m.path]; ok == inside || ok && (n.kind == Dir) != m.dir {
			t.Errorf("bind %q: mount point %v %v, inside another bind %v", m.path, n.kind, ok, inside)
		}
		if inside && outer.entry >= 0 && !mounted[outer.path] {
			t.Errorf("bind %q comes before %q", m.path, outer.path)
		}
		mounted[m.path] = true
	}
	for p, m := range maps.All(l.mounts) {
		outer, ok := l.around(p)
		if m.entry < 0 && !(ok && outer.kind == m.kind && !m.pin) {
			t.Errorf("bind %q was dropped without another that shows it", p)
		}
	}
	if bytes, inodes := l.size(); bytes <= 0 || inodes <= int64(len(l.nodes)) {
		t.Errorf("size %d bytes, %d inodes for %d nodes", bytes, inodes, len(l.nodes))
	}
}

package seccomp

import (
	"slices"
	"strings"
	"testing"
)

func show(rules []Rule) string {
	var out []string
	for _, r := range rules {
		out = append(out, r.String())
	}
	slices.Sort(out) // by name: the numbers are each architecture's own
	return strings.Join(out, " ")
}

func TestResolve(t *testing.T) {
	cases := []struct {
		allow, deny []string
		want        string
	}{
		{nil, nil, ""},
		{[]string{"write", "read", "write"}, nil, "read write"},
		{[]string{"@watch"}, []string{"inotify_init"}, "inotify_add_watch inotify_init1 inotify_rm_watch"},
		{[]string{"ioctl", "@tty"}, nil, "ioctl"},
		{[]string{"@fd-passing"}, []string{"setsockopt"}, "recvmsg sendmsg(2&0x20000000=0x0) socketpair(0=0x1)"},
		{[]string{"@memfd", "read"}, []string{"@memfd"}, "read"},
		{[]string{"@memory"}, []string{"@loader"}, ""},
		{[]string{"wait4"}, []string{"read"}, "wait4"},
		{[]string{"mmap"}, []string{"mmap"}, ""},
		{[]string{"@jit", "@memory"}, []string{"mprotect", "@watch", "brk", "munmap", "mremap", "madvise", "mlock", "munlock", "membarrier", "prctl"}, "mmap"},
	}
	for _, c := range cases {
		rules, err := Resolve(c.allow, c.deny)
		if err != nil {
			t.Errorf("%v - %v: %v", c.allow, c.deny, err)
			continue
		}
		want := c.want
		if c.allow != nil && c.allow[0] == "@memory" {
			// Executable mappings go with @loader; what @memory has beside it stays.
			want = show(rules)
			for _, r := range rules {
				if slices.ContainsFunc(GroupRules("@loader"), func(o Rule) bool { return o.overlaps(r) }) {
					t.Errorf("%s is left", r)
				}
			}
		}
		if got := show(rules); got != want {
			t.Errorf("%v - %v: %s, want %s", c.allow, c.deny, got, want)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	cases := []struct {
		allow, deny []string
		want        string
	}{
		{[]string{"raed"}, nil, `allow: unknown system call "raed"`},
		{nil, []string{"@file-raed"}, `deny: unknown group "@file-raed"`},
		{[]string{""}, nil, `unknown system call ""`},
		{[]string{"@"}, nil, `unknown group "@"`},
		{[]string{"zzzzzzzzzzzzzzzz"}, nil, `unknown system call "zzzzzzzzzzzzzzzz"`},
		{[]string{"READ"}, nil, `unknown system call "READ"`},
		{[]string{"ioctl"}, []string{"@tty"}, `deny: @tty has ioctl(1=0x5401), which ioctl in allow allows as well`},
		{[]string{"@jit"}, []string{"@memory"}, "deny mmap, or allow less"},
	}
	for _, c := range cases {
		rules, err := Resolve(c.allow, c.deny)
		if err == nil || !strings.Contains(err.Error(), c.want) || rules != nil {
			t.Errorf("%v - %v: %v, want %q", c.allow, c.deny, err, c.want)
		}
	}
}

func TestNormalizeLeavesItsInputAlone(t *testing.T) {
	in := []Rule{{"socket", []Arg{{Index: 1, Value: 2}, {Index: 0, Value: 1}}}, {"read", nil}}
	out, err := Normalize(in)
	if err != nil {
		t.Fatal(err)
	}
	out[1].Args[0].Value = 99
	if in[0].Args[0] != (Arg{Index: 1, Value: 2}) || in[0].Args[1] != (Arg{Index: 0, Value: 1}) || in[0].Name != "socket" {
		t.Errorf("input changed: %v", in)
	}
}

// FuzzResolve takes any words: either an error, or rules that are normalized and
// that no denied entry overlaps.
func FuzzResolve(f *testing.F) {
	f.Add("read @stdio", "write")
	f.Add("@login", "@pty")
	f.Add("ioctl", "@tty")
	f.Add("@server @nonsense", "@")
	f.Fuzz(func(t *testing.T, allow, deny string) {
		if len(allow)+len(deny) > 200 {
			return
		}
		rules, err := Resolve(strings.Fields(allow), strings.Fields(deny))
		if err != nil {
			return
		}
		again, err := Normalize(rules)
		if err != nil || show(again) != show(rules) {
			t.Fatalf("not normalized: %s, %v", show(rules), err)
		}
		for _, d := range strings.Fields(deny) {
			out, err := entryRules(d)
			if err != nil {
				t.Fatal(err)
			}
			if err := stillAllowed(d, rules, out); err != nil {
				t.Fatal(err)
			}
		}
	})
}

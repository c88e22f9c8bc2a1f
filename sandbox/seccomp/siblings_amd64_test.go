package seccomp

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// siblings are calls that arm64 has not, with what C libraries make in their place there; "" is nothing.
var siblings = map[string]string{
	"access": "faccessat", "alarm": "setitimer", "arch_prctl": "", "chmod": "fchmodat", "chown": "fchownat", "creat": "openat",
	"dup2": "dup3", "epoll_create": "epoll_create1", "epoll_wait": "epoll_pwait", "eventfd": "eventfd2", "fork": "clone",
	"futimesat": "utimensat", "getdents": "getdents64", "getpgrp": "getpgid", "inotify_init": "inotify_init1", "lchown": "fchownat",
	"link": "linkat", "lstat": "newfstatat", "mkdir": "mkdirat", "mknod": "mknodat", "open": "openat", "pause": "ppoll", "pipe": "pipe2",
	"poll": "ppoll", "readlink": "readlinkat", "rename": "renameat", "rmdir": "unlinkat", "select": "pselect6", "signalfd": "signalfd4",
	"stat": "newfstatat", "symlink": "symlinkat", "time": "clock_gettime", "unlink": "unlinkat", "utime": "utimensat", "utimes": "utimensat",
	"vfork": "clone",
}

// TestSiblings: a group that has a call of x86-64 alone has what stands for it on arm64.
func TestSiblings(t *testing.T) {
	text, err := os.ReadFile("table_arm64.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "var elsewhere = []string{")
	missing := regexp.MustCompile(`"[a-z0-9_]+"`).FindAllString(list, -1)
	if len(missing) < 40 {
		t.Fatalf("%d calls are missing on arm64", len(missing))
	}
	looked := 0
	for _, g := range Groups() {
		rules := GroupRules(g)
		for _, quoted := range missing {
			call := strings.Trim(quoted, `"`)
			if len(ofCall(rules, call)) == 0 {
				continue
			}
			sibling, known := siblings[call]
			_, profile := profileGroups[g]
			switch has := slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == sibling }); {
			case !known:
				t.Errorf("%s has %s: what is there in its place on arm64?", g, call)
			case sibling != "" && !has && (call != "pause" || profile): // @signal alone has none, every profile has both
				t.Errorf("%s has %s, and not %s", g, call, sibling)
			}
			looked++
		}
	}
	if looked < 60 {
		t.Errorf("only %d calls were looked at", looked)
	}
}

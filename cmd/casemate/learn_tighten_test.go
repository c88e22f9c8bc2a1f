package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/diff"
	"casemate/policy/lang"
	"casemate/sandbox/learn"
	"casemate/sandbox/seccomp"
)

// inForce compiles a policy with one service, and gives what its sessions are held against.
func inForce(t *testing.T, profile string) *learn.Confines {
	t.Helper()
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "x.cm.hcl", Data: []byte("policy { edition = 1 }\n" + profile +
		"\nservice \"x\" {\n listen = [\"tcp://:7\"]\n command = [\"/bin/cat\"]\n user = \"nobody\"\n profile = profile.x\n}\n")}})
	if doc == nil {
		t.Fatalf("%s\n%+v", profile, ds)
	}
	p := doc.Policy.Profile("x")
	rules, err := calls.Resolve(&p.Syscalls)
	if err != nil {
		t.Fatal(err)
	}
	return &learn.Confines{Profile: p, Rules: rules, Exists: func(string) bool { return true }}
}

// usual is a session that reads a page and answers.
func usual(pid int, more ...learn.Fact) *learn.Session {
	s := &learn.Session{PID: pid, Program: "/bin/cat", Started: time.Now(), Processes: 1, Ends: []learn.End{{PID: pid, Program: "/bin/cat", Calls: 20}}}
	facts := append([]learn.Fact{{Call: "openat", Path: "/srv/www/index.html"}, {Call: "read"}, {Call: "write"}, {Call: "exit_group"}}, more...)
	for i, f := range facts {
		f.PID, f.Program, f.Count, f.First, f.Last, f.At = pid, "/bin/cat", 1, i+1, i+1, time.Now()
		if strings.HasPrefix(f.Call, "open") && f.Args == nil {
			f.Args = []seccomp.Arg{{Index: 2}}
		}
		s.Facts = append(s.Facts, f)
	}
	return s
}

const wasteful = `profile "x" {
  base         = profile.server
  widens       = ["capabilities", "files", "network", "resources", "syscalls"]
  because      = "it asks others"
  capabilities = ["CAP_CHOWN"]
  files {
    read     = ["/srv/other", "/srv/www", "/etc/passwd"]
    write    = ["/srv/spool"]
    optional = ["/srv/other", "/srv/www"]
    log      = true
  }
  network {
    mode    = "host"
    connect = ["80", "443"]
    sockets = ["udp"]
  }
  syscalls {
    allow = ["@watch"]
    rule "ioctl" {
      arg    = 1
      values = ["0x5402"]
    }
  }
  resources { open_files = 2000 }
  best_effort = ["files.log", "landlock.scopes"]
}
`

// TestTightenWritesAProfile: the profile in force is printed without what no session used, in the
// form of fmt and with evidence, and is what it says: it compiles, grants nothing more, and all that was used.
func TestTightenWritesAProfile(t *testing.T) {
	c := inForce(t, wasteful)
	sessions := []*learn.Session{usual(1), usual(2)}
	tight, err := tightened(c, sessions)
	if err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	a := &app{out: &out, err: &said}
	if err := a.printTight(&tightReport{Service: "web", Sessions: 2}, tight, c, []string{"head"}, ""); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if formatted, ds := lang.Format(policy.SourceFile{Name: "x.cm.hcl", Data: []byte(text)}); len(ds) > 0 || string(formatted) != text {
		t.Errorf("it is not in the form of fmt:\n%s\n%+v", text, ds)
	}
	code := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(text, "")
	for _, gone := range []string{"/srv/other", "/srv/spool", "CAP_CHOWN", `"host"`, "80", "443", "udp", "@watch", "ioctl", "log ", "proc", "tmp", "@server", "/usr/share", "/etc/passwd", "files.log"} {
		if strings.Contains(code, gone) {
			t.Errorf("it grants %q still:\n%s", gone, text)
		}
	}
	for _, kept := range []string{`"/srv/www"`, "2000", "2 times, first at"} {
		if !strings.Contains(text, kept) {
			t.Errorf("it lacks %q:\n%s", kept, text)
		}
	}
	now := inForce(t, text)
	if r, err := diff.Profiles(c.Profile, now.Profile); err != nil || slices.ContainsFunc(r.Layers, func(l diff.Layer) bool { return len(l.More) > 0 }) {
		t.Errorf("it grants more: %+v, %v", r, err)
	}
	if lacks := learn.Lacks(now.Profile, now.Rules, needsOf(sessions, c), realFiles); len(lacks) > 0 {
		t.Errorf("what was used it lacks: %+v\n%s", lacks, text)
	}
}

// TestTightenHoldsLaterSessions: what the second half used and the first did not is said, and no profile is printed;
// what all of them used is no reason, nor what is shown to them anyway.
func TestTightenHoldsLaterSessions(t *testing.T) {
	c := inForce(t, wasteful)
	for _, later := range []learn.Fact{
		{Call: "openat", Path: "/etc/passwd"}, {Call: "openat", Path: "/tmp/x"}, {Call: "inotify_init1"},
		{Call: "unlink", Path: "/srv/spool/x"}, {Call: "chown", Path: "/srv/spool/x"},
	} {
		var said bytes.Buffer
		a := &app{err: &said}
		if _, err := a.tightByCounting(c, []*learn.Session{usual(1), usual(2), usual(3, later)}); err == nil || !strings.Contains(said.String(), "a later session used what no earlier one did") {
			t.Errorf("%+v: %v %s", later, err, said.String())
		}
		said.Reset()
		tight, err := a.tightByCounting(c, []*learn.Session{usual(1, later), usual(2), usual(3, later)})
		if err != nil {
			t.Errorf("%+v: %v %s", later, err, said.String())
			continue
		}
		if got := tight.Profile.Files; later.Path == "/etc/passwd" && !slices.Contains(got.Read, later.Path) || later.Call == "unlink" && !slices.Contains(got.Write, "/srv/spool") {
			t.Errorf("%+v: %+v", later, got)
		}
	}
}

// TestTightenNothing: where all is used but what is never taken away nothing is printed.
func TestTightenNothing(t *testing.T) {
	c := inForce(t, "profile \"x\" {\n base = profile.strict\n}\n")
	tight, err := tightened(c, []*learn.Session{usual(1)})
	if err != nil {
		t.Fatal(err)
	}
	tight.Gone = nil // strict has single groups that cat does not use
	var out, said bytes.Buffer
	a := &app{out: &out, err: &said}
	if err := a.printTight(&tightReport{Service: "x", Of: "x", Sessions: 1}, tight, c, nil, ""); err != nil || out.Len() > 0 || !strings.Contains(said.String(), "stays as it is") {
		t.Errorf("%v: %s%s", err, out.String(), said.String())
	}
}

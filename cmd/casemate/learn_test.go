package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/learn"
)

func TestWords(t *testing.T) {
	for in, want := range map[string][]string{
		"":                        nil,
		"  a  b\tc\n":             {"a", "b", "c"},
		`/bin/sh -c 'echo "$x"' `: {"/bin/sh", "-c", `echo "$x"`},
		`a "b c"d '' \ e`:         {"a", "b cd", "", " e"},
		`"a\"b"`:                  {`a"b`},
		`'a\'`:                    {`a\`},
	} {
		if got, err := words(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{`'a`, `"a`, `a\`} {
		if got, err := words(in); err == nil {
			t.Errorf("%q: %q without an error", in, got)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add(`/bin/sh -c 'echo "$x"' \ e`)
	f.Fuzz(func(t *testing.T, line string) {
		list, err := words(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range list {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		again, err := words(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(again, list) {
			t.Errorf("%q: %q, and quoted again %q (%v)", line, list, again, err)
		}
	})
}

// TestShippedBases: a learnt profile stands on that of a kind of program only if the program is of that kind.
func TestShippedBases(t *testing.T) {
	dir := t.TempDir()
	casemate, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	madeByGo := ""
	if len(realFiles.Loads(casemate)) == 0 { // else it is linked to the C library
		madeByGo = "go"
	}
	for _, c := range []struct{ program, first, kind string }{
		{casemate, "", madeByGo},
		{"/usr/bin/git", "", "git"}, {"/usr/bin/rsync", "", ""}, {dir + "/none", "", ""},
		{dir + "/p", "#!/usr/bin/python3 -u\n", "python"}, {dir + "/n", "#! /usr/bin/env node\n", "node"}, {dir + "/j", "#!/usr/bin/java -jar\n", "jvm"}, {dir + "/s", "#!/bin/sh\n", "shell"},
		{dir + "/i", "#!/usr/bin/env bash\n", "shell"}, {dir + "/a", "#!/usr/bin/awk -f\n", ""},
		{dir + "/e", "#!/usr/bin/env\n", ""}, {dir + "/b", "#!\n", ""}, {dir + "/x", "", ""},
	} {
		if strings.HasPrefix(c.program, dir) && filepath.Base(c.program) != "none" {
			if err := os.WriteFile(c.program, []byte(c.first), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		bases, err := shippedBases(c.program)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, b := range bases {
			names = append(names, b.Profile.Name)
		}
		want := strings.Fields(c.kind + " strict line files server login")
		if len(realFiles.Loads(c.program)) > 0 { // which strict is not for
			want = slices.DeleteFunc(want, func(w string) bool { return w == "strict" })
		} else if c.first == "" && c.kind != "" {
			t.Errorf("%s loads nothing", c.program)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s (%q): %v, want %v", c.program, c.first, names, want)
		}
	}
}

// shippedBase is a shipped profile to stand on.
func shippedBase(t *testing.T, name string) *learn.Base {
	t.Helper()
	for _, p := range lang.ShippedProfiles() {
		if p.Name == name {
			return &learn.Base{Profile: &p}
		}
	}
	t.Fatalf("no profile %s", name)
	return nil
}

// FuzzDraftText: whatever a program calls its files and its arguments, the profile that is
// written of them is one, in the form of fmt, and has each line's value and no other line.
func FuzzDraftText(f *testing.F) {
	f.Add("/srv/a b", `openat("/srv/x")`, "curl: (7) failed")
	f.Add("/srv/${x}", "a\nwrite = [\"/\"]\n", "\u2028 # %{if}")
	f.Fuzz(func(t *testing.T, path, example, without string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "*?[") || strings.Contains(path, "//") || strings.HasSuffix(path, "/") || strings.Contains(path, "/.") ||
			strings.HasPrefix(path, "/dev") || strings.HasPrefix(path, "/proc") || strings.HasPrefix(path, "/tmp") || strings.HasPrefix(path, "/private") || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r > '~' }) {
			return
		}
		d := &learn.Draft{Base: shippedBase(t, "line"), Lines: []learn.Need{
			{Attr: learn.AttrRead, Value: path, Evidence: learn.Evidence{Count: 2, Example: example, Program: example, Without: without}},
			{Attr: learn.AttrAllow, Value: "@process", Evidence: learn.Evidence{Example: example}},
			{Attr: learn.AttrRule, Value: "ioctl 0x5402", Rule: sandbox.SyscallRule{Name: "ioctl", Arg: 1, Values: []uint32{0x5402}}},
		}}
		text, err := draftText("x", d, []string{"Learnt from " + oneLine(example)})
		if err != nil {
			t.Fatal(err)
		}
		doc, ds := lang.Compile([]policy.SourceFile{{Name: "x.cm.hcl", Data: []byte("policy { edition = 1 }\n" + text + "service \"x\" {\n listen = [\"tcp://:7\"]\n command = [\"/bin/cat\"]\n user = \"nobody\"\n profile = profile.x\n}\n")}})
		if doc == nil {
			for _, o := range ds {
				if strings.Contains(o.Detail+o.Summary, "path") || strings.Contains(o.Summary, "/") {
					return // the language has rules of its own for paths
				}
			}
			t.Fatalf("%s\n%+v", text, ds)
		}
		p := doc.Policy.Profile("x")
		if !slices.Contains(p.Files.Read, path) || len(p.Files.Write) > 0 || !slices.Contains(p.Syscalls.Allow, "@process") || len(p.Syscalls.ByArgument) != 1 {
			t.Errorf("%s\n%+v", text, p)
		}
	})
}

// TestInSandbox: a program where a sandbox has directories of its own is told before anything starts.
func TestInSandbox(t *testing.T) {
	for program, want := range map[string]string{"/tmp/x/quote": "/tmp", "/tmp": "", "/tmpfile": "", "/dev/shm/x": "/dev", "/opt/../proc/x": "/proc", "/opt/tmp/x": ""} {
		if got := inSandbox(program); got != want {
			t.Errorf("%s: %q, want %q", program, got, want)
		}
	}
}

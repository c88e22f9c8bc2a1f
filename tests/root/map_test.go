package root

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// foreignTree makes a root tree with a shell, a C library and a loader of its own, musl's, and
// a program that needs them. Its links are those of a root tree: relative ones, and absolute
// ones that mean the tree's own files. secret is a file of the host beside it.
func foreignTree(t *testing.T) (tree, secret string) {
	t.Helper()
	rig.Root(t)
	busybox := need.Programs(t, "busybox")[0]
	musl := need.Programs(t, "musl-gcc")[0]
	top := rig.PublicDir(t)
	tree, secret = filepath.Join(top, "tree"), filepath.Join(top, "secret")
	text, err := os.ReadFile(busybox)
	for _, dir := range []string{"bin", "usr/lib", "etc/more", "data"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(tree, dir), 0o755))
	}
	for name, content := range map[string]string{
		"bin/busybox": string(text), "etc/copy": string(text), "etc/motd": "of the tree\n",
		"bin/report": "#!/bin/sh\nread word\nbusybox cat /etc/motd\nbusybox ls -1 /\n/etc/copy true 2>/dev/null || echo \"not run: $word\"\n",
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(tree, name), []byte(content), 0o755))
	}
	err = errors.Join(err, os.WriteFile(secret, []byte("of the host\n"), 0o644))
	libs, globErr := filepath.Glob("/lib/*-linux-musl/libc.so")
	if err = errors.Join(err, globErr); err != nil || len(libs) == 0 {
		t.Fatalf("the C library of musl-gcc: %v, %v", libs, err)
	}
	if text, err = os.ReadFile(libs[0]); err == nil {
		err = os.WriteFile(filepath.Join(tree, "usr/lib/libc.so"), text, 0o755)
	}
	// What musl-gcc links asks for the loader by its name in /lib.
	loader := "/lib/ld-musl-" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + ".so.1"
	for name, to := range map[string]string{
		"lib": "usr/lib", "usr/lib/" + filepath.Base(loader): "/usr/lib/libc.so", "bin/sh": "/bin/busybox",
		"etc/absolute": secret, "etc/relative": strings.Repeat("../", 40) + secret[1:], "etc/password": "/etc/passwd",
	} {
		err = errors.Join(err, os.Symlink(to, filepath.Join(tree, name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(musl, "-O1", "-o", filepath.Join(tree, "bin/look"), "testdata/look.c").CombinedOutput(); err != nil {
		t.Fatalf("musl-gcc: %v\n%s", err, out)
	}
	return tree, secret
}

// mapped is a profile of files alone.
func mapped(name, files string) string {
	return fmt.Sprintf("\nprofile %q {\n  base   = profile.strict\n  widens = [\"files\", \"syscalls\"]\n  files {\n%s\n  }\n  syscalls {\n    allow        = [\"@server\"]\n    on_violation = \"errno\"\n  }\n}\n", name, files)
}

// TestForeignTree: programs of another C library run in a root tree of their own, which is all
// that there is: no link of it leads to what the host has under that name.
func TestForeignTree(t *testing.T) {
	tree, secret := foreignTree(t)
	more := filepath.Join(filepath.Dir(tree), "more")
	if err := errors.Join(os.Mkdir(more, 0o755), os.WriteFile(filepath.Join(more, "note"), []byte("of elsewhere\n"), 0o644), os.Mkdir(more+"-data", 0o777), os.Chmod(more+"-data", 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"absolute", "relative"} { // the control: on the host they do lead there
		if text, err := os.ReadFile(filepath.Join(tree, "etc", link)); err != nil || string(text) != "of the host\n" {
			t.Fatalf("%s on the host: %q, %v", link, text, err)
		}
	}
	look, report := rig.Port(t), rig.Port(t)
	data := filepath.Join(more+"-data", "new")
	text := head + mapped("look", fmt.Sprintf("    exec  = [\"/lib\"]\n    read  = [\"/etc\", \"/etc/more\"]\n    write = [\"/data\"]\n    map   = { \"/\" = %q, \"/etc/more\" = %q, \"/data\" = %q }", tree, more, more+"-data")) +
		mapped("report", fmt.Sprintf("    exec = [\"/bin\"]\n    read = [\"/etc\"]\n    map  = { \"/\" = %q }", tree)) +
		service("look", "tcp://127.0.0.1:"+look, []string{"/bin/look"}, "profile = profile.look") +
		service("report", "tcp://127.0.0.1:"+report, []string{"/bin/report"}, "profile = profile.report", `env = { PATH = "/bin" }`)
	b := rig.Serve(t, text)
	asked := []struct{ path, want string }{
		{"/etc/motd", "of the tree"}, {"/etc/more/note", "of elsewhere"},
		{"/lib/ld-musl-none", "ENOENT"}, {"/etc/passwd", "ENOENT"}, {"/etc/password", "ENOENT"},
		{secret, "ENOENT"}, {"/etc/absolute", "ENOENT"}, {"/etc/relative", "ENOENT"}, {tree + "/etc/motd", "ENOENT"}, {"/bin/busybox", "ENOENT"},
		{"+/data/new", "ok"}, {"+/etc/new", "EROFS"}, {"+/etc/more/note", "EROFS"}, {"+/new", "EROFS"},
	}
	var questions, answers strings.Builder
	for _, a := range asked {
		fmt.Fprintln(&questions, a.path)
	}
	got, err := rig.Exchange(look, questions.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.Stderr())
	}
	for i, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if i < len(asked) && line != asked[i].want && !(asked[i].want == "EROFS" && line == "EACCES") { // Landlock may be asked first
			t.Errorf("%s: %q, want %q", asked[i].path, line, asked[i].want)
		}
		fmt.Fprintln(&answers, line)
	}
	if n := strings.Count(got, "\n"); n != len(asked) {
		t.Errorf("%d answers to %d questions: %q", n, len(asked), got)
	}
	if text, err := os.ReadFile(data); err != nil || string(text) != "written\n" {
		t.Errorf("what it wrote, on the host: %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(tree, "data/new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it wrote into the tree as well: %v", err)
	}
	if got, err := rig.Exchange(report, "word\n"); err != nil || got != "of the tree\nbin\ndev\netc\nnot run: word\n" {
		t.Errorf("the script said %q (%v)", got, err)
	}
	if _, err := b.Await(2, time.Minute, "msg", "session", "reason", "exit"); err != nil {
		t.Error(err)
	}
}

// TestForeignTreeOfOthers: a source that somebody else could change, or which leads somewhere
// else, refuses the service, by the host's own name of it.
func TestForeignTreeOfOthers(t *testing.T) {
	tree, secret := foreignTree(t)
	text := head + mapped("look", fmt.Sprintf("    exec = [\"/lib\"]\n    map  = { \"/\" = %q }", tree)) +
		service("look", "tcp://127.0.0.1:"+rig.Port(t), []string{"/bin/look"}, "profile = profile.look")
	refused := func(want string) {
		t.Helper()
		b, err := rig.Start(rig.Options{Bin: rig.Root(t), Files: map[string]string{"test.cm.hcl": text}})
		if err == nil {
			b.Stop()
			t.Errorf("served, want %q", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("refused with %v, want %q", err, want)
		}
	}
	rig.Serve(t, text).Stop() // the control
	bin, program := filepath.Join(tree, "bin"), filepath.Join(tree, "bin/look")
	try := func(want string, errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		refused(want)
	}
	try(bin+" belongs to uid 65534", os.Chown(bin, 65534, 65534))
	try(program+" belongs to uid 65534", os.Chown(bin, 0, 0), os.Chown(program, 65534, 65534))
	try("open "+filepath.Join(tree, strings.Split(secret, "/")[1])+": no such file", os.Remove(program), os.Symlink(secret, program)) // which inside is below the tree
	try("not executable", os.MkdirAll(filepath.Dir(tree+secret), 0o755), os.WriteFile(tree+secret, []byte("inside"), 0o644))
}

package seccomp

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
)

// busyboxIDs is why busybox is killed for a plain user, with lists that allow no
// change of ids.
const busyboxIDs = "of another user busybox calls setgid and setuid first, in case it is set-uid"

// TestPrograms runs small programs in filters: those that fit end well, even with
// "kill"; those that do not are stopped.
func TestPrograms(t *testing.T) {
	programs := need.Programs(t, "busybox", "/bin/sh")
	busybox, sh := programs[0], programs[1]
	hello := buildGo(t, helloSource)
	dir := t.TempDir()
	cases := []struct {
		name  string
		allow []string
		argv  []string
		in    string
		want  string // "" = must fail
	}{
		{"cat", []string{"@strict"}, []string{busybox, "cat"}, "hello\n", "hello\n"},
		{"sh builtins", []string{"@line"}, []string{busybox, "sh", "-c", `read x; echo "got $x"`}, "word\n", "got word\n"},
		{"dash builtins", []string{"@line"}, []string{sh, "-c", `read x; echo "got $x"`}, "word\n", "got word\n"},
		{"ls", []string{"@line"}, []string{"/bin/ls", "-ld", "/"}, "", " /\n"},
		{"sort with threads", []string{"@line"}, []string{"/usr/bin/sort", "--parallel=2"}, "b\na\n", "a\nb\n"},
		{"coreutils", []string{"@server"}, []string{sh, "-c", "cd " + dir + ` && mkdir -p d/e && echo x >d/e/f && cp -a d g && mv g/e/f h && ln -s h i &&
			touch -d 2001-02-03 h && chmod 600 h && chown "$(id -u)" h && ls -la >/dev/null && sort h | uniq -c | tr -d ' ' && date >/dev/null &&
			stat i >/dev/null && tail -n 1 h >/dev/null && head -c 1 h >/dev/null && df . >/dev/null && du -s . >/dev/null && find . -type f | xargs grep -l x | wc -l &&
			sed -i s/x/y/ h && awk '{print $1}' h && timeout 5 sleep 0 && rm -rf d g h i && mktemp >/dev/null && env true && kill -0 $$`}, "", "1x\n2\ny\n"},
		{"go", []string{"@go"}, []string{hello}, "", "hello from 8 goroutines\n"},
		{"go in line", []string{"@line"}, []string{hello}, "", "hello from 8 goroutines\n"},
		{"no file to write", []string{"@line"}, []string{busybox, "touch", dir + "/new"}, "", ""},
		{"no process", []string{"@files"}, []string{sh, "-c", "/bin/true; /bin/true; echo done"}, "", ""},
		{"no suid bit", []string{"@login"}, []string{"/bin/chmod", "04755", dir}, "", ""},
		{"no device", []string{"@login"}, []string{"/bin/mknod", dir + "/null", "c", "1", "3"}, "", ""},
		{"no mount", []string{"@login"}, []string{busybox, "mount", "-t", "tmpfs", "x", dir}, "", ""},
		{"no namespace", []string{"@login"}, []string{busybox, "unshare", "-n", "true"}, "", ""},
		{"no socket", []string{"@login"}, []string{busybox, "nc", "127.0.0.1", "1"}, "", ""},
	}
	for _, c := range cases {
		for _, v := range []Action{Errno, Kill} {
			t.Run(c.name+"/"+string(v), func(t *testing.T) {
				if v == Kill && c.want != "" && c.argv[0] == busybox {
					need.Root(t, busyboxIDs)
				}
				cmd := confined(t, c.allow, v, c.argv...)
				cmd.Stdin = strings.NewReader(c.in)
				out, err := cmd.Output()
				if c.want == "" {
					if err == nil {
						t.Errorf("it ended well: %q", out)
					}
					return
				}
				if err != nil || !strings.HasSuffix(string(out), c.want) {
					t.Errorf("got %q, %v, want %q\n%s", out, err, c.want, stderrOf(err))
				}
			})
		}
	}
}

func stderrOf(err error) []byte {
	if e, ok := err.(*exec.ExitError); ok {
		return e.Stderr
	}
	return nil
}

const helloSource = `package main
import ("fmt"; "os"; "runtime"; "sync"; "time")
func main() {
	if exe, err := os.Executable(); err != nil { panic(exe) }
	var wg sync.WaitGroup
	n := 0
	var mu sync.Mutex
	for range 8 { wg.Go(func() { runtime.LockOSThread(); time.Sleep(time.Millisecond); mu.Lock(); n++; mu.Unlock() }) }
	wg.Wait()
	r, w, err := os.Pipe()
	if err != nil { panic(err) }
	go func() { w.Write(make([]byte, 1<<20)); w.Close() }()
	buf := make([]byte, 4096)
	for { if _, err := r.Read(buf); err != nil { break } }
	runtime.GC()
	fmt.Println("hello from", n, "goroutines")
}
`

// buildGo builds a static Go program.
func buildGo(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "program")
	cmd := exec.Command(need.Programs(t, "go")[0], "build", "-o", out, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GO111MODULE=off")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, msg)
	}
	return out
}

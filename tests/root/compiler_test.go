package root

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/control"
	"casemate/policy/granted"
	"casemate/policy/lang"
	"casemate/tests/root/rig"
)

// libexec is a folder with our own programs, of which one, `casemate` if nobody says another, can be replaced.
type libexec struct{ dir, bin, name, impostor string }

func newLibexec(t *testing.T) *libexec {
	t.Helper()
	bin, dir := rig.Root(t), rig.PublicDir(t)
	for _, name := range []string{"casemate", "casemate-worker", "casemate-filter"} {
		must(t, "cp", filepath.Join(bin, name), dir)
	}
	return &libexec{dir: dir, bin: bin, name: "casemate", impostor: rig.Compile(t, "testdata/impostor.c")}
}

// become puts a compiler in place that behaves as way says.
func (l *libexec) become(t *testing.T, way, reply string) {
	t.Helper()
	program, err := os.ReadFile(l.impostor)
	if err != nil {
		t.Fatal(err)
	}
	for mark, text := range map[string]string{"IMPOSTOR-WAY:": way, "IMPOSTOR-REPLY:": reply} {
		at := bytes.Index(program, append([]byte(mark), make([]byte, 16-len(mark))...))
		if at < 0 {
			t.Fatalf("the impostor has no %s", mark)
		}
		binary.NativeEndian.PutUint32(program[at+16:], uint32(len(text)))
		program[at+20+copy(program[at+20:], text)] = 0
	}
	l.replace(t, program)
}

// restore puts the real compiler back.
func (l *libexec) restore(t *testing.T) {
	t.Helper()
	program, err := os.ReadFile(filepath.Join(l.bin, l.name))
	if err != nil {
		t.Fatal(err)
	}
	l.replace(t, program)
}

func (l *libexec) replace(t *testing.T, program []byte) {
	t.Helper()
	tmp := filepath.Join(l.dir, "new")
	write(t, tmp, string(program), 0o755)
	if err := os.Rename(tmp, filepath.Join(l.dir, l.name)); err != nil {
		t.Fatal(err)
	}
}

// compilerSite is a broker of one service whose compiler can be replaced.
func compilerSite(t *testing.T, l *libexec, args ...string) (b *rig.Broker, port, text string) {
	t.Helper()
	port = rig.Port(t)
	text = head + service("once", "tcp://127.0.0.1:"+port, []string{rig.Compile(t, "testdata/rogue.c"), "once"}, "profile = profile.line")
	b = rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Args: append([]string{"--libexec", l.dir}, args...)})
	exchange(t, port, "", "once\n")
	return b, port, text
}

// TestDocumentIsChecked: a compiled document is served, and one that somebody wrote into
// is refused by the compiler, digest or not, which cannot put another in its place.
func TestDocumentIsChecked(t *testing.T) {
	l, port := newLibexec(t), rig.Port(t)
	doc, diags := lang.Compile([]policy.SourceFile{{Name: "test.cm.hcl", Data: []byte(head +
		service("once", "tcp://127.0.0.1:"+port, []string{rig.Compile(t, "testdata/rogue.c"), "once"}, "profile = profile.line"))}})
	if doc == nil {
		t.Fatalf("compile the policy: %v", diags)
	}
	encode := func() string {
		p, err := canon.Encode(doc.Policy)
		if err != nil {
			t.Fatal(err)
		}
		doc.Digest = granted.Digest(p)
		text, err := canon.EncodeDocument(doc)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	good := encode()
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"p.json": good + "\n"}, Args: []string{"--libexec", l.dir}})
	exchange(t, port, "", "once\n")
	doc.Policy.Services[0].User = "root"
	if err := b.WritePolicy("p.json", encode()); err != nil {
		t.Fatal(err)
	}
	reload(t, b, `"root" needs a reason`)
	l.become(t, "reply", `{"format_version":2}`+"\n"+good)
	reload(t, b, "another document")
	exchange(t, port, "", "once\n")
}

// answers are whole compilers' answers to the policy text: a good one, and
// documents that are none.
func answers(t *testing.T, text string) (good, wrongDigest, loose, unknown string, forged map[string]string) {
	t.Helper()
	doc, diags := lang.Compile([]policy.SourceFile{{Name: "test.cm.hcl", Data: []byte(text)}})
	if doc == nil {
		t.Fatalf("compile the policy: %v", diags)
	}
	canonical, err := canon.EncodeDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(d string) string { return `{"format_version":2}` + "\n" + d }
	other := doc.Digest[:len(doc.Digest)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(doc.Digest, "0")]
	var indented bytes.Buffer
	if err := json.Indent(&indented, canonical, "", " "); err != nil {
		t.Fatal(err)
	}
	plain := string(canonical)
	return wrap(plain), wrap(strings.Replace(plain, doc.Digest, other, 1)), wrap(indented.String()),
		wrap(strings.Replace(plain, `{"format_version"`, `{"extra":1,"format_version"`, 1)), map[string]string{
			"network": wrap(forge(t, doc, `"tcp4"`, `"t4"`)), "listen": wrap(forge(t, doc, `"tcp:`, `"t:`)),
			"user": wrap(forge(t, doc, `"user":"dynamic"`, `"user":"root"`)),
		}
}

// forge is a document whose digest fits a policy that no compiler of ours makes: with what is first there of the words old replaced.
// What is granted to root comes first.
func forge(t *testing.T, doc *policy.Document, old, with string) string {
	t.Helper()
	p, err := canon.Encode(doc.Policy)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Replace(p, []byte(old), []byte(with), 1)
	if bytes.Equal(bad, p) {
		t.Fatalf("nothing to forge in %s", p)
	}
	return string(granted.Frame(granted.Digest(bad), bad, []byte("{}")))
}

// TestCompilerIsNotTrusted: whatever becomes of the compiler or comes out of
// it, the reload fails with a reason, the old policy serves and nothing is left.
func TestCompilerIsNotTrusted(t *testing.T) {
	l := newLibexec(t)
	b, port, text := compilerSite(t, l)
	good, wrongDigest, loose, unknown, forged := answers(t, text)
	hung, held := compilerHangs(t)
	reload(t, b, "") // the real one; everything that a load ever needs is there now
	before := counters(t, b)
	old, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, way, reply, want string }{
		{"crash", "segv", good, "killed by SIGSEGV"},
		{"Go crash", "exit-2", good, "crashed"},
		{"garbage", "reply", "\x00\xff<html>", "answer"},
		{"truncated", "reply", good[:len(good)/2], "not the canonical bytes"},
		{"two answers", "reply", good + good, "does not fit the policy"},
		{"nothing", "reply", "", "answered nothing"},
		{"100 MB", "flood", "", "longer than"},
		{"wrong digest", "reply", wrongDigest, "digest"},
		{"not canonical", "reply", loose, "not the canonical bytes"},
		{"unknown field", "reply", unknown, "not the canonical bytes"},
		{"forged network", "reply", forged["network"], "no socket that can be opened"},
		{"forged listen, which the broker reads", "reply", forged["listen"], "no listen address"},
		{"another grant to root than the policy comes to", "reply", forged["user"], "not the canonical bytes"},
		{"other version", "reply", `{"format_version":9}`, "format_version 9"},
		{"no document", "reply", `{"format_version":2}`, "errors"},
		{"does not read", "deaf", good, "the compiler: "},
		{"stays after its answer", "stay", good, "killed by SIGKILL"},
		{"opens files", "look", "", "the attempt failed"},
		{"opens a socket", "socket", "", "killed by SIGSYS"},
		{"connects", "connect", "", "killed by SIGSYS"},
		{"makes a file", "write", "", "killed by SIGSYS"},
		{"forks", "fork", "", "killed by SIGSYS"},
		{"runs a program", "exec", "", "killed by SIGSYS"},
	} {
		l.become(t, c.way, c.reply)
		began := time.Now()
		reload(t, b, c.want)
		if d := time.Since(began); d > 18*time.Second {
			t.Errorf("%s: the answer took %s", c.name, d)
		}
		exchange(t, port, "", "once\n")
		if s, err := b.Status(); err != nil || s.Digest != old.Digest || s.Generation != old.Generation || s.LastReload == "" {
			t.Errorf("%s: status %+v (%v), want generation %d and the reload's error", c.name, s, err, old.Generation)
		}
		quiet(t, b, before)
		if p, err := rig.Children(b.PID); err != nil || len(p) > before.Children+1 { // which leaves the broker out
			t.Errorf("%s: left %v (%v)", c.name, p, err)
		}
	}
	if now := counters(t, b); now.RSS > before.RSS+(48<<20) {
		t.Errorf("%d MiB resident, before %d", now.RSS>>20, before.RSS>>20)
	}
	l.become(t, "reply", good) // the impostor's own positive control
	reload(t, b, "")
	l.restore(t)
	reload(t, b, "")
	exchange(t, port, "", "once\n")
	quiet(t, b, before)
	hung(held)
}

// reload asks with the command line's own words; want "" is success.
func reload(t *testing.T, b *rig.Broker, want string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(rig.Root(t), "casemate"), "reload", "--control", b.Control).CombinedOutput()
	switch {
	case want == "" && err != nil:
		t.Fatalf("reload: %v\n%s", err, out)
	case want != "" && (err == nil || !strings.Contains(string(out), want)):
		t.Errorf("reload: %v, printed %q, want %q in it", err, out, want)
	}
}

// compilerHangs begins a reload on a broker of its own whose compiler never
// answers. Its deadline passes while the caller does other things; the returned
// function waits for the end and judges it.
func compilerHangs(t *testing.T) (judge func(<-chan error), held <-chan error) {
	t.Helper()
	l := newLibexec(t)
	b, port, _ := compilerSite(t, l)
	before := counters(t, b)
	l.become(t, "hang", "")
	done := make(chan error, 1)
	go func() {
		began := time.Now()
		a, err := b.Request(control.Request{Verb: control.VerbReload})
		d := time.Since(began)
		switch {
		case err != nil:
		case a.OK || !strings.Contains(a.Error, "no answer within"):
			err = fmt.Errorf("a compiler that hangs: %+v", a)
		case d < 19*time.Second || d > 60*time.Second:
			err = fmt.Errorf("a compiler that hangs was given up after %s", d)
		}
		done <- err
	}()
	exchange(t, port, "", "once\n") // while the reload waits
	return func(held <-chan error) {
		t.Helper()
		if err := <-held; err != nil {
			t.Error(err)
		}
		exchange(t, port, "", "once\n")
		quiet(t, b, before)
	}, done
}

// TestCompilerCannotForgeTheLog: the log is the log worker's alone, also where
// it is a stream that takes whatever its holder writes.
func TestCompilerCannotForgeTheLog(t *testing.T) {
	l := newLibexec(t)
	log := filepath.Join(t.TempDir(), "log")
	must(t, "mkfifo", log)
	stream, err := os.OpenFile(log, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	said := make(chan string)
	go func() {
		var all []byte
		buf := make([]byte, 4096)
		for !bytes.Contains(all, []byte(`"msg":"stopped"`)) {
			n, err := stream.Read(buf)
			if all = append(all, buf[:n]...); err != nil {
				break
			}
		}
		said <- string(all)
	}()
	b, _, _ := compilerSite(t, l, "--log", log)
	l.become(t, "stderr", "")
	reload(t, b, "the attempt")
	b.Stop()
	if text := <-said; strings.Contains(text, "forged") || !strings.Contains(text, `"msg":"loaded"`) {
		t.Errorf("the log reads %q", text)
	}
}

// TestCompilerIsBounded: a compiler that hangs has bounds on its memory, processor
// time, processes and descriptors.
func TestCompilerIsBounded(t *testing.T) {
	l := newLibexec(t)
	b, port, _ := compilerSite(t, l)
	if _, err := rig.Exchange(port, ""); err != nil { // the log worker runs
		t.Fatal(err)
	}
	l.become(t, "hang", "")
	if err := b.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	compilers := 0
	if err := rig.Until(30*time.Second, func() error {
		for _, pid := range family(t, b.PID)[1:] {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err != nil || !bytes.Contains(line, []byte("compile\x00")) {
				continue
			}
			compilers++
			limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
			if err != nil {
				return err
			}
			for row := range strings.Lines(string(limits)) {
				for _, name := range []string{"Max data size", "Max address space", "Max cpu time", "Max processes", "Max open files"} {
					if rest, ok := strings.CutPrefix(row, name); ok && strings.HasPrefix(strings.TrimSpace(rest), "unlimited") {
						t.Errorf("the compiler's %s is not bounded", name)
					}
				}
			}
		}
		if compilers == 0 {
			return errors.New("no compiler runs")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

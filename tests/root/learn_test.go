package root

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/seccomp/filter"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// lesson is a service to learn.
type lesson struct {
	command []string // of the service, and of --command
	listen  string   // of --listen; "" is tcp
	user    string   // "" is dynamic
	clients []string // lines of sh, with $PORT
	env     map[string]string
	status  string   // of --status: how the program ends when its client has gone
	base    string   // that the profile has to stand on
	lacks   []string // words that the profile must not hold
	extra   []string // lines of the service when it is served
	shipped string   // the profile of examples/legacy-host that the learnt one is narrower than
}

// learntProfile is `casemate learn -o json`.
type learntProfile struct {
	Profile, Base string
	Lines         []struct{ Attribute, Value, Without string }
	NotNeeded     []struct{ Attribute, Value string } `json:"not_needed"`
}

// learn runs casemate learn.
func learn(t *testing.T, l *lesson) *learntProfile {
	t.Helper()
	var quoted []string
	for _, w := range l.command {
		quoted = append(quoted, "'"+w+"'")
	}
	args := []string{"learn", "-o", "json", "--profile", "learnt", "--command", strings.Join(quoted, " ")}
	if l.listen != "" {
		args = append(args, "--listen", l.listen)
	}
	if l.user != "" {
		args = append(args, "--user", l.user)
	}
	for _, c := range l.clients {
		args = append(args, "--client", c)
	}
	if l.status != "" {
		args = append(args, "--status", l.status)
	}
	for name, value := range l.env {
		args = append(args, "--env", name+"="+value)
	}
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	err := cmd.Run()
	t.Logf("learnt in %.1f s:\n%s", time.Since(began).Seconds(), said.String())
	if err != nil {
		t.Fatalf("learn: %v\n%s%s", err, out.String(), said.String())
	}
	got := new(learntProfile)
	if err := json.Unmarshal(out.Bytes(), got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	t.Logf("%s", got.Profile)
	return got
}

// evidenced are the lines of a profile that say what is missing without them, but for those
// that no profile can be without.
var evidenced = regexp.MustCompile(`(?m)^.*# .*; without it client .*$`)

// learned learns a service, serves it under the profile with its clients, and then without
// one of the profile's lines, each of a sample, and expects a client to fail.
func learned(t *testing.T, l *lesson) *learntProfile {
	t.Helper()
	rig.Root(t)
	need.Programs(t, "timeout")
	got := learn(t, l)
	if l.base != "" && got.Base != l.base {
		t.Errorf("it stands on %s, want %s", got.Base, l.base)
	}
	code := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(got.Profile, "")
	for _, w := range l.lacks {
		if strings.Contains(code, w) {
			t.Errorf("the profile grants %q:\n%s", w, code)
		}
	}
	network := "tcp4"
	extra := append([]string{"profile = profile.learnt"}, l.extra...)
	if l.listen == "udp-wait" {
		network, extra = "udp4", append(extra, "wait = true", "acl = acl.anyone", "limit = limit.wait")
	}
	if l.user != "" {
		extra = append(extra, fmt.Sprintf("user = %q", l.user))
	}
	if len(l.env) > 0 {
		env := ""
		for name, value := range l.env {
			env += fmt.Sprintf(" %q = %q,", name, value)
		}
		extra = append(extra, "env = {"+strings.TrimSuffix(env, ",")+" }")
	}
	port := rig.Port(t)
	text := func(profile string) string {
		return head + profile + service("taught", network+"://127.0.0.1:"+port, l.command, extra...)
	}
	b := rig.Serve(t, text(got.Profile))
	clients := func() (failed string) {
		for i, c := range l.clients {
			if out, err := run(t, []string{"PORT=" + port, "HOST=127.0.0.1", "SCRATCH=" + t.TempDir()}, "sh", "-c", c); err != nil {
				return fmt.Sprintf("client %d: %v: %s", i+1, err, out)
			}
		}
		return ""
	}
	if why := clients(); why != "" {
		t.Fatalf("under its profile: %s\n%s", why, got.Profile)
	}
	file := filepath.Join(b.Policy, "test.cm.hcl")
	if c, _, said := casemate(t, b, "check", file); c != 0 {
		t.Errorf("check exits with %d: %s", c, said)
	}
	if l.shipped != "" {
		narrower(t, text(got.Profile), l.shipped)
	}
	for _, line := range sample(t, got) {
		if err := b.WritePolicy("test.cm.hcl", text(without(got.Profile, line))); err != nil {
			t.Fatal(err)
		}
		if c, _, said := casemate(t, b, "kill", "--service", "taught", "--now"); c == 1 {
			t.Fatal(said)
		}
		if c, _, said := casemate(t, b, "reload"); c != 0 {
			t.Fatalf("without %s: reload: %s", line, said)
		}
		if why := clients(); why == "" {
			t.Errorf("the clients are served without %s", line)
		}
	}
	return got
}

// narrower holds a learnt profile to one of examples/legacy-host: it lets no call through that
// the other does not, and has less of something.
func narrower(t *testing.T, text, name string) {
	t.Helper()
	profile := func(name string, files map[string]string) *sandbox.Profile {
		t.Helper()
		var list []policy.SourceFile
		for file, text := range files {
			list = append(list, policy.SourceFile{Name: file, Data: []byte(text)})
		}
		doc, ds := lang.Compile(list)
		if doc == nil {
			t.Fatalf("%+v", ds)
		}
		return doc.Policy.Profile(name)
	}
	learnt, shipped := profile("learnt", map[string]string{"test.cm.hcl": text}), profile(name, written(t, "legacy-host"))
	rules := func(p *sandbox.Profile) []filter.Rule {
		t.Helper()
		rules, err := filter.Decode(p.Syscalls.Rules)
		if err != nil {
			t.Fatal(err)
		}
		return rules
	}
	has, allows, less := rules(learnt), rules(shipped), 0
	for _, r := range allows {
		if !slices.ContainsFunc(has, func(o filter.Rule) bool { return o.Covers(r) }) {
			less++
		}
	}
	for _, r := range has {
		if !slices.ContainsFunc(allows, func(o filter.Rule) bool { return o.Covers(r) }) {
			t.Errorf("the shipped %s does not allow call %d%v", name, r.Call, r.Args)
		}
	}
	paths := 0
	for _, path := range shipped.Files.Read {
		if strings.HasPrefix(path, "/etc/") && !slices.Contains(learnt.Files.Read, path) {
			paths++
		}
	}
	caps := len(shipped.Capabilities) - len(learnt.Capabilities)
	if t.Logf("of the shipped %s it lacks %d rules of calls, %d files of /etc and %d capabilities", name, less, paths, caps); less+paths+caps == 0 || caps < 0 {
		t.Errorf("it is no narrower than the shipped %s", name)
	}
}

// sample gives some of the lines that have evidence, the base's if there are no others. Those
// without which a client only waited too long, as on a busy machine, come last.
func sample(t *testing.T, p *learntProfile) []string {
	t.Helper()
	lines := evidenced.FindAllString(p.Profile, -1)
	if len(lines) == 0 {
		if lines = onBase.FindAllString(p.Profile, -1); len(lines) == 0 {
			t.Fatalf("no line has evidence:\n%s", p.Profile)
		}
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(fmt.Sprint(strings.Contains(a, "waits without end")), fmt.Sprint(strings.Contains(b, "waits without end")))
	})
	return slices.Compact([]string{lines[0], lines[(len(lines)-1)/2]})
}

// onBase is the line of a base whose narrower one would not do.
var onBase = regexp.MustCompile(`(?m)^  base += profile\.\w+ # on profile\.(\w+) .*$`)

// without leaves a line out of a profile, and what it was in if that is empty then. In
// place of the base's it puts the narrower one.
func without(profile, line string) string {
	if onBase.MatchString(line) {
		return strings.Replace(profile, line, onBase.ReplaceAllString(line, "  base = profile.$1"), 1)
	}
	text := strings.Replace(profile, line+"\n", "", 1)
	for range 3 {
		text = regexp.MustCompile(`(?m)^ *[a-z]+ += \[\n *\]\n`).ReplaceAllString(text, "")
		text = regexp.MustCompile(`(?m)^ *[a-z]+ \{\n *\}\n`).ReplaceAllString(text, "")
	}
	layers := map[string]bool{}
	for word, layer := range map[string]string{"write": "files", "exec": "files", "proc": "files", "pty": "files", "log": "files", "allow": "syscalls", "rule": "syscalls", "mode": "network", "sockets": "network", "connect": "network", "capabilities": "capabilities"} {
		if regexp.MustCompile(`(?m)^ *` + word + ` `).MatchString(text) {
			layers[layer] = true
		}
	}
	var widens []string
	for _, l := range []string{"capabilities", "files", "network", "syscalls"} {
		if layers[l] {
			widens = append(widens, fmt.Sprintf("%q", l))
		}
	}
	return regexp.MustCompile(`(?m)^ *widens .*$`).ReplaceAllString(text, "  widens = ["+strings.Join(widens, ", ")+"]")
}

// TestLearnService learns from real sessions of a running service: by counting, with
// clients, and what it does not use.
func TestLearnService(t *testing.T) {
	rig.Root(t)
	httpd := need.Programs(t, "micro-httpd", "curl")[0]
	dir, port := rig.PublicDir(t), rig.Port(t)
	www, other := filepath.Join(dir, "www"), filepath.Join(dir, "other")
	write(t, filepath.Join(www, "index.html"), "<p>casemate</p>\n", 0o644)
	write(t, filepath.Join(www, "late.html"), "<p>late</p>\n", 0o644)
	write(t, filepath.Join(other, "x"), "x\n", 0o644)
	policy := head + fmt.Sprintf("\nprofile \"web\" {\n  base = profile.server\n  widens = [\"syscalls\"]\n  files { read = [%q, %q] }\n  syscalls { allow = [\"@watch\"] }\n}\n", www, other)+
		service("web", "tcp://127.0.0.1:"+port, []string{httpd, www}, "profile = profile.web")
	b := rig.Serve(t, policy)
	get := func(page string) {
		t.Helper()
		if out := must(t, "curl", "-sS", "http://127.0.0.1:"+port+"/"+page); !strings.Contains(out, "<p>") {
			t.Errorf("curl got %q", out)
		}
	}
	follow := func(n int, page func(i int) string, args ...string) (int, string, string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), append([]string{"learn", "web", "-o", "json", "--control", b.Control}, args...)...)
		var out, said bytes.Buffer
		cmd.Stdout = &out
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		for !strings.Contains(said.String(), "waiting for connections") {
			k, err := pipe.Read(buf)
			said.Write(buf[:k])
			if err != nil {
				t.Fatalf("learn said %q (%v)", said.String(), err)
			}
		}
		for i := range n {
			get(page(i))
		}
		for {
			k, err := pipe.Read(buf)
			said.Write(buf[:k])
			if err != nil {
				break
			}
		}
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode(), out.String(), said.String()
	}
	index := func(int) string { return "index.html" }
	code, out, said := follow(4, index, "--connections", "2")
	got := new(learntProfile)
	if err := json.Unmarshal([]byte(out), got); code != 0 || err != nil {
		t.Fatalf("%d, %v: %s%s", code, err, out, said)
	}
	if got.Base != "line" || !strings.Contains(got.Profile, `"`+www+`/index.html"`) || strings.Contains(got.Profile, other) {
		t.Errorf("learnt by counting:\n%s", got.Profile)
	}
	code, out, said = follow(4, func(i int) string { return []string{"index.html", "index.html", "index.html", "late.html"}[i] }, "--connections", "2")
	if code != 3 || strings.Contains(out, "profile \\\"") || !strings.Contains(said, www+"/late.html") {
		t.Errorf("a later session used another file, and learn exits with %d: %s%s", code, out, said)
	}
	code, out, said = follow(2, func(i int) string { return []string{"index.html", "late.html"}[i] }, "--connections", "2", "--client", "curl -fsS http://$HOST:$PORT/index.html | grep -q casemate")
	got = new(learntProfile)
	if err := json.Unmarshal([]byte(out), got); code != 0 || err != nil {
		t.Fatalf("%d, %v: %s%s", code, err, out, said)
	}
	if got.Base != "line" || !strings.Contains(got.Profile, `"`+www+`/index.html"`) || !strings.Contains(got.Profile, `"`+www+`/late.html"`) {
		t.Errorf("learnt with a client:\n%s", got.Profile)
	}
	for _, more := range [][]string{{"--connections", "2"}, {"--connections", "2", "--client", "curl -fsS http://$HOST:$PORT/index.html | grep -q casemate"}} {
		n := 4 - 2*min(1, len(more)-2) // with a client no second half is counted
		code, out, said = follow(n, index, append(more, "--tighten")...)
		var tight struct {
			Profile, Of string
			Unused      []struct{ Attribute, Value string }
		}
		if err := json.Unmarshal([]byte(out), &tight); code != 0 || err != nil || tight.Of != "web" {
			t.Fatalf("to tighten, learn %v exits with %d, %v: %s%s", more, code, err, out, said)
		}
		code := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(tight.Profile, "")
		for word, want := range map[string]bool{`"` + www + `"`: true, other: false, "@watch": false, "proc": false, "@server": false, "/usr/lib": true} {
			if strings.Contains(code, word) != want {
				t.Errorf("%v: %s in the tightened profile, want %t:\n%s", more, word, want, tight.Profile)
			}
		}
		// It takes the place of the one in force.
		if err := b.WritePolicy("test.cm.hcl", head+tight.Profile+service("web", "tcp://127.0.0.1:"+port, []string{httpd, www}, "profile = profile.web")); err != nil {
			t.Fatal(err)
		}
		if c, _, said := casemate(t, b, "reload"); c != 0 {
			t.Fatalf("reload: %s\n%s", said, tight.Profile)
		}
		get("index.html")
		if err := b.WritePolicy("test.cm.hcl", policy); err != nil {
			t.Fatal(err)
		}
		if c, _, said := casemate(t, b, "reload"); c != 0 {
			t.Fatalf("reload: %s", said)
		}
	}
	code, out, said = follow(4, func(i int) string { return []string{"index.html", "index.html", "index.html", "late.html"}[i] }, "--connections", "2", "--tighten")
	if code != 0 { // late.html lies in the tree that index.html is of
		t.Errorf("to tighten, learn exits with %d: %s%s", code, out, said)
	}
	get("index.html")
}

// TestLearnIsKilled: with casemate learn killed, what it has started is gone: its broker, and
// what that had started.
func TestLearnIsKilled(t *testing.T) {
	rig.Root(t)
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), "learn", "--command", "/bin/cat", "--client", "echo $PORT >"+filepath.Join(t.TempDir(), "port")+"; sleep 100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var below []int
	if err := rig.Until(30*time.Second, func() error {
		below = family(t, cmd.Process.Pid)[1:]
		names := ""
		for _, pid := range below {
			if s, err := rig.Status(pid); err == nil {
				names += s["Name"] + " "
			}
		}
		if !strings.Contains(names, "casemated") || !strings.Contains(names, "sleep") || !strings.Contains(names, "casemate-zygote") {
			return fmt.Errorf("it has started %s", names)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "casemate-learn-*"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	var kept []int
	for _, pid := range below { // the client's own child is its own affair
		if s, err := rig.Status(pid); err == nil && s["Name"] == "sleep" {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		kept = append(kept, pid)
	}
	if err := gone(30*time.Second, kept...); err != nil {
		t.Error(err)
	}
	for _, d := range dirs {
		_ = os.RemoveAll(d)
	}
}

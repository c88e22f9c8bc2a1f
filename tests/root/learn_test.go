package root

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/diff"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/landlock"
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
	shipped string   // the profile that the learnt one is narrower than: of examples/legacy-host, or a shipped one
	site    string   // the folder of what the service serves, which that one does not name
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
		if abi := landlock.ABI(); abi < landlock.ABIScopes && strings.Contains(said.String(), "landlock.scopes: this kernel has") {
			need.Kernel(t, "it has Landlock ABI %d, and holds no program that needs unix sockets: learn says so", abi)
		}
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
	code := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(kept.ReplaceAllString(got.Profile, ""), "")
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
	narrower(t, text(got.Profile), l.shipped, l.site)
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

// kept are the files that are there for what they say: which, that is a host's affair.
var kept = regexp.MustCompile(`(?m)^ *"(/[^"]+)", +# .*; the clients are served without it$`)

// narrower holds a learnt profile to one that people have without learning: of examples/legacy-host, or a shipped
// one. It grants less, and nothing more but what is of this site: files that the example cannot know.
func narrower(t *testing.T, text, name, site string) {
	t.Helper()
	compiled := func(name string, files map[string]string) *sandbox.Profile {
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
	learnt := compiled("learnt", map[string]string{"test.cm.hcl": text})
	shipped := compiled(name, written(t, "legacy-host"))
	for _, p := range lang.ShippedProfiles() {
		if p.Name == name {
			shipped = &p
		}
	}
	if shipped == nil {
		t.Fatalf("there is no profile %s", name)
	}
	r, err := diff.Profiles(shipped, learnt)
	if err != nil {
		t.Fatal(err)
	}
	less := 0
	for _, l := range r.Layers {
		less += len(l.Less)
		t.Logf("beside profile.%s it lacks %d of %s: %.300s", name, len(l.Less), l.Name, strings.Join(l.Less, " "))
		for _, more := range l.More {
			said := slices.ContainsFunc(kept.FindAllStringSubmatch(text, -1), func(m []string) bool { return more == "read "+m[1] })
			if !said && !strings.Contains(more, site) {
				t.Errorf("it has more than profile.%s in %s: %s", name, l.Name, more)
			}
		}
	}
	if less == 0 {
		t.Errorf("it is no narrower than profile.%s", name)
	}
}

// sampled is how many of a profile's lines are taken away.
const sampled = 3

// sample draws some of the lines that have evidence, the base's if there are no others, by a seed
// that is logged. Those without which a client only waited too long, as on a busy machine, are not among them
// where there are others.
func sample(t *testing.T, p *learntProfile) []string {
	t.Helper()
	lines := evidenced.FindAllString(p.Profile, -1)
	if len(lines) == 0 {
		if lines = onBase.FindAllString(p.Profile, -1); len(lines) == 0 {
			t.Fatalf("no line has evidence:\n%s", p.Profile)
		}
	}
	quick := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(line, "waits without end") })
	if len(quick) > 0 {
		lines = quick
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("LEARN_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	lines = lines[:min(sampled, len(lines))]
	t.Logf("LEARN_SEED=%d takes away, one by one:\n%s", seed, strings.Join(lines, "\n"))
	return lines
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
	if strings.HasPrefix(strings.TrimSpace(line), "rule ") { // with all of its block
		begin := strings.Index(profile, line)
		end := begin + strings.Index(profile[begin:], "}\n") + len("}\n")
		text = profile[:begin] + profile[end:]
	}
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

// followed runs casemate learn of a running service with its clients, once it waits for them, and gives its exit status
// and what it wrote to both its outputs.
func followed(t *testing.T, b *rig.Broker, service string, clients func(), args ...string) (int, string, string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(rig.Root(t), "casemate"), append([]string{"learn", service, "-o", "json", "--control", b.Control}, args...)...)
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
	clients()
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
	policy := head + fmt.Sprintf("\nprofile \"web\" {\n  base = profile.server\n  widens = [\"syscalls\"]\n  files { read = [%q, %q] }\n  syscalls { allow = [\"@watch\"] }\n}\n", www, other) +
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
		return followed(t, b, "web", func() {
			for i := range n {
				get(page(i))
			}
		}, args...)
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
	temp := t.TempDir() // of this learn alone
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
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
}

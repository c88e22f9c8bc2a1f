package broker

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"casemate/listener/host"
	"casemate/listener/wire"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// generation is one loaded policy. Everything in it is made before it comes
// into force, and it is not changed afterwards.
type generation struct {
	number   uint64
	digest   string
	doc      *policy.Document
	loaded   time.Time
	services []*service // as policy.Programs has them
}

// service finds a service by name.
func (g *generation) service(name string) *service {
	if g == nil {
		return nil
	}
	for _, s := range g.services {
		if s.name == name {
			return s
		}
	}
	return nil
}

// job is everything a service's sandbox is made from.
type job struct {
	sandbox.Command
	Profile sandbox.Profile
	// writable is what the services of this generation may write.
	writable []hostpath.ID
	trees    *sandbox.Trees
	plan     *sandbox.Plan
	fault    error // why it has none
}

// key names what the sandbox is made from, the service's name among it: a job of the next
// generation that has the same may keep the sandbox there is. The program and the paths of the profile count as they lie on the disk,
// which is stamp.
func (j job) key(stamp string) (string, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("services.%s: %w", j.Service, err)
	}
	h := sha256.Sum256(append(text, stamp...))
	return string(h[:]), nil
}

// accountFiles are where users and groups come from.
var accountFiles = []string{"/etc/passwd", "/etc/group"}

// stamps is how files lie on the disk, by path: in one pass over many services each
// is looked at once.
type stamps map[string]string

// of differs when one of the paths, or a directory on the way, has become another file or
// another's, or when a file has been written to. What is in a directory does not count: a
// sandbox shows it as it is.
func (m stamps) of(paths ...string) string {
	h := sha256.New()
	for _, whole := range paths {
		for i := range len(whole) + 1 { // down from the root: a dead mount is asked at its own path
			if i > 0 && i < len(whole) && whole[i] != '/' {
				continue
			}
			p := cmp.Or(whole[:i], "/")
			if m[p] == "" {
				st, _ := hostpath.Ask(p) // zero on any error: who prepares says which
				m[p] = fmt.Sprintln(p, st.Dev, st.Ino, st.Mode, st.Uid, st.Gid)
				if st.Mode&unix.S_IFMT == unix.S_IFREG {
					m[p] += fmt.Sprintln(st.Size, st.Ctim.Nano())
				}
			}
			h.Write([]byte(m[p]))
		}
	}
	return string(h.Sum(nil))
}

// writable is of the directories that any service of p may write: nothing is resolved through them.
func (m stamps) writable(p *policy.Policy) string {
	if m[""] == "" {
		h := sha256.Sum256(fmt.Append(nil, p.Writable()))
		m[""] = string(h[:])
	}
	return m[""]
}

// below is of the mounts below the paths, which who shows these shows as they were then.
func (m stamps) below(paths []string) string {
	if m["mounts"] == "" {
		text, _ := os.ReadFile("/proc/self/mountinfo")
		m["mounts"] = string(text)
	}
	h := sha256.New()
	for line := range strings.Lines(m["mounts"]) {
		point := line // behind id, parent, device and root (proc_pid_mountinfo(5))
		for range 4 {
			_, point, _ = strings.Cut(point, " ")
		}
		if slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(point, p+"/") }) {
			h.Write([]byte(line))
		}
	}
	return string(h.Sum(nil))
}

// stamp is of what s, a service of p, is made from: of the files of its own alone, and with those of
// users and groups and what others may write. What it writes itself is as it is (writable has its identity).
func (b *Broker) stamp(m stamps, p *policy.Policy, s *policy.Service) (files, all string) {
	f := &p.Profile(s.Profile).Files
	paths := slices.Concat(f.Devices, sources(f.Map, slices.Concat(f.Read, f.Exec, []string{b.program(s)})))
	for _, w := range sources(f.Map, f.Write) {
		paths = append(paths, path.Dir(w))
	}
	if f.State {
		paths = append(paths, path.Join(sandbox.StateDir, s.Name))
	}
	files = m.of(paths...) + m.below(sources(f.Map, slices.Concat(f.Read, f.Exec, f.Write)))
	return files, files + m.writable(p) + m.of(accountFiles...)
}

// sources are where the host has the paths of a profile: by their names, and where those lead.
func sources(m hostpath.Map, paths []string) (out []string) {
	for _, p := range paths {
		out = append(out, m.Source(p))
		if len(m) == 0 {
			continue
		}
		if f, err := m.Open(p); err == nil {
			out = append(out, f.Host)
			f.Close()
		}
	}
	return out
}

// program is the path of what a service runs.
func (b *Broker) program(s *policy.Service) string {
	if s.Ours() {
		return b.libexec("casemate-worker")
	}
	return s.Command[0]
}

// newJob resolves one service of doc.
func (b *Broker) newJob(doc *policy.Document, s *policy.Service, a *host.Accounts, tasks userTasks, sockets int, origins []string) (job, error) {
	j := job{Profile: *doc.Policy.Profile(s.Profile)}
	j.Command = sandbox.Command{
		Service: s.Name, Path: b.program(s), Argv: []string{"casemate-worker", "builtin"}, Dir: s.Dir, Env: fixedEnv(s),
		Umask: s.Umask, Nice: s.Nice, OOMScore: s.OOMScore, Stdio: s.Stdio, Outputs: map[string]uint8{"": 1, policy.StdoutLog: 2}[s.Stdout], Sockets: 1, Listens: s.Wait, UnixDatagrams: s.UnixDatagrams(), Log: s.Syslog(&j.Profile),
		Sessions: doc.Policy.Sessions(s), Leave: doc.Policy.OnStop == policy.StopLeave && (!s.Wait || s.Builtin != "") && s.Stdio != sandbox.StdioRelay,
	}
	if s.Stdio == sandbox.StdioAll {
		j.Outputs = 0
	}
	if err := resolve(a, s, &j.Command); err != nil {
		return job{}, err
	}
	if !j.Dynamic {
		j.UserTasks = tasks[j.UID]
	}
	if s.Redirects() {
		if j.Argv = []string{"casemate-worker", "relay", s.Redirect.String()}; s.ProxyProtocol != "" {
			j.Argv = append(j.Argv, s.ProxyProtocol)
		}
		if !s.Redirect.Unix() {
			j.Sockets = 2 // the client's, and that to the target
		}
		return j, nil
	}
	if s.Together() {
		j.Sockets = sockets
	}
	if s.Builtin == "" {
		j.Argv = append([]string{cmp.Or(s.Argv0, path.Base(j.Path))}, s.Command[1:]...)
		return j, nil
	}
	if s.Builtin == policy.Tcpmux {
		j.Sockets++ // the mux
	}
	text, err := (&wire.Builtin{Service: s.Name, Builtin: s.Builtin, Says: s.Says, Amplify: s.Amplify, Mux: doc.Policy.Muxed(s), ACL: doc.Policy.ACL(s.ACL),
		Limit: *doc.Policy.Limit(s.Limit), Answers: s.Answers, Linger: s.Linger, Log: string(s.Log), Digest: doc.Digest, Origins: origins}).Encode()
	if err != nil {
		return job{}, fmt.Errorf("services.%s: %w", s.Name, err)
	}
	j.Inline = []sandbox.InlineFile{{Path: wire.BuiltinPath, Data: text}}
	return j, nil
}

// userTasks is sandbox.Command.UserTasks by uid.
type userTasks map[uint32]int64

// countTasks leaves out users that do not exist: each is reported with its service.
func countTasks(p *policy.Policy, a *host.Accounts) userTasks {
	return policy.UserTasks(p, func(s *policy.Service) (uint32, bool) {
		if s.User == policy.Dynamic {
			return 0, false
		}
		uid, _, err := a.User(string(s.User))
		return uid, err == nil
	})
}

// placed adds to why a service is refused where the policy has what is at fault.
func (g *generation) placed(s *service, err error) error {
	at := "services." + s.name
	if err == nil {
		return nil
	}
	if path, _, _ := strings.Cut(err.Error(), ": "); strings.HasPrefix(path, at+".") {
		at = path
	} else if errors.As(err, new(*sandbox.ProgramError)) {
		at = g.doc.Policy.CommandAt(s.spec) + ".0"
	} else if in := g.doc.Policy.Profile(s.spec.Profile).At(err); in != "" {
		at = "profiles." + s.spec.Profile + "." + in
	}
	if at = g.doc.Origins.Lookup(at); at == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, at)
}

// plan gives each of the jobs its plan, unless that is at fault, and all plans their filters. It blocks.
func (b *Broker) plan(jobs ...*job) error {
	var plans []*sandbox.Plan
	for _, j := range jobs {
		if j.plan, j.fault = sandbox.NewPlan(j.Profile.Present(), j.Command); j.fault == nil {
			plans = append(plans, j.plan)
		}
	}
	return b.fit(plans...)
}

// prepare makes the sandbox of a job with a plan. It blocks and never runs on the loop.
func (b *Broker) prepare(j job) (cell, error) {
	if j.fault != nil {
		return nil, fmt.Errorf("services.%s: profile %q: %w", j.Service, j.Profile.Name, j.fault)
	}
	box, err := sandbox.Prepare(j.plan, sandbox.Options{Listen: true, Writable: j.writable, Trees: j.trees})
	if err != nil {
		return nil, fmt.Errorf("services.%s: %w", j.Service, err)
	}
	return prepared{box}, nil
}

package warden

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	"casemate/listener/host"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
)

// Job is everything a service's sandbox is made from.
type Job struct {
	sandbox.Command
	Profile sandbox.Profile
	site    *Site
	spec    *policy.Service
	plan    *sandbox.Plan
	fault   error // why it has none
}

// Writable is what the services of its document may write.
func (j *Job) Writable() []hostpath.ID { return j.site.writable() }

// key names what the sandbox is made from, the service's name among it: a job of the next
// generation that has the same may keep the sandbox there is. The program and the paths of the profile count as they lie on the disk,
// which is stamp.
func (j *Job) key(stamp string) (string, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return "", fmt.Errorf("services.%s: %w", j.Service, err)
	}
	h := sha256.Sum256(append(text, stamp...))
	return hex.EncodeToString(h[:]), nil
}

// program is the path of what a service runs.
func (w *Warden) program(s *policy.Service) string {
	if s.Ours() {
		return w.libexec("casemate-worker")
	}
	return s.Command[0]
}

// newJob resolves one service of doc.
func (w *Warden) newJob(doc *policy.Document, s *policy.Service, a *host.Accounts, tasks userTasks, sockets int) (*Job, error) {
	j := &Job{Profile: *doc.Policy.Profile(s.Profile)}
	j.Command = sandbox.Command{
		Service: s.Name, Path: w.program(s), Argv: []string{"casemate-worker", "builtin"}, Dir: s.Dir, Env: fixedEnv(s),
		Umask: s.Umask, Nice: s.Nice, OOMScore: s.OOMScore, Stdio: s.Stdio, Outputs: map[string]uint8{"": 1, policy.StdoutLog: 2}[s.Stdout], Sockets: 1, Listens: s.Wait, UnixDatagrams: s.UnixDatagrams(), Log: s.Syslog(&j.Profile),
		Sessions: doc.Policy.Sessions(s), Leave: doc.Policy.OnStop == policy.StopLeave && (!s.Wait || s.Builtin != "") && s.Stdio != sandbox.StdioRelay,
	}
	if s.Stdio == sandbox.StdioAll {
		j.Outputs = 0
	}
	if err := resolve(a, s, &j.Command); err != nil {
		return nil, err
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
	if j.Sockets++; s.Builtin == policy.Tcpmux { // what it is told
		j.Sockets++ // and the mux
	}
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

// Plan gives each of the jobs its plan, unless that is at fault, and all plans their filters. It blocks.
func (w *Warden) Plan(jobs ...*Job) error {
	var plans []*sandbox.Plan
	for _, j := range jobs {
		if j.plan, j.fault = sandbox.NewPlan(j.Profile.Present(), j.Command); j.fault == nil {
			plans = append(plans, j.plan)
		}
	}
	return w.fit(plans...)
}

// Prepare makes the sandbox of a job with a plan. It blocks.
func (w *Warden) Prepare(j *Job) (c Cell, err error) {
	defer func() { err = Place(j.site.doc, j.spec, err) }()
	if j.fault != nil {
		return nil, fmt.Errorf("services.%s: profile %q: %w", j.Service, j.Profile.Name, j.fault)
	}
	box, err := sandbox.Prepare(j.plan, sandbox.Options{Listen: true, Writable: j.Writable(), Trees: j.site.trees})
	if err != nil {
		return nil, fmt.Errorf("services.%s: %w", j.Service, err)
	}
	return prepared{box}, nil
}

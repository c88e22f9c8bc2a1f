package warden

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"casemate/listener/host"
	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/hostpath"
)

// Job is everything a service's sandbox is made from.
type Job struct {
	sandbox.Command
	Profile sandbox.Profile
	site    *Site
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
func (w *Warden) program(s *granted.Service) string {
	return cmp.Or(s.Command.Path, w.libexec("casemate-worker"))
}

// newJob resolves s on this host.
func (s *Site) newJob(of *granted.Service) (*Job, error) {
	j := &Job{Command: of.Command, Profile: *s.doc.Policy.Of(of), site: s}
	j.Path, j.Env = s.w.program(of), environment(of)
	if err := resolve(s.accounts, of, &j.Command); err != nil {
		return nil, err
	}
	if !j.Dynamic {
		j.UserTasks = s.tasks[j.UID]
	}
	return j, nil
}

// environment is the part of it that is the same for every connection, sorted.
func environment(s *granted.Service) []string {
	env := slices.Clone(s.Command.Env)
	for _, k := range s.PassEnv {
		if v, ok := os.LookupEnv(k); ok {
			env = append(slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, k+"=") }), k+"="+v)
		}
	}
	slices.Sort(env)
	return env
}

// countTasks is sandbox.Command.UserTasks by uid. It leaves out users that do not exist: each is reported with its service.
func countTasks(p *granted.Policy, a *host.Accounts) map[uint32]int64 {
	return granted.UserTasks(p.Services, func(s *granted.Service) (uint32, int64, bool) {
		uid, _, err := a.User(s.User)
		return uid, s.Command.Sessions * p.Of(s).Resources[sandbox.Tasks], err == nil && s.User != granted.Dynamic
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
func (w *Warden) Prepare(j *Job) (Cell, error) {
	if j.fault != nil {
		return nil, fmt.Errorf("services.%s: profile %q: %w", j.Service, j.Profile.Name, j.fault)
	}
	box, err := sandbox.Prepare(j.plan, sandbox.Options{Listen: true, Writable: j.Writable(), Trees: j.site.trees})
	if err != nil {
		return nil, fmt.Errorf("services.%s: %w", j.Service, err)
	}
	return prepared{box}, nil
}

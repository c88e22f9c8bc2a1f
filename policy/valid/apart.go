package valid

import (
	"fmt"
	"path"

	"casemate/policy"
)

// grantedPath is a path of a profile or service, its place in the policy, and where the host has it.
type grantedPath struct{ at, name, host string }

// apart checks that no path is resolved through a directory that a service may
// write: the service could lead it elsewhere before the next load. Links show
// only on the host, where the broker looks again.
func (c *checker) apart(p *policy.Policy) {
	var used []grantedPath
	writers := map[string]string{} // path to the place that grants it
	profiles := map[string]bool{}
	for i := range p.Services {
		s := &p.Services[i]
		f := p.Profile(s.Profile)
		if f == nil {
			continue
		}
		if len(s.Command) > 0 {
			used = append(used, grantedPath{"services." + s.Name + ".command.0", s.Command[0], f.Files.Map.Source(s.Command[0])})
		}
		if list := p.ACL(s.ACL); list != nil {
			for k, r := range list.Rules {
				if len(r.Command) > 0 {
					used = append(used, grantedPath{fmt.Sprintf("acls.%s.rules.%d.command.0", s.ACL, k), r.Command[0], f.Files.Map.Source(r.Command[0])})
				}
			}
		}
		if profiles[f.Name] {
			continue
		}
		profiles[f.Name] = true
		for kind, paths := range f.Files.Paths {
			for k, name := range paths {
				at := fmt.Sprintf("profiles.%s.files.%s.%d", f.Name, kind, k)
				host := name
				if kind != "devices" {
					host = f.Files.Map.Source(name)
				}
				used = append(used, grantedPath{at, name, host})
				if kind == "write" {
					writers[host] = at
				}
			}
		}
	}
	for _, u := range used {
		for dir := path.Dir(u.host); len(dir) > 1; dir = path.Dir(dir) {
			if writers[dir] == "" {
				continue
			}
			if e := c.add(u.at, fmt.Sprintf("move it out of %s, or name %s as a whole", dir, dir),
				"%q lies in %q, which a service may write, and so put something else there", u.host, dir); e != nil {
				e.Other = writers[dir]
			}
			break
		}
	}
}

package main

import (
	"fmt"
	"os"
	"path"
	"slices"

	"casemate/cmd/casemate/dynlink"
	"casemate/cmd/casemate/facts"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/input"
	"casemate/policy/lang"

	"github.com/spf13/cobra"
)

// servicesFacts says where the host's names of ports differ from those of a policy.
func servicesFacts(h *facts.Facts, sources map[string][]byte) []policy.Diagnostic {
	if h.Services == "" {
		return nil // nothing differs from what is not there
	}
	var files []policy.SourceFile
	for name, data := range sources {
		if input.IsDocument(name) {
			return nil // it holds numbers alone
		}
		files = append(files, policy.SourceFile{Name: name, Data: data})
	}
	return lang.HostServices(files, []byte(h.Services))
}

// hostFindings are what a policy that is valid has against it on the host that the facts are of. Where these are being
// gathered, it is what asks them.
func hostFindings(h *facts.Facts, doc *policy.Document, sources map[string][]byte) []policy.Diagnostic {
	of := lang.Host{Memory: h.Memory, Tasks: h.Tasks, Controllers: h.Controllers, Faults: faultsOf(doc.Policy, h)}
	of.Faults = append(of.Faults, libraryFaults(doc.Policy, h, of.Faults)...)
	return slices.Concat(servicesFacts(h, sources), h.Policy, lang.HostAdvice(doc, of))
}

// libraryFaults is what the programs of a policy would miss in their trees.
// One that is refused already is not looked at again.
func libraryFaults(p *policy.Policy, h *facts.Facts, known []lang.Fault) (faults []lang.Fault) {
	for _, s := range p.Programs() {
		f, at := p.Profile(s.Profile), p.CommandAt(s)+".0"
		if len(s.Command) == 0 || f == nil || slices.ContainsFunc(known, func(f lang.Fault) bool { return f.Path == at }) {
			continue
		}
		if l := dynlink.Missing(h, &f.Files, s.Command[0], s.Env); l != nil {
			what, next := lackOf(l, s.Profile)
			faults = append(faults, lang.Fault{Path: at, Library: true, Summary: fmt.Sprintf("the program of service %q does not start on this host: %s", s.Name, what), Next: next})
		}
	}
	return faults
}

func lackOf(l *dynlink.Lack, profile string) (what, next string) {
	needs := l.By + " needs " + l.Library
	add := fmt.Sprintf("add it or its directory to the profile, as files { exec = [%q] }", path.Dir(l.Path))
	switch {
	case l.Uncached:
		return fmt.Sprintf("%s, and %s is only found through /etc/ld.so.cache, which profile %q does not show", needs, l.Path, profile),
			`add it to the profile, as files { read = ["/etc/ld.so.cache"] }`
	case l.Shown:
		return fmt.Sprintf("%s, and profile %q lets nothing of %s be executed", needs, profile, l.Path), add
	}
	return fmt.Sprintf("%s, and profile %q does not show %s", needs, profile, l.Path), add
}

// gathered are this host's facts, with what its policy at the paths is as files. No question about the policy has been asked.
func gathered(n *facts.Net, paths []string) *facts.Facts {
	h := facts.Gather(n, workerPath())
	h.Policy = ownFault(onDisk(paths))
	return h
}

func (a *app) factsCmd() *cobra.Command {
	var hostnet *facts.Net
	cmd := &cobra.Command{
		Use:   "facts [PATH...]",
		Short: "Write what this host answers to the questions of a policy",
		Long: `facts writes a JSON object of what casemate check --host looks at: the kernel's Landlock,
the memory, /etc/services, the addresses that are taken and those of the interfaces; and, of
what the policy names, the users and groups, where each path leads, who may change it and what
it is, the interpreters, loaders and libraries of programs. With check --facts it decides on
another machine, offline and as any user, what check --host decides here.

It changes nothing and needs no root; what it could not look at without, check --facts will say.
It names programs, users and addresses of this host: keep it where the policy is kept. Gather it
anew when the host or what the policy names has changed; of what it does not tell, check warns.

PATH is a policy as for check; the default is ` + policyPath + `.`,
		Example: `  casemate facts >mail.facts.json
  casemate check --facts mail.facts.json policy.cm.hcl`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{policyPath}
			}
			l, ds := a.loadReviewed(args)
			if l.doc == nil {
				return a.refuse(ds, nil)
			}
			h := gathered(hostnet, args)
			hostFindings(h, l.doc, l.sources)
			return h.Write(a.out)
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		g := reads(args)
		hostnet = facts.ReadNet()
		g.Read = append(g.Read, "/")
		return g
	}
	return cmd
}

// readFacts reads the facts of another host.
func readFacts(name string) (*facts.Facts, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	defer f.Close()
	h, err := facts.Read(f)
	if err != nil {
		return nil, fmt.Errorf("read facts: %s: %w: write them with casemate facts", name, err)
	}
	return h, nil
}

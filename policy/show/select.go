// Package show takes out of a compiled policy what somebody asks to see: some of its services with all that they
// refer to, or what of them applies to one client.
package show

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/explain"
	"casemate/policy/granted"
	"casemate/policy/suggest"
	"casemate/sandbox"
)

// Select gives the document of some blocks of doc: services by their names, and acl.NAME, limit.NAME, profile.NAME
// or service.NAME. A service brings the blocks that it refers to, and one behind tcpmux the services that hand
// clients over to it. Without names it is all of doc. The digest is that of what is selected, so that every reader of documents takes it.
func Select(doc *policy.Document, names []string) (*policy.Document, error) {
	if len(names) == 0 {
		return doc, nil
	}
	want := map[string]bool{} // "acl.office"
	for _, name := range names {
		if err := wanted(doc.Policy, name, want); err != nil {
			return nil, err
		}
	}
	return cut(doc, want)
}

// kinds are the blocks that are asked for by their kind and name.
var kinds = map[string]func(p *policy.Policy) []string{
	"acl": func(p *policy.Policy) []string { return namesOf(p.ACLs, func(l *acl.List) string { return l.Name }) },
	"limit": func(p *policy.Policy) []string {
		return namesOf(p.Limits, func(l *limit.Spec) string { return l.Name })
	},
	"profile": func(p *policy.Policy) []string {
		return namesOf(p.Profiles, func(f *sandbox.Profile) string { return f.Name })
	},
	"service": nil,
}

func namesOf[T any](list []T, name func(*T) string) (out []string) {
	for i := range list {
		out = append(out, name(&list[i]))
	}
	return out
}

// Named tells whether a word may be the name of a block, and is no path.
func Named(word string) bool {
	kind, name, ok := strings.Cut(word, ".")
	_, known := kinds[kind]
	return granted.ValidName(word) || ok && known && granted.ValidName(name)
}

// Names are the blocks beside services that may be named, by kind and name.
func Names(p *policy.Policy) (out []string) {
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if of := kinds[kind]; of != nil {
			for _, name := range of(p) {
				out = append(out, kind+"."+name)
			}
		}
	}
	return out
}

// wanted notes what a name asks for.
func wanted(p *policy.Policy, word string, want map[string]bool) error {
	kind, name, ok := strings.Cut(word, ".")
	if !ok {
		kind, name = "service", word
	}
	if of := kinds[kind]; of != nil {
		known := of(p)
		if _, there := slices.BinarySearch(known, name); !there {
			next := "it has: " + strings.Join(known, ", ")
			if w := suggest.Word(name, known); w != "" {
				next = fmt.Sprintf("did you mean %s.%s?", kind, w)
			}
			return fmt.Errorf("%s %q is not in the policy; %s", kind, name, next)
		}
		want[word] = true
		return nil
	}
	s, err := explain.Find(p, name)
	if err != nil {
		return err
	}
	for _, other := range behind(p, s) {
		for kind, name := range map[string]string{"service": other.Name, "acl": other.ACL, "limit": other.Limit, "profile": other.Profile} {
			want[kind+"."+name] = true
		}
	}
	return nil
}

// behind is a service, with those of tcpmux if that has a name for it.
func behind(p *policy.Policy, s *policy.Service) []*policy.Service {
	all := []*policy.Service{s}
	for _, list := range [][]policy.Service{p.Services, p.Disabled} {
		for i := range list {
			if len(s.Mux) > 0 && list[i].Builtin == policy.Tcpmux {
				all = append(all, &list[i])
			}
		}
	}
	return all
}

// cut is the document of the blocks that are wanted.
func cut(doc *policy.Document, want map[string]bool) (*policy.Document, error) {
	p := *doc.Policy
	p.ACLs = keep(p.ACLs, func(l *acl.List) bool { return want["acl."+l.Name] })
	p.Limits = keep(p.Limits, func(l *limit.Spec) bool { return want["limit."+l.Name] })
	p.Profiles = keep(p.Profiles, func(f *sandbox.Profile) bool { return want["profile."+f.Name] })
	p.Services = keep(p.Services, func(s *policy.Service) bool { return want["service."+s.Name] })
	p.Disabled = keep(p.Disabled, func(s *policy.Service) bool { return want["service."+s.Name] })
	p.Filters = granted.Filters{}
	for i := range p.Profiles {
		name := p.Profiles[i].Syscalls.Filter
		p.Filters[name] = doc.Policy.Filters[name]
	}
	text, err := canon.Encode(&p)
	if err != nil {
		return nil, err
	}
	origins := maps.Clone(doc.Origins)
	maps.DeleteFunc(origins, func(path, _ string) bool {
		kind, rest, inner := strings.Cut(path, ".")
		name, _, _ := strings.Cut(rest, ".")
		return inner && !want[strings.TrimSuffix(kind, "s")+"."+name]
	})
	return &policy.Document{FormatVersion: doc.FormatVersion, Digest: granted.Digest(text), Policy: &p, Origins: origins}, nil
}

func keep[T any](list []T, want func(*T) bool) (out []T) {
	for i := range list {
		if want(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}

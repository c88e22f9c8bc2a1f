package main

import (
	"fmt"
	"strings"

	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/lang"
	"casemate/policy/suggest"
	"casemate/sandbox"
)

// profile is a resolved profile, and where its values were written.
type profile struct {
	sandbox.Profile
	origins policy.Origins
	shipped bool
}

// profiles are those that may be named, in the order of a list.
type profiles struct {
	shipped, own []profile
	policy       bool // own is a policy's, be it empty
}

// known gives the shipped profiles, and those of the policy at the paths, where there are any.
func (a *app) known(paths []string) (*profiles, error) {
	k := &profiles{policy: len(paths) > 0}
	origins := lang.ShippedOrigins()
	shipped := map[string]bool{}
	for _, p := range lang.ShippedProfiles() {
		k.shipped = append(k.shipped, profile{p, origins, true})
		shipped[p.Name] = true
	}
	if !k.policy {
		return k, nil
	}
	doc, ds, _ := a.load(paths)
	if doc == nil {
		return nil, a.refuse(ds, nil)
	}
	for _, p := range doc.Policy.Profiles {
		if !shipped[p.Name] { // the shipped ones that its services use are in a document, too
			k.own = append(k.own, profile{p, doc.Origins, false})
		}
	}
	return k, nil
}

// choose picks profiles by name, with or without profile. before it; all of the policy, or all
// shipped ones, when none is named.
func (k *profiles) choose(names []string) ([]profile, error) {
	if len(names) == 0 {
		if k.policy {
			return k.own, nil
		}
		return k.shipped, nil
	}
	var words []string
	byName := map[string]profile{}
	for _, list := range [][]profile{k.own, k.shipped} {
		for _, p := range list {
			words = append(words, p.Name)
			byName[p.Name] = p
		}
	}
	var chosen []profile
	for _, name := range names {
		name = strings.TrimPrefix(name, "profile.")
		p, ok := byName[name]
		if !ok {
			next := "there are: " + strings.Join(words, ", ")
			if w := suggest.Word(name, words); w != "" {
				next = fmt.Sprintf("did you mean %q?", w)
			} else if !k.policy {
				next += "; --policy PATH names those of a policy"
			}
			kind := "shipped profile"
			if k.policy {
				kind = "profile"
			}
			return nil, fmt.Errorf("there is no %s %q; %s", kind, name, next)
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// text is the profile as one block of the language. A shipped one, whose name no other may
// have, has its own words above it.
func (p *profile) text() (string, error) {
	name, head := p.Name, ""
	if p.shipped {
		name = "my_" + p.Name
		source := string(lang.ShippedBlock("profile", p.Name))
		words, _, _ := strings.Cut(source, "profile \"")
		head = fmt.Sprintf("# What profile.%s comes to, under a name of your own.\n%s", p.Name, strings.TrimSuffix("#\n"+words, "#\n"))
	}
	text, err := lang.Effective(&p.Profile, name, func(path string) string { return explain.Line(p.origins.Lookup("profiles." + p.Name + "." + path)) })
	return head + string(text), err
}

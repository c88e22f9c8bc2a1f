// Package lint finds what a valid policy should be asked about: services that everybody reaches and nothing
// bounds, passwords in the clear, rules that nobody gets to, reasons that are none. It is pure, over the compiled
// policy, and each of its findings is a row of package codes. It is to be quiet: a rule that fires where nothing is
// wrong teaches people to read none of them.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/acl/reach"
	"casemate/policy"
	"casemate/policy/codes"
	"casemate/policy/waiver"
	"casemate/sandbox"
)

// The codes that it finds; package codes says what each is about.
const (
	codeUnreachable = "CM510"
	codeUnlimited   = "CM701"
	codeNoSource    = "CM702"
	codeAllPlaces   = "CM703"
	codeNarrowIPv6  = "CM704"
	codeForEver     = "CM705"
	codeAmplifier   = "CM706"
	codePlaintext   = "CM707"
	codeLogin       = "CM708"
	codeBestEffort  = "CM709"
	codePrivileged  = "CM710"
	codeNoReason    = "CM711"
	codeSharedUser  = "CM712"
	codeUnused      = "CM713"
	codeResponses   = "CM714"
	codeUnheld      = "CM715"
	codeNoWord      = "CM716"
	codeExemptsAll  = "CM717"
	codeExemptsNone = "CM718"
	codeNotHeld     = "CM719"
)

// MaxFindings bounds what Run gives: the first ones, in the order of the policy's text.
const MaxFindings = 1000

// linter is one run.
type linter struct {
	doc    *policy.Document
	policy *policy.Policy
	reach  map[string]exposure // by the name of the acl
	tables map[string]*reach.Table
	found  []waiver.Finding
}

// service is a service with what it refers to.
type service struct {
	*policy.Service
	at      string // its path in Origins
	limit   limit.Spec
	profile sandbox.Profile
	exposure
}

// Run finds what there is in a valid policy. unused are the places of locals that nothing uses, with their names as Summary,
// as far as anybody knows them. The findings are in the order of the text.
func Run(doc *policy.Document, unused []policy.Diagnostic) []waiver.Finding {
	l := &linter{doc: doc, policy: doc.Policy, reach: map[string]exposure{}, tables: map[string]*reach.Table{}}
	for i := range l.policy.ACLs {
		l.unreachable(&l.policy.ACLs[i])
	}
	for i := range l.policy.Services {
		s := l.service(&l.policy.Services[i])
		l.open(&s)
		l.mute(&s)
		l.amplifier(&s)
		l.responses(&s)
		l.silent(&s)
		l.passwords(&s)
		l.reasons(s.at, s.Name, s.Because)
	}
	for i := range l.policy.Profiles {
		p := &l.policy.Profiles[i]
		l.reasons("profiles."+p.Name, "", p.Because)
	}
	for i := range l.policy.Limits {
		l.exempt(&l.policy.Limits[i])
	}
	l.sharedUsers()
	l.unusedBlocks(unused)
	slices.SortStableFunc(l.found, func(a, b waiver.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
	if left := len(l.found) - MaxFindings; left > 0 {
		l.found = l.found[:MaxFindings]
		l.found[MaxFindings-1].Detail += fmt.Sprintf(" (%d more findings are left out)", left)
	}
	return l.found
}

func (l *linter) service(s *policy.Service) service {
	out := service{Service: s, at: "services." + s.Name}
	if lim := l.policy.Limit(s.Limit); lim != nil {
		out.limit = *lim
	}
	if p := l.policy.Profile(s.Profile); p != nil {
		out.profile = *p
	}
	if l.listens(s) {
		out.exposure = l.exposed(s.ACL)
	}
	return out
}

// add notes a finding about the value at a path of Origins, or what is around it that somebody wrote.
func (l *linter) add(code, service, path, next, format string, args ...any) {
	r, err := codes.Find(code)
	if err != nil {
		panic(err) // a test finds each of them
	}
	f := waiver.Finding{Service: service, Diagnostic: policy.Diagnostic{Severity: r.Severity, Code: code, Summary: fmt.Sprintf(format, args...), Detail: next}}
	f.File, f.Line, f.Column = l.place(path)
	l.found = append(l.found, f)
}

// place is where the value at a path, or what is around it, was written; a default was nowhere.
func (l *linter) place(path string) (file string, line, column int) {
	for ; path != ""; path = path[:max(0, strings.LastIndexByte(path, '.'))] {
		if file, line, column := policy.Written(l.doc.Origins[path]); line > 0 {
			return file, line, column
		}
	}
	return policy.Written(l.doc.Origins["edition"])
}

// list is an acl by its name, nil for none.
func (l *linter) list(name string) *acl.List { return l.policy.ACL(name) }

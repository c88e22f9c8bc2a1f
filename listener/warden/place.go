package warden

import (
	"errors"
	"fmt"
	"strings"

	"casemate/policy"
	"casemate/sandbox"
)

// Placed is why a service is refused, and where the policy has what is at fault.
type Placed struct {
	Err error
	At  string // file:line:column
}

// Error is both.
func (p *Placed) Error() string { return fmt.Sprintf("%v (%s)", p.Err, p.At) }

// Unwrap is why.
func (p *Placed) Unwrap() error { return p.Err }

// Place adds to why s, a service of doc, is refused where the policy has what is at fault, unless that is there.
func Place(doc *policy.Document, s *policy.Service, err error) error {
	if err == nil || errors.As(err, new(*Placed)) {
		return err
	}
	at := "services." + s.Name
	if path, _, _ := strings.Cut(err.Error(), ": "); strings.HasPrefix(path, at+".") {
		at = path
	} else if errors.As(err, new(*sandbox.ProgramError)) {
		at = doc.Policy.CommandAt(s) + ".0"
	} else if in := doc.Policy.Profile(s.Profile).At(err); in != "" {
		at = "profiles." + s.Profile + "." + in
	}
	if at = doc.Origins.Lookup(at); at == "" {
		return err
	}
	return &Placed{err, at}
}

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"casemate/sandbox"
	"casemate/sandbox/rootfs"
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

// Place adds to why s, a service of d, is refused where the policy has what is at fault, unless that is there.
func (d *Document) Place(s *Service, err error) error {
	if err == nil || errors.As(err, new(*Placed)) {
		return err
	}
	at := "services." + s.Name
	if path, _, _ := strings.Cut(err.Error(), ": "); strings.HasPrefix(path, at+".") {
		at = path
	} else if errors.As(err, new(*sandbox.ProgramError)) {
		at = d.Policy.CommandAt(s) + ".0"
	} else if in := EntryAt(d.Policy.Profile(s.Profile), err); in != "" {
		at = "profiles." + s.Profile + "." + in
	}
	if at = d.Origins.Lookup(at); at == "" {
		return err
	}
	return &Placed{err, at}
}

// EntryAt is the path within f of what an error of preparing it is about, as "files.read.2"; "" is none.
func EntryAt(f *sandbox.Profile, err error) string {
	if e, ok := errors.AsType[*rootfs.EntryError](err); ok {
		for kind, paths := range f.Files.Paths {
			if i := slices.Index(paths, e.Path); i >= 0 && strings.HasPrefix(kind, e.Kind.String()) {
				return fmt.Sprintf("files.%s.%d", kind, i)
			}
		}
	}
	return ""
}

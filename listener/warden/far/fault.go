package far

import (
	"errors"

	"casemate/listener"
	"casemate/listener/warden"
	"casemate/sandbox"
	"casemate/sandbox/panics"
	"casemate/sandbox/rootfs"
)

// fault is an error of root's, with what warden.NewFault has kept of it.
type fault struct{ *warden.Fault }

// asError is nil without a fault.
func asError(f *warden.Fault) error {
	if f == nil {
		return nil
	}
	return fault{f}
}

// Error is its text.
func (f fault) Error() string { return f.Text }

// Unwrap gives what it was made of.
func (f fault) Unwrap() (out []error) {
	if f.Errno != 0 {
		out = append(out, f.Errno)
	}
	if f.Entry != nil {
		out = append(out, &rootfs.EntryError{Kind: f.Entry.Kind, Path: f.Entry.Path, Err: errors.New(f.Text)})
	}
	switch of := warden.Kinds[f.Kind]; {
	case of != nil:
		out = append(out, of)
	case f.Kind == "bug":
		out = append(out, &panics.Error{Value: f.Text, Stack: f.Stack})
	case f.Kind == "setting":
		out = append(out, &listener.SettingError{Err: errors.New(f.Text)})
	case f.Kind == "program":
		out = append(out, &sandbox.ProgramError{Err: errors.New(f.Text)})
	}
	return out
}

package far

import (
	"errors"

	"casemate/listener"
	"casemate/listener/warden"
	"casemate/sandbox"
	"casemate/sandbox/panics"
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
	if f.At != "" {
		out = append(out, &warden.Placed{Err: errors.New(f.Text), At: f.At})
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

package source

import (
	"errors"
	"io/fs"
	"strings"

	"casemate/policy"
	"casemate/policy/input"
	"casemate/sandbox/hostpath"
)

// Error says why a policy file or directory is not read.
type Error struct {
	Path   string
	Reason string
	Next   string // one step that repairs it
	Err    error  // the system's error, where it is one
}

// Error returns the path, the reason and the step.
func (e *Error) Error() string {
	s := "read policy: " + e.Path + ": " + e.Reason
	if e.Next != "" {
		s += ": " + e.Next
	}
	return s
}

// Unwrap returns the system's error.
func (e *Error) Unwrap() error { return e.Err }

// Diagnostic returns e in the form of the compiler's findings.
func (e *Error) Diagnostic() policy.Diagnostic {
	return policy.Diagnostic{Severity: policy.SeverityError, Code: "CM001", Summary: "policy file is not read: " + e.Reason, Detail: e.Next, File: e.Path}
}

// Of gives err as an *Error about the file name.
func Of(name string, err error) error {
	var unsafe *hostpath.UnsafeError
	var fault *input.Fault
	var p *fs.PathError
	e := &Error{Path: name, Reason: err.Error(), Err: err}
	switch {
	case errors.As(err, new(*Error)):
		return err
	case errors.As(err, &unsafe):
		e.Reason, e.Next = strings.TrimPrefix(unsafe.Path+" "+unsafe.Reason, name+" "), unsafe.Next
	case errors.As(err, &fault):
		e.Reason, e.Next = fault.Reason, fault.Next
	case errors.As(err, &p):
		e.Reason = p.Err.Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		e.Next = "name the file or directory of the policy"
	}
	return e
}

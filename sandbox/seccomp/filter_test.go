package seccomp

import (
	"fmt"

	"casemate/sandbox/seccomp/filter"
)

// Filter is filter.Filter with the calls' names.
type Filter struct {
	Rules       []Rule
	OnViolation Action
	// Once lets nothing be executed but from machine.Gate.
	Once bool
}

// Compile is filter.Filter.Compile.
func (f Filter) Compile() ([]byte, error) {
	rules, err := Numbered(f.Rules)
	if err != nil {
		return nil, fmt.Errorf("compile filter: %w", err)
	}
	return filter.Filter{Rules: rules, OnViolation: f.OnViolation, Once: f.Once}.Compile()
}

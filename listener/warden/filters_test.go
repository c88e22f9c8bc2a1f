package warden

import (
	"reflect"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/seccomp/program"
)

// TestFirstShape: the filter that casemate-filter gets before there is one to ask is that of its own profile.
func TestFirstShape(t *testing.T) {
	plan, err := newWarden(t).helperPlan(filterProfile(), "casemate-filter")
	if err != nil {
		t.Fatal(err)
	}
	got := plan.Shape(sandbox.ABI())
	got.ABI, got.BestEffort = 0, nil // say nothing of the calls
	if !reflect.DeepEqual(got, program.FirstShape) {
		t.Errorf("%+v\nwant %+v", got, program.FirstShape)
	}
}

package warden

import (
	"reflect"
	"testing"

	"casemate/sandbox"
	"casemate/sandbox/seccomp/launch"
)

// TestFirstShape: the filter that casemate-filter gets before there is one to ask is that of its own profile.
func TestFirstShape(t *testing.T) {
	plan, err := newWarden(t).helperPlan(filterProfile(), "casemate-filter")
	if err != nil {
		t.Fatal(err)
	}
	got := plan.Shape(sandbox.ABI())
	got.ABI, got.BestEffort, got.Names = 0, nil, launch.FirstShape.Names // what is said of the calls
	if !reflect.DeepEqual(got, launch.FirstShape) {
		t.Errorf("%+v\nwant %+v", got, launch.FirstShape)
	}
}

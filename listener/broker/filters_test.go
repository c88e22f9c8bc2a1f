package broker

import (
	"reflect"
	"testing"

	"casemate/sandbox/seccomp/program"
)

// TestFirstShape: the filter that casemate-filter gets before there is one to ask is that of its own profile.
func TestFirstShape(t *testing.T) {
	g := newRig(t)
	g.conf.LibexecDir = "/usr/libexec"
	plan, err := g.helperPlan(filterProfile(), "casemate-filter")
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Shape(0).Form(); !reflect.DeepEqual(got, program.FirstShape) {
		t.Errorf("%+v\nwant %+v", got, program.FirstShape)
	}
}

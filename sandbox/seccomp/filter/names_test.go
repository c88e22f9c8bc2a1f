package filter_test

import (
	"strconv"
	"testing"

	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"

	libseccomp "github.com/seccomp/libseccomp-golang"
)

// libraryName is libseccomp's name of a call, or its number.
func libraryName(nr int) string {
	if name, err := libseccomp.ScmpSyscall(nr).GetName(); err == nil {
		return name
	}
	return strconv.Itoa(nr)
}

// TestFilterKnowsTheTable: which numbers are calls, and their names where libseccomp has one.
func TestFilterKnowsTheTable(t *testing.T) {
	named := 0
	for nr := -1; nr < 1<<11; nr++ {
		if filter.Known(nr) != (seccomp.Name(nr) != "") {
			t.Errorf("%d is %q in the table, and known: %v", nr, seccomp.Name(nr), filter.Known(nr))
		}
		switch name := libraryName(nr); {
		case nr >= 0 && name == seccomp.Name(nr):
			named++
		case name != strconv.Itoa(nr):
			t.Errorf("%d is %q in the table, and libseccomp says %q", nr, seccomp.Name(nr), name)
		}
	}
	if named < 300 {
		t.Errorf("libseccomp names %d calls", named)
	}
}

package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"casemate/policy"
	"casemate/policy/input"
)

// TestBounded: what takes too long or too much memory ends with one error, and what does not
// returns what it made.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quit := make(chan bool)
		stuck := func() (int, []policy.Diagnostic) {
			<-quit
			return 1, nil
		}
		began := time.Now()
		_, ds := bounded(input.CompileDeadline, 1<<62, stuck)
		if took := time.Since(began); took != input.CompileDeadline || len(ds) != 1 || !strings.Contains(ds[0].Summary, "longer than 20s") {
			t.Errorf("%v: %+v", took, ds)
		}
		if _, ds = bounded(input.CompileDeadline, 1, stuck); len(ds) != 1 || !policy.HasErrors(ds) || !strings.Contains(ds[0].Summary, "of memory") {
			t.Errorf("%+v", ds)
		}
		close(quit)
		if n, ds := bounded(input.CompileDeadline, input.CompileMemory, func() (int, []policy.Diagnostic) { return 7, nil }); n != 7 || ds != nil {
			t.Errorf("%d, %+v", n, ds)
		}
		defer func() {
			if r := recover(); fmt.Sprint(r) != "broken" {
				t.Errorf("%v, not the panic of the work", r)
			}
		}()
		bounded(input.CompileDeadline, input.CompileMemory, func() (int, []policy.Diagnostic) { panic("broken") })
	})
}

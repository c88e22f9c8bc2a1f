package main

import (
	"fmt"
	"runtime/metrics"
	"time"

	"casemate/policy"
)

// memoryPoll is how often bounded looks at the memory in use.
const memoryPoll = 50 * time.Millisecond

// bounded returns what work makes of a policy, or one error once it takes longer than limit or
// the process holds more than memory bytes. work goes on then, for nothing can stop
// it: the run must end.
func bounded[T any](limit time.Duration, memory uint64, work func() (T, []policy.Diagnostic)) (T, []policy.Diagnostic) {
	type result struct {
		made  T
		ds    []policy.Diagnostic
		panic any
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			r.panic = recover()
			done <- r
		}()
		r.made, r.ds = work()
	}()
	late, poll := time.NewTimer(limit), time.NewTicker(memoryPoll)
	defer late.Stop()
	defer poll.Stop()
	var none T
	for {
		select {
		case r := <-done:
			if r.panic != nil {
				panic(r.panic) // run tells of it
			}
			return r.made, r.ds
		case <-late.C:
			return none, beyond(fmt.Sprintf("it takes longer than %v to read", limit))
		case <-poll.C:
			if held() > memory {
				return none, beyond(fmt.Sprintf("it takes more than %d MiB of memory to read", memory>>20))
			}
		}
	}
}

func beyond(what string) []policy.Diagnostic {
	return []policy.Diagnostic{{Severity: policy.SeverityError, Code: "CM303", Summary: "the policy is too large: " + what,
		Detail: "shorten it; casemated has the same bounds"}}
}

// held is how many bytes of memory the Go runtime has from the kernel.
func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
